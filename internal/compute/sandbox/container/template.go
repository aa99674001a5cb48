package container

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// original is a main process that is held by a thread of ours and copied. It implements sandbox.Template.
type original struct {
	i       *instance
	pid     int // of the main process, here
	inside  int // and there
	dir     string
	began   time.Time
	copies  atomic.Int64
	asks    chan ask
	closing chan struct{}
	leash   leash
	once    sync.Once
	done    chan struct{} // closed when the process is gone, or given back

	mu    sync.Mutex
	below int  // sandboxes in its namespaces
	over  bool // the process is gone
}

// join counts a sandbox in, unless the template is gone; leave counts it out. With the last of them the template's own goes, in whose
// namespaces they are.
func (o *original) join() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.over {
		o.below++
	}
	return !o.over
}

func (o *original) leave() {
	o.mu.Lock()
	o.below--
	last := o.over && o.below == 0
	o.mu.Unlock()
	if last {
		o.i.kill()
	}
}

// ended notes that the process is gone.
func (o *original) ended() {
	o.mu.Lock()
	o.over = true
	last := o.below == 0
	o.mu.Unlock()
	close(o.done)
	if last {
		o.i.kill()
	}
}

// ask is for one copy, in the sandbox that the descriptors belong to.
type ask struct {
	fds    []int // in the order of copied
	like   likeness
	uid    int // outside, of the function's user
	enter  *program
	copy   *program
	answer chan error
}

