package python

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

//go:embed compile.py
var compileScript string

// Bounds of one compilation. The sources are a function's, and so may be anything.
const (
	bytecodeTime  = time.Minute
	bytecodeMB    = 512
	maxCompiled   = 256 << 20 // bytes of all modules
	maxModules    = 50_000
	maxModuleName = 4096
)

// compileInside has Python compile a folder in a sandbox that sees nothing else, and writes what comes of it below root.
func compileInside(ctx context.Context, maker sandbox.Maker, j job, root *os.Root) (modules int, err error) {
	ctx, cancel := context.WithTimeout(ctx, bytecodeTime)
	defer cancel()
	id := "compile-" + strings.ToLower(faas.NewUUID())
	sb, err := maker.Start(ctx, sandbox.Spec{
		ID: id, Owner: id, MemoryMB: bytecodeMB, TmpMB: 8, CPU: 1, Pids: 16, Files: 64, Channel: true, Dir: "/",
		Mounts: append(append([]sandbox.Mount(nil), j.interpreter.Mounts...), sandbox.Mount{Source: j.folder, Target: j.inside}),
		Argv:   []string{j.interpreter.Exec, "-I", "-S", "-W", "ignore", "-c", compileScript, j.inside},
		Env:    lambda.Defaults(),
	})
	if err != nil {
		return 0, err
	}
	defer sb.Close()
	defer context.AfterFunc(ctx, func() { _ = sb.Channel().SetDeadline(time.Unix(1, 0)) })()
	modules, err = receiveModules(bufio.NewReaderSize(sb.Channel(), 64<<10), root)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the compiler ended in the middle")
	}
	return modules, errors.Join(ctx.Err(), err)
}

// receiveModules writes what compile.py sends below root.
func receiveModules(from io.Reader, root *os.Root) (modules int, err error) {
	left := maxCompiled
	made := map[string]bool{".": true}
	for ; ; modules++ {
		name, err := receiveBlock(from, maxModuleName)
		switch {
		case err != nil:
			return modules, err
		case len(name) == 0:
			return modules, nil
		case modules == maxModules:
			return modules, fmt.Errorf("there are more than %d modules", maxModules)
		}
		text, err := receiveBlock(from, left)
		if err != nil {
			return modules, err
		}
		left -= len(text)
		if err := writeModule(root, string(name), text, made); err != nil {
			return modules, err
		}
	}
}

// receiveBlock reads a length in four bytes, big endian, and as many bytes.
func receiveBlock(from io.Reader, most int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if uint64(n) > uint64(most) {
		return nil, fmt.Errorf("the compiler sent %d bytes of at most %d", n, most)
	}
	var b strings.Builder
	if _, err := io.CopyN(&b, from, int64(n)); err != nil { // grows as they come
		return nil, err
	}
	return []byte(b.String()), nil
}

// writeModule writes one module below root. Its name comes from a sandbox.
func writeModule(root *os.Root, name string, text []byte, made map[string]bool) error {
	if !fs.ValidPath(name) || !strings.HasSuffix(name, ".pyc") {
		return fmt.Errorf("the compiler sent a module named %q", name)
	}
	for dir := path.Dir(name); !made[dir]; dir = path.Dir(dir) {
		made[dir] = true
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := root.Chmod(dir, 0o755); err != nil { // whatever the umask
			return err
		}
	}
	if err := root.WriteFile(name, text, 0o644); err != nil {
		return err
	}
	return root.Chmod(name, 0o644)
}
