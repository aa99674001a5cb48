package gvisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/gvisor/wire"
)

// instance is one running sandbox. It implements sandbox.Sandbox.
type instance struct {
	sandbox.Sandbox // the one around
	spec            sandbox.Spec
	began           time.Time
	channel         *net.UnixConn
	aside           *os.File   // output of programs beside
	far             []*os.File // other ends, until they are handed over
	ended           chan sandbox.Ended
	main            chan struct{} // closed when the main process has ended; nil with none beside
	phases          sandbox.Phases
	kernel          atomic.Int64 // bytes that the kernel itself takes

	kept    bool // an image can be made of it
	answers chan wire.News
	done    chan struct{}

	asking   sync.Mutex    // held while an answer is awaited
	number   atomic.Uint64 // of the order whose answer is
	writing  sync.Mutex    // of orders
	freezing sync.Mutex
	paused   bool // under freezing

	mu     sync.Mutex
	exited bool
	closed bool
	exit   sandbox.Exit
}

// begin makes the sandbox around a kernel and the function's channel.
func (m *Maker) begin(ctx context.Context, s sandbox.Spec) (*instance, error) {
	i := &instance{spec: s, began: time.Now(), answers: make(chan wire.News, 1), done: make(chan struct{}),
		ended: make(chan sandbox.Ended, len(s.Beside))}
	if len(s.Beside) > 0 {
		i.main = make(chan struct{})
	}
	err := i.openPipes()
	if err == nil {
		i.Sandbox, err = m.outer.Host(ctx, m.around(s))
	}
	if err != nil {
		return nil, errors.Join(err, i.closePipes())
	}
	go i.listen()
	return i, nil
}

// openPipes makes the ways between the daemon and the programs inside, the output of the main one apart.
func (i *instance) openPipes() error {
	if i.spec.Channel {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open channel: %w", err)
		}
		i.far = append(i.far, os.NewFile(uintptr(pair[1]), "sandbox channel"))
		near := os.NewFile(uintptr(pair[0]), "sandbox channel")
		c, err := net.FileConn(near)
		if err = errors.Join(err, near.Close()); err != nil {
			return fmt.Errorf("open channel: %w", err)
		}
		i.channel = c.(*net.UnixConn)
	}
	if len(i.spec.Beside) > 0 {
		near, far, err := os.Pipe()
		if err != nil {
			return fmt.Errorf("open pipe: %w", err)
		}
		i.aside, i.far = near, append(i.far, far)
	}
	return nil
}

// closePipes lets go of our ends, once.
func (i *instance) closePipes() error {
	wire.Close(i.far)
	var errs []error
	if i.channel != nil {
		errs = append(errs, i.channel.Close())
	}
	if i.aside != nil {
		errs = append(errs, i.aside.Close())
	}
	for n, err := range errs {
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) { // their user has
			errs[n] = nil
		}
	}
	return errors.Join(errs...)
}

// run gives the first order and waits until the program runs.
func (i *instance) run(ctx context.Context, o wire.Order, files ...*os.File) error {
	var fds []int
	for _, f := range append(slices.Clone(i.far), files...) {
		fds = append(fds, int(f.Fd()))
	}
	o.Number = i.number.Add(1)
	err := i.order(o, fds...)
	wire.Close(i.far) // so that the pipes end with the other side
	i.far = nil
	if err != nil {
		return err
	}
	n, err := i.answer(ctx)
	if err != nil {
		return err
	}
	i.phases = sandbox.Phases{Sandbox: time.Since(i.began) - n.Took, Exec: n.Took}
	return nil
}

// weigh takes down what the kernel needs for itself, before anything runs in it; a little less, for it may give some back.
func (i *instance) weigh() {
	if u, err := i.Sandbox.Usage(); err == nil {
		i.kernel.Store(min(u.Memory-u.Memory/16, kernelMemoryMB<<20))
	}
}

func (i *instance) order(o wire.Order, fds ...int) error {
	i.writing.Lock()
	defer i.writing.Unlock()
	return wire.Write(i.Sandbox.Channel(), o, fds...)
}

// ask gives an order and waits for the answer: its own, not that of an earlier order for which nobody waited long enough.
func (i *instance) ask(ctx context.Context, o wire.Order, files ...*os.File) error {
	i.asking.Lock()
	defer i.asking.Unlock()
	o.Number = i.number.Add(1)
	select {
	case <-i.answers:
	default:
	}
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	if err := i.order(o, fds...); err != nil {
		return err
	}
	_, err := i.answer(ctx)
	return err
}

// answer waits for the answer to an order.
func (i *instance) answer(ctx context.Context) (wire.News, error) {
	select {
	case n, ok := <-i.answers:
		switch {
		case !ok:
			return n, errors.New("its kernel ended: " + i.said())
		case n.Kind == wire.Failed:
			return n, failure(n.Error)
		}
		return n, nil
	case <-ctx.Done():
		return wire.News{}, ctx.Err()
	}
}

