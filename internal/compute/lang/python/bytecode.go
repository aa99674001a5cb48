package python

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/lang/durable"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/sandbox"
)

// Where a function finds what its own modules and its layers' were compiled to, see bootstrap.py.
const (
	compiledTask   = lambda.LangDir + "/compiled/task"
	compiledLayers = lambda.LangDir + "/compiled/opt"
)

// Bytecode keeps what the modules of packages and layers were compiled to: once for each of them and version of Python, in a
// sandbox that has nothing else, when they are published or first run. Functions never wait for it. Its methods are safe for
// concurrent use.
type Bytecode struct {
	dir string
	log *slog.Logger

	mu    sync.Mutex
	known map[string]string // by key: the folder, or nothing for what has none
	queue []job
	wake  chan struct{} // something is in the queue
	idle  *sync.Cond    // of mu: the queue is empty and nothing is being compiled
	busy  bool
}

// job is a folder that is to be compiled.
type job struct {
	key         string
	folder      string // on the host
	inside      string // what Python sees it as
	interpreter Interpreter
}

// partial begins the name of a folder that is being made.
const partial = "new-"

// OpenBytecode returns what is kept in dir, which it makes. What an interrupted process left half done is removed.
func OpenBytecode(dir string, log *slog.Logger) (*Bytecode, error) {
	if err := durable.MakeFolder(dir); err != nil {
		return nil, err
	}
	left, err := filepath.Glob(filepath.Join(dir, partial+"*"))
	for _, name := range left {
		err = errors.Join(err, os.RemoveAll(name))
	}
	if err != nil {
		return nil, fmt.Errorf("sweep compiled modules: %w", err)
	}
	b := &Bytecode{dir: dir, log: log, known: make(map[string]string), wake: make(chan struct{}, 1)}
	b.idle = sync.NewCond(&b.mu)
	return b, nil
}

// key names what a folder of code is compiled to: artifact folders are named by their content's hash.
func key(folder string, in Interpreter) string { return filepath.Base(folder) + "-" + in.Version }

// find returns the host's folder of what folder was compiled to. As long as there is none, the text is empty, and it will be
// compiled.
func (b *Bytecode) find(folder, inside string, in Interpreter) string {
	if b == nil || folder == "" {
		return ""
	}
	k := key(folder, in)
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.known[k]
	if ok {
		return at
	}
	at = filepath.Join(b.dir, k)
	if filled(at) {
		b.known[k] = at
		return at
	}
	b.known[k] = ""
	if _, err := os.Stat(at); errors.Is(err, fs.ErrNotExist) {
		b.queue = append(b.queue, job{k, folder, inside, in})
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
	return ""
}

// filled reports whether a folder has anything in it.
func filled(dir string) bool {
	d, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer d.Close()
	names, _ := d.Readdirnames(1)
	return len(names) > 0
}

// Run compiles what is asked for, one folder after the other, until ctx ends.
func (b *Bytecode) Run(ctx context.Context, maker sandbox.Maker) {
	for {
		j, ok := b.next()
		if !ok {
			select {
			case <-b.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		begun := time.Now()
		n, err := b.make(ctx, maker, j)
		switch {
		case err == nil:
			b.log.Debug("function's modules are compiled", "folder", j.key, "modules", n, "took", time.Since(begun))
		case ctx.Err() == nil:
			b.log.Warn("function's modules are not compiled: it starts slower", "folder", j.key, "error", err)
		}
	}
}

// next takes a job from the queue, or says that nothing is being done.
func (b *Bytecode) next() (j job, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy = len(b.queue) > 0
	if !b.busy {
		b.idle.Broadcast()
		return j, false
	}
	j, b.queue = b.queue[0], b.queue[1:]
	return j, true
}

// Wait returns once nothing is left to compile.
func (b *Bytecode) Wait() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.busy || len(b.queue) > 0 {
		b.idle.Wait()
	}
}

// make compiles a folder aside and has the result take its name once all of it is on the disk.
func (b *Bytecode) make(ctx context.Context, maker sandbox.Maker, j job) (modules int, err error) {
	aside, err := os.MkdirTemp(b.dir, partial)
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(aside)
	root, err := os.OpenRoot(aside)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	if modules, err = compileInside(ctx, maker, j, root); err != nil {
		return 0, err
	}
	if err := root.Chmod(".", 0o755); err != nil {
		return 0, err
	}
	d, err := root.Open(".")
	if err != nil {
		return 0, err
	}
	err = unix.Syncfs(int(d.Fd()))
	if err = errors.Join(err, d.Close()); err != nil {
		return 0, fmt.Errorf("sync: %w", err)
	}
	at := filepath.Join(b.dir, j.key)
	b.mu.Lock() // Keep must find both or neither: what is known but gone would keep every start from its mounts
	defer b.mu.Unlock()
	if err := os.Rename(aside, at); err != nil {
		return 0, err
	}
	if modules > 0 {
		b.known[j.key] = at
	}
	return modules, nil
}

// Keep removes what was compiled of folders whose names needed does not report.
func (b *Bytecode) Keep(needed func(folder string) bool) error {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	b.mu.Lock()
	maps.DeleteFunc(b.known, func(k, at string) bool { folder, _, _ := strings.Cut(k, "-"); return at == "" && !needed(folder) })
	b.mu.Unlock()
	var errs []error
	for _, e := range entries {
		folder, _, ok := strings.Cut(e.Name(), "-")
		if !ok || folder+"-" == partial || needed(folder) {
			continue
		}
		errs = append(errs, b.remove(e.Name()))
	}
	return errors.Join(errs...)
}

// remove takes a folder its name before its content: half of one is never found, also after kill -9.
func (b *Bytecode) remove(k string) error {
	aside := filepath.Join(b.dir, partial+k)
	b.mu.Lock()
	delete(b.known, k)
	err := os.Rename(filepath.Join(b.dir, k), aside)
	b.mu.Unlock()
	return errors.Join(err, os.RemoveAll(aside))
}