// Template implements sandbox.Copier.
func (m *Maker) Template(ctx context.Context, b sandbox.Sandbox) (sandbox.Template, error) {
	i, ok := b.(*instance)
	switch {
	case !ok || i.maker != m || !i.spec.Template || !i.spec.Channel:
		return nil, faas.Errorf(faas.Invalid, "sandbox: template: it was not started to become one")
	case m.Copies() != nil:
		return nil, m.Copies()
	case i.besides():
		return nil, errors.New("other programs run beside it")
	}
	o := &original{i: i, began: time.Now(), asks: make(chan ask), closing: make(chan struct{}), done: make(chan struct{})}
	err := i.use(func() (err error) { // nothing is released meanwhile
		o.pid, o.inside, err = numbers(i.main)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := awaitRead(ctx, o.pid); err != nil {
		return nil, err
	}
	held := make(chan error)
	go o.hold(held)
	if err := <-held; err != nil {
		return nil, err
	}
	return o, nil
}

// Copies implements sandbox.Copier.
func (m *Maker) Copies() error {
	if !canHold || m.tree == nil || !m.standing.root {
		return errNoCopies
	}
	if mode, err := statusOf("/proc/self", "Seccomp"); err != nil || mode != 0 {
		return errors.Join(errFiltered, err)
	}
	return nil
}

var (
	errNoCopies = faas.Errorf(faas.Unavailable, "sandbox: template: needs amd64, root and control groups")
	errFiltered = faas.Errorf(faas.Unavailable, "sandbox: template: the daemon itself may not be under a filter of system calls")
)

// hold takes hold of the process and copies it as often as it is asked to. The thread is never given back: its end is the
// process's.
func (o *original) hold(held chan<- error) {
	runtime.LockOSThread()
	t, err := o.take()
	var main *os.File
	if err == nil {
		if main, err = o.i.mainFile(); err != nil {
			t.end()
		}
	}
	held <- err
	if err != nil {
		return
	}
	gone := make(chan struct{})
	go func() { // an end of its own is another's doing
		defer close(gone)
		awaitProcess(main)
		_ = main.Close()
	}()
	defer o.ended()
	defer t.end()
	for {
		select {
		case a := <-o.asks:
			err := o.copyTo(t, a)
			a.answer <- err
			if err != nil { // what is in its channel may be another's by now
				return
			}
		case <-gone:
			return
		case <-o.closing:
			return
		}
	}
}

// take has the process stand still, and lets it go on if it can't be copied. What does not come to a stop, as a parent of vfork, is
// ended.
func (o *original) take() (*tracee, error) {
	defer time.AfterFunc(copyWait, func() { _ = o.i.Signal(unix.SIGKILL) }).Stop()
	t, err := seize(o.pid, &o.leash, func() error {
		return o.i.use(func() error {
			pid, _, err := numbers(o.i.main)
			if err == nil && pid != o.pid {
				err = os.ErrProcessDone
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	if err := o.examine(t); err != nil {
		return nil, errors.Join(err, t.resume())
	}
	return t, nil
}

// copyTo has one copy of t run in another sandbox.
func (o *original) copyTo(t *tracee, a ask) error {
	defer o.leash.within(copyWait).Stop()
	own, err := likenessOf(t.pid)
	if err == nil {
		err = a.like.unlike(own)
	}
	if err != nil {
		return err
	}
	if _, _, err := o.i.channel.WriteMsgUnix([]byte{0}, unix.UnixRights(a.fds...), nil); err != nil {
		return fmt.Errorf("pass descriptors on: %w", err)
	}
	first, err := t.fork(unix.CLONE_PARENT) // its parent stands still and would not reap it
	if err != nil {
		return fmt.Errorf("fork: %w", err)
	}
	defer first.end()
	room, err := first.load(len(a.fds), a.enter, a.copy)
	if err != nil {
		return err
	}
	if err := room.carryOut(first, a.enter, 0); err != nil {
		return err
	}
	second, err := first.fork(uint64(unix.SIGCHLD))
	if err != nil {
		return fmt.Errorf("fork inside: %w", err)
	}
	err = room.carryOut(second, a.copy, 1)
	if err == nil {
		_, _, err = second.do(unix.SYS_MUNMAP, room.base, uint64(room.size))
	}
	if err == nil {
		err = a.like.check(second.pid, a.uid)
	}
	if err == nil {
		err = second.resume()
	}
	if err != nil {
		second.end()
		return err
	}
	o.copies.Add(1)
	return nil
}

// copy has the process of o run on in the sandbox that a's descriptors belong to. It returns the process id inside of what has to be
// adopted there; channel is our end of the copy's.
func (o *original) copy(ctx context.Context, a ask, channel io.ReadWriter) (pid int, err error) {
	a.answer = make(chan error, 1)
	select {
	case o.asks <- a:
	case <-o.done:
		return 0, errGone
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if err := <-a.answer; err != nil {
		return 0, fmt.Errorf("copy: %w", err)
	}
	if _, err := channel.Write([]byte{frameTwin, 0, 0, 0, 0}); err != nil {
		return 0, fmt.Errorf("wake the copy: %w", err)
	}
	var b [9]byte
	if _, err := io.ReadFull(channel, b[:]); err != nil {
		return 0, fmt.Errorf("wait for the copy: %w", err)
	}
	pid = int(binary.BigEndian.Uint32(b[5:]))
	if [5]byte(b[:5]) != [5]byte{frameNumber, 0, 0, 0, 4} || pid <= 1 || pid > 1<<22 {
		return 0, fmt.Errorf("the copy answered %q", b[:])
	}
	if pid == o.inside {
		return 0, errors.New("the copy has its template's process id")
	}
	return pid, nil
}

const (
	frameTwin   = 'T'
	frameNumber = 'N'
)

var errGone = errors.New("the template is gone")

// Copies implements sandbox.Template.
func (o *original) Copies() int { return int(o.copies.Load()) }

// Started implements sandbox.Template.
func (o *original) Started() time.Time { return o.began }

// Done implements sandbox.Template.
func (o *original) Done() <-chan struct{} { return o.done }

// Close implements sandbox.Template.
func (o *original) Close() error {
	o.once.Do(func() { close(o.closing) })
	<-o.done
	return nil
}

// numbers are the process ids of a pidfd's process, here and in its own namespace.
func numbers(pidfd int) (here, inside int, err error) {
	b, err := os.ReadFile("/proc/self/fdinfo/" + itoa(pidfd))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		for _, n := range strings.Fields(rest) {
			switch name {
			case "Pid":
				_, err = fmt.Sscan(n, &here)
			case "NSpid":
				_, err = fmt.Sscan(n, &inside) // the last is the innermost
			}
		}
	}
	if err == nil && (here <= 0 || inside <= 0) {
		err = os.ErrProcessDone
	}
	return here, inside, err
}