// refusal is an error that a kernel told in words.
type refusal struct {
	text  string
	cause error
}

func (r refusal) Error() string { return r.text }
func (r refusal) Unwrap() error { return r.cause }

// failure finds out again what kind of error it was.
func failure(text string) error {
	for _, cause := range []syscall.Errno{syscall.ENOENT, syscall.EACCES, syscall.ENOEXEC, syscall.ENOTDIR, syscall.ENOMEM} {
		if strings.HasSuffix(text, cause.Error()) {
			return refusal{text, cause}
		}
	}
	return refusal{text: text}
}

// said is what a kernel that ended has printed.
func (i *instance) said() string {
	if err := i.Output().SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return ""
	}
	text, _ := io.ReadAll(io.LimitReader(i.Output(), 2000))
	return strings.TrimSpace(string(text))
}

// listen follows what the kernel's supervisor tells, until it has ended.
func (i *instance) listen() {
	for {
		var n wire.News
		files, err := wire.Read(i.Sandbox.Channel(), &n)
		wire.Close(files)
		if err != nil {
			break
		}
		switch n.Kind {
		case wire.Made:
			i.weigh()
		case wire.Exited:
			i.mainEnded(exitOf(syscall.WaitStatus(n.Status)))
		case wire.Left:
			i.left(n)
		case wire.Running, wire.Done, wire.Failed:
			i.answered(n)
		}
	}
	close(i.answers)
	<-i.Sandbox.Done()
	around := i.Sandbox.Exit()
	i.mu.Lock()
	if !i.exited {
		i.exit = around
	}
	i.exit.OOM, i.exit.Closed = around.OOM, i.closed && !i.exited
	i.endMain()
	i.mu.Unlock()
	close(i.done)
}

// left tells of the end of a program beside. What else a supervisor may say, as who has broken out of its kernel, is of no effect.
func (i *instance) left(n wire.News) {
	if n.Program < 0 || n.Program >= len(i.spec.Beside) {
		return
	}
	e := exitOf(syscall.WaitStatus(n.Status))
	select {
	case i.ended <- sandbox.Ended{Program: n.Program, Code: e.Code, Signal: e.Signal}: // has room for all
	default:
	}
}

// answered hands an answer to who waits for it. One without a number is a supervisor's that cannot go on.
func (i *instance) answered(n wire.News) {
	if n.Number != i.number.Load() && (n.Number != 0 || n.Kind != wire.Failed) {
		return
	}
	select {
	case i.answers <- n:
	default:
	}
}

func (i *instance) mainEnded(e sandbox.Exit) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.closed {
		i.exit = e
		i.endMain()
	}
}

// endMain says that the main process has ended. It is called with mu.
func (i *instance) endMain() {
	if !i.exited && i.main != nil {
		close(i.main)
	}
	i.exited = true
}

// Beside implements sandbox.Sandbox.
func (i *instance) Beside() sandbox.Beside {
	return sandbox.Beside{Output: i.aside, Ended: i.ended, Main: i.main, Dial: i.Sandbox.Beside().Dial}
}

func exitOf(w syscall.WaitStatus) sandbox.Exit {
	if w.Signaled() {
		return sandbox.Exit{Code: -1, Signal: w.Signal()}
	}
	return sandbox.Exit{Code: w.ExitStatus()}
}

// Channel implements sandbox.Sandbox.
func (i *instance) Channel() *net.UnixConn { return i.channel }

// Done implements sandbox.Sandbox.
func (i *instance) Done() <-chan struct{} { return i.done }

// Started implements sandbox.Sandbox.
func (i *instance) Started() sandbox.Phases { return i.phases }

// Exit implements sandbox.Sandbox.
func (i *instance) Exit() sandbox.Exit {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.exit
}

// Signal implements sandbox.Sandbox.
func (i *instance) Signal(s syscall.Signal) error {
	i.mu.Lock()
	exited, closed := i.exited, i.closed
	i.mu.Unlock()
	switch {
	case closed:
		return os.ErrClosed
	case exited:
		return os.ErrProcessDone
	}
	if err := i.order(wire.Order{Kind: wire.Signal, Signal: int(s)}); err != nil {
		return os.ErrProcessDone // its supervisor ends with it
	}
	return nil
}

// Close implements sandbox.Sandbox.
func (i *instance) Close() error {
	i.mu.Lock()
	already := i.closed
	i.closed = true
	i.mu.Unlock()
	err := i.Sandbox.Close()
	<-i.done
	if already {
		return err
	}
	return errors.Join(err, i.closePipes())
}

// Usage implements sandbox.Sandbox: what the kernel itself had taken when the program began is not the program's.
func (i *instance) Usage() (sandbox.Usage, error) {
	u, err := i.Sandbox.Usage()
	own := func(bytes int64) int64 { return min(max(bytes-i.kernel.Load(), 0), int64(i.spec.MemoryMB)<<20) }
	u.Memory, u.Peak = own(u.Memory), own(u.Peak)
	return u, err
}
