package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

const (
	archiveTime = 2 * time.Minute
	maxArchive  = 256 << 20
)

// Unarchived reports whether a runtime would start sooner by an archive that it does not have.
func (n *Node) Unarchived(runtime string) bool {
	r, err := n.Runtimes.Resolve(runtime)
	if err != nil {
		return false
	}
	archived, ok := r.(lang.Archived)
	return ok && archived.Archive(new(sandbox.Spec))
}

// Archive has a runtime that starts sooner by an archive write one, unless it has, in a sandbox that nothing of a function's is in.
func (n *Node) Archive(ctx context.Context, runtime string) error {
	r, err := n.Runtimes.Resolve(runtime)
	if err != nil {
		return err
	}
	archived, ok := r.(lang.Archived)
	if !ok {
		return nil
	}
	spec := sandbox.Spec{ID: newID(), Owner: "archive", TmpMB: archiveTmpMB, CPU: 1, Pids: maxPids, Files: maxFiles}
	if !archived.Archive(&spec) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, archiveTime)
	defer cancel()
	written, err := n.written(ctx, spec)
	if err != nil {
		return fmt.Errorf("write the archive of %s: %w", r.Served(), err)
	}
	return archived.Keep(bytes.NewReader(written))
}

const archiveTmpMB = 512

// Uncompiled reports whether v would start sooner by a compiled form of its package that there is not.
func (n *Node) Uncompiled(v *faas.Version) bool {
	r, err := n.Runtimes.Resolve(v.Runtime)
	if err != nil {
		return false
	}
	compiled, ok := r.(lang.Compiled)
	return ok && compiled.Compile(new(sandbox.Spec), v, "")
}

// Compile has the package of v compiled, unless it is, in a sandbox of its own in which nothing of it is executed.
func (n *Node) Compile(ctx context.Context, v *faas.Version) error {
	r, err := n.Runtimes.Resolve(v.Runtime)
	if err != nil {
		return err
	}
	code, err := n.Code.Dir(ctx, v.Code.SHA256)
	if err != nil {
		return fmt.Errorf("unpack code: %w", err)
	}
	compiled, ok := r.(lang.Compiled)
	spec := sandbox.Spec{ID: newID(), Owner: "compile", TmpMB: archiveTmpMB, CPU: 1, Pids: maxPids, Files: maxFiles}
	if !ok || !compiled.Compile(&spec, v, code) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, archiveTime)
	defer cancel()
	written, err := n.written(ctx, spec)
	if err != nil {
		return fmt.Errorf("compile the package of %s: %w", v.ID.Name, err)
	}
	return compiled.KeepCompiled(v, bytes.NewReader(written))
}

// written runs spec to its end and returns what it wrote to its channel.
func (n *Node) written(ctx context.Context, spec sandbox.Spec) ([]byte, error) {
	sb, err := n.Maker.Start(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("start sandbox: %w", err)
	}
	defer sb.Close()
	stop := context.AfterFunc(ctx, func() { _ = sb.Close() })
	defer stop()
	said := make(chan []byte, 1)
	go func() {
		var tail [2048]byte // enough to tell what went wrong; the rest is dropped
		k, _ := io.ReadFull(sb.Output(), tail[:])
		_, _ = io.Copy(io.Discard, sb.Output())
		said <- tail[:k]
	}()
	written, err := io.ReadAll(io.LimitReader(sb.Channel(), maxArchive))
	select {
	case <-sb.Done():
	case <-ctx.Done():
	}
	_ = sb.Close()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case sb.Exit().Code != 0:
		return nil, fmt.Errorf("its process ended with status %d: %s", sb.Exit().Code, bytes.TrimSpace(<-said))
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("read: %w", err)
	}
	return written, nil
}
