// Package process is the isolation level `process`: a plain child process. It isolates nothing and is for development on
// machines that cannot do better; it is refused unless asked for by name.
//
// A process sees the host's files. So a path below a mount's target, wherever it stands in the program's arguments,
// environment and working directory, is rewritten to that mount's source. /tmp is the host's; TMPDIR names a directory of
// the sandbox's own. Limits of memory, CPU, processes and /tmp are not enforced, and Report says so.
package process

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// Config of a Maker.
type Config struct {
	Dir    string // for the sandboxes' TMPDIRs
	Logger *slog.Logger
}

// Maker starts processes. It implements sandbox.Maker.
type Maker struct {
	dir  string
	mark string // in the environment of every process of this data directory
	log  *slog.Logger
	fork chan request
	done chan struct{} // closed when the forking thread has ended

	starting sync.WaitGroup

	mu     sync.Mutex
	closed bool
	live   map[string]*instance
}

// request asks the forking thread for a process.
type request struct {
	argv  []string
	attr  *syscall.ProcAttr
	files int
	reply chan reply
}

type reply struct {
	pid int
	err error
}

// New makes a Maker. It needs no privilege.
func New(c Config) (*Maker, error) {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(dir))
	m := &Maker{dir: dir, mark: fmt.Sprintf("%s%016x", markPrefix, h.Sum64()), log: c.Logger, fork: make(chan request),
		done: make(chan struct{}), live: map[string]*instance{}}
	// What this process itself has inherited without the close-on-exec flag must not reach a function.
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return nil, fmt.Errorf("close inherited descriptors: %w", err)
	}
	go m.forkAll()
	return m, nil
}

// forkAll starts every process from one thread that lives as long as the Maker: the kernel kills a process with
// Pdeathsig when the thread that started it ends.
func (m *Maker) forkAll() {
	defer close(m.done)
	runtime.LockOSThread()
	for r := range m.fork {
		pid, err := syscall.ForkExec(r.argv[0], r.argv, r.attr)
		if err == nil {
			err = limitFiles(pid, r.files)
		}
		r.reply <- reply{pid, err}
	}
}

// limitFiles sets the limit of open files of a process that, traced by this thread, stops before its first instruction,
// and lets it go.
func limitFiles(pid, files int) error {
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return fmt.Errorf("wait for first stop: %w", err)
	}
	limit := unix.Rlimit{Cur: uint64(files), Max: uint64(files)}
	err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil)
	return errors.Join(err, syscall.PtraceDetach(pid))
}

// Level implements sandbox.Maker.
func (m *Maker) Level() sandbox.Level { return sandbox.Process }

// Report implements sandbox.Maker.
func (m *Maker) Report() []sandbox.Guarantee {
	var g []sandbox.Guarantee
	for _, name := range []string{"file system", "processes", "user", "network", "privileges", "memory limit", "cpu quota", "process limit",
		"cpu burst", "system calls", "size of /tmp"} {
		g = append(g, sandbox.Guarantee{Name: name, How: "the level process isolates nothing"})
	}
	return append(g, sandbox.Guarantee{Name: "open files", Enforced: true, How: "RLIMIT_NOFILE"})
}

// Sweep implements sandbox.Maker.
func (m *Maker) Sweep(ctx context.Context) error {
	if err := killMarked(ctx, m.mark); err != nil {
		return fmt.Errorf("sweep processes of an earlier daemon: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(m.dir, tmpPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// Close implements sandbox.Maker.
func (m *Maker) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	m.mu.Unlock()
	m.starting.Wait()
	m.mu.Lock()
	var left []*instance
	for _, s := range m.live {
		left = append(left, s)
	}
	m.mu.Unlock()
	var errs []error
	for _, s := range left {
		errs = append(errs, s.Close())
	}
	close(m.fork)
	<-m.done
	return errors.Join(errs...)
}

// Start implements sandbox.Maker.
func (m *Maker) Start(ctx context.Context, s sandbox.Spec) (sandbox.Sandbox, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if s.Copy != nil || s.Template {
		return nil, faas.Errorf(faas.Invalid, "sandbox: template: this level copies no process")
	}
	if s.Fork != nil {
		return nil, faas.Errorf(faas.Invalid, "sandbox: fork: this level forks from no zygote")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	nonce := make([]byte, 8)
	_, _ = rand.Read(nonce)
	i := &instance{maker: m, spec: s, began: time.Now(), mark: m.mark + "-" + hex.EncodeToString(nonce), done: make(chan struct{}), exited: make(chan struct{})}
	if err := m.register(i); err != nil {
		return nil, err
	}
	defer m.starting.Done()
	if err := i.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start sandbox %s: %w", s.ID, err), i.Close())
	}
	return i, nil
}

// register makes the sandbox known to Close, which waits for a start under way.
func (m *Maker) register(i *instance) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return os.ErrClosed
	}
	if m.live[i.spec.ID] != nil {
		return faas.Errorf(faas.Conflict, "sandbox: id %q is in use", i.spec.ID)
	}
	m.live[i.spec.ID] = i
	m.starting.Add(1)
	return nil
}

func (m *Maker) forget(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.live, id)
}
