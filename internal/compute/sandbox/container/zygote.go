package container

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/cgroup"
	"artesian/internal/faas"
)

// Bounds of a zygote, its children before they enter a sandbox included.
const (
	zygoteMB    = 512
	zygotePids  = 64
	minZygoteMB = 16 // its /tmp and /dev/shm
	maxReport   = 64 << 10
	forkTime    = 5 * time.Second // without one fork: it never will
)

// zygote is a process from which main processes are forked. It implements sandbox.Zygote.
type zygote struct {
	maker   *Maker
	spec    sandbox.ZygoteSpec
	group   bounds   // nil without control groups
	process *os.File // pidfd
	channel *net.UnixConn
	began   time.Time
	forks   atomic.Int64
	who     identity
	done    chan struct{}
	ready   chan struct{} // closed when it has said whether it can fork
	state   error         // why it cannot; valid after ready

	patience time.Duration // see forkTime
	born     atomic.Int64  // forks that succeeded
	asking   sync.Mutex    // held over a write to the channel
	ending   sync.Once
}

// Zygote implements sandbox.Ahead. It returns once the program has been executed.
func (m *Maker) Zygote(ctx context.Context, spec sandbox.ZygoteSpec) (sandbox.Zygote, error) {
	view := zygoteView(spec)
	if err := view.Check(); err != nil {
		return nil, err
	}
	if err := m.enter(); err != nil {
		return nil, err
	}
	defer m.starting.Done()
	z := &zygote{maker: m, spec: spec, began: time.Now(), patience: forkTime, done: make(chan struct{}), ready: make(chan struct{})}
	if err := z.start(ctx, view); err != nil {
		z.release()
		return nil, fmt.Errorf("start zygote %s: %w", spec.ID, err)
	}
	m.mu.Lock()
	m.zygotes[z] = true
	m.mu.Unlock()
	go z.follow()
	go z.listen()
	return z, nil
}

// start has the spawner fork the process and waits until its program runs.
func (z *zygote) start(ctx context.Context, view sandbox.Spec) error {
	m := z.maker
	spawner, err := m.working(ctx)
	if err != nil {
		return err
	}
	b := baggage{layout: m.layout, null: int(spawner.null.Fd()), output: -1, control: -1, peer: -1, aside: -1, tmp: -1, group: -1, within: -1}
	defer b.close()
	b.layout.tmpMB = minZygoteMB
	if z.who, err = m.identity(z.spec.ID); err != nil {
		return err
	}
	if m.tree != nil {
		group, err := m.tree.New(z.spec.ID, cgroup.Limits{Memory: zygoteMB << 20, Pids: zygotePids})
		if err != nil {
			return err
		}
		z.group, b.group = group, group.Dir()
		b.layout.group = b.group >= 0
		if b.joins, err = group.Joins(); err != nil {
			return err
		}
		b.layout.joins = len(b.joins)
	}
	if b.mounts, b.layout.dirs, err = spawner.mounts(view.Mounts); err != nil {
		return err
	}
	if z.channel, b.peer, err = newChannel(); err != nil {
		return err
	}
	report, far, err := newConn()
	if err != nil {
		return err
	}
	defer report.close()
	b.control = far
	if b.output, err = unix.FcntlInt(uintptr(b.null), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		return err
	}
	p := planZygote(z.spec, b.layout, z.who)
	code, err := p.encode()
	if err != nil {
		return err
	}
	if err := spawner.conn.send(code, b.fds()); err != nil {
		return fmt.Errorf("ask spawner: %w", err)
	}
	b.close()
	pidfd, err := follow(report, p, nil)
	if pidfd >= 0 {
		_ = unix.SetNonblock(pidfd, true)
		z.process = os.NewFile(uintptr(pidfd), "zygote")
	}
	return err
}

// follow waits for the end of the process.
func (z *zygote) follow() {
	awaitProcess(z.process)
	z.release()
}

// release gives back what start made. What is left of the process ends.
func (z *zygote) release() {
	z.ending.Do(func() {
		if z.process != nil {
			_ = endProcess(z.process)
			awaitProcess(z.process)
			_ = z.process.Close()
		}
		if z.channel != nil {
			_ = z.channel.Close()
		}
		if z.group != nil {
			if err := errors.Join(z.group.Kill(), z.group.Remove(context.Background())); err != nil {
				z.maker.log.Warn("remove zygote's control group", "zygote", z.spec.ID, "error", err)
			}
		}
		z.maker.unidentified(z.spec.ID, z.who)
		z.maker.mu.Lock()
		delete(z.maker.zygotes, z)
		z.maker.mu.Unlock()
		close(z.done)
	})
}

// endProcess sends SIGKILL to a pidfd's process.
func endProcess(pidfd *os.File) error {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return err
	}
	return errors.Join(raw.Control(func(fd uintptr) { err = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0) }), err)
}

// readiness is what a zygote says once, when it has loaded all that it can.
type readiness struct {
	Error string   `json:"error"` // why it cannot fork; empty if it can
	Notes []string `json:"notes"` // what it left out, and why
}

// listen reads what the process says.
func (z *zygote) listen() {
	defer close(z.ready)
	r, err := readReadiness(z.channel)
	switch {
	case err != nil:
		z.state = fmt.Errorf("zygote %s ended before it was ready: %w", z.spec.ID, err)
	case r.Error != "":
		z.state = fmt.Errorf("zygote %s cannot fork: %s", z.spec.ID, r.Error)
	}
	if len(r.Notes) > 0 {
		z.maker.log.Warn("zygote left modules out", "zygote", z.spec.ID, "modules", strings.Join(r.Notes, "; "))
	}
}

// readReadiness reads a length in four bytes, big endian, and a JSON document.
func readReadiness(from io.Reader) (r readiness, err error) {
	var head [4]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return r, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxReport {
		return r, fmt.Errorf("it reports %d bytes", n)
	}
	doc := make([]byte, n)
	if _, err := io.ReadFull(from, doc); err != nil {
		return r, err
	}
	return r, json.Unmarshal(doc, &r)
}

// Ready implements sandbox.Zygote.
func (z *zygote) Ready(ctx context.Context) error {
	select {
	case <-z.ready:
		return z.state
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Channel implements sandbox.Zygote.
func (z *zygote) Channel() *net.UnixConn { return z.channel }

// Forks implements sandbox.Zygote.
func (z *zygote) Forks() int { return int(z.forks.Load()) }

// Started implements sandbox.Zygote.
func (z *zygote) Started() time.Time { return z.began }

// Done implements sandbox.Zygote.
func (z *zygote) Done() <-chan struct{} { return z.done }

// Close implements sandbox.Zygote.
func (z *zygote) Close() error {
	z.release()
	<-z.done
	return nil
}

// forkedFrom returns the zygote of s, which must be one of this maker.
func (m *Maker) forkedFrom(s sandbox.Spec) (*zygote, error) {
	z, ok := s.Fork.(*zygote)
	if !ok || z.maker != m {
		return nil, faas.Errorf(faas.Invalid, "sandbox: fork: the zygote is another maker's")
	}
	return z, nil
}
