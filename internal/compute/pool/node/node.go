// Package node starts instances on this machine: it brings a version's code, a runtime and a sandbox together. It knows
// them by their seams only.
package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/extension"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/pool"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// Limits of every sandbox, beside what its version configures. AWS Lambda documents 1,024 of each.
const (
	maxPids  = 1024
	maxFiles = 1024
)

// Code finds the unpacked code of a package by its hash.
type Code interface {
	Dir(ctx context.Context, sha256 string) (string, error)
	// Layers finds what layers make together; nothing without layers.
	Layers(ctx context.Context, layers []faas.Layer) (string, error)
}

// Runtimes finds what serves a runtime identifier here.
type Runtimes interface {
	Resolve(runtime string) (lang.Runtime, error)
}

// Log takes what one instance prints. Write may block: that slows this function only.
type Log interface {
	Write(at time.Time, message string)
	Close()
}

// Node is a pool.Launcher.
type Node struct {
	Maker    sandbox.Maker
	Code     Code
	Runtimes Runtimes
	OpenLog  func(v *faas.Version, stream string) (Log, error)
	Env      func(v *faas.Version) []string // what the platform adds to a function's environment
	Internet func(v *faas.Version) (bool, error)
	Listen   []string // host:port sockets on which the platform is reached from inside
	Serve    func(sandbox.Sandbox, *faas.Version)
	Now      func() time.Time
}

// Launch implements pool.Launcher.
func (n *Node) Launch(ctx context.Context, v *faas.Version) (*pool.Running, error) {
	runtime, err := n.Runtimes.Resolve(v.Runtime)
	if err != nil {
		return nil, err
	}
	code, err := n.Code.Dir(ctx, v.Code.SHA256)
	if err != nil {
		return nil, fmt.Errorf("unpack code: %w", err)
	}
	layers, err := n.Code.Layers(ctx, v.Layers)
	if err != nil {
		return nil, fmt.Errorf("unpack layers: %w", err)
	}
	internet, err := n.Internet(v)
	if err != nil {
		return nil, err
	}
	id := newID()
	now := n.Now().UTC()
	stream := fmt.Sprintf("%s/[%s]%s", now.Format("2006/01/02"), v.ID.Version, id)
	spec := sandbox.Spec{
		ID:       id,
		Owner:    v.ID.FunctionID.ARN(),
		MemoryMB: v.MemoryMB,
		TmpMB:    v.TmpMB,
		Pids:     maxPids,
		Files:    maxFiles,
		CPU:      float64(v.MemoryMB) / faas.MemoryMBPerCPU,
		Listen:   n.Listen,
		Internet: internet,
		Env:      n.Env(v),
	}
	if layers != "" {
		spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: layers, Target: lambda.LayerDir})
	}
	runtime.Prepare(&spec, *v, code, stream)
	lambda.Wrap(&spec, *v)
	extensions, err := beside(&spec, layers)
	if err != nil {
		return nil, err
	}
	sb, err := n.Maker.Start(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("start sandbox: %w", err)
	}
	n.Serve(sb, v)
	log, err := n.OpenLog(v, stream)
	if err != nil {
		_ = sb.Close()
		return nil, fmt.Errorf("open log: %w", err)
	}
	var out *printed
	host := extension.NewHost(v, extensions.names, func(at time.Time, line string) { out.Line(at, line) }, n.Now)
	out, err = newOutput(sb, v, n.Now, log, host.Printed)
	if err != nil {
		_ = sb.Close()
		log.Close()
		return nil, fmt.Errorf("take over output: %w", err)
	}
	for _, line := range lambda.InitStartLines(v, runtime.Served(), now) {
		out.Line(now, line)
	}
	out.Tail(true) // the first call's log begins with what the initialisation prints
	session := extension.Extend(runtime.Attach(extensions.open(sb, host), *v), host, sb, runtime.Served())
	return &pool.Running{Sandbox: oursOf(sb), Session: session, Output: out, Served: runtime.Served(), Stream: stream, Way: faas.WayStart}, nil
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never returns an error
	return hex.EncodeToString(b[:])
}
