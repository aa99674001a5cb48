package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
)

const tmpPrefix = "tmp-"

// instance is one process and its descendants. It implements sandbox.Sandbox.
type instance struct {
	maker *Maker
	spec  sandbox.Spec
	mark  string
	began time.Time

	// Made by start, released by Close; not changed in between.
	tmp       string
	output    *os.File
	channel   *net.UnixConn
	listeners []net.Listener
	aside     *os.File
	ended     chan sandbox.Ended
	others    sync.WaitGroup // processes beside the main one
	pid       int
	phases    sandbox.Phases

	done   chan struct{}
	exited chan struct{} // the main process has ended

	mu     sync.Mutex
	closed bool
	killed bool
	exit   sandbox.Exit
	usage  sandbox.Usage
}

func (i *instance) start() (err error) {
	dir := filepath.Join(i.maker.dir, tmpPrefix+i.spec.ID)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	i.tmp = dir
	for _, m := range i.spec.Mounts {
		if _, err := os.Stat(m.Source); err != nil {
			return fmt.Errorf("open mount %s: %w", m.Source, err)
		}
	}
	for _, address := range i.spec.Listen {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		i.listeners = append(i.listeners, l)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = null.Close() }()
	r, output, err := os.Pipe()
	if err != nil {
		return err
	}
	i.output = r
	defer func() { _ = output.Close() }()
	if err := i.runBeside(null); err != nil {
		return err
	}
	files := []uintptr{null.Fd(), output.Fd(), output.Fd()}
	if i.spec.Channel {
		peer, err := i.openChannel()
		if err != nil {
			return err
		}
		defer func() { _ = peer.Close() }()
		files = append(files, peer.Fd())
	}
	return i.run(files)
}

func (i *instance) openChannel() (*os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open channel: %w", err)
	}
	near, far := os.NewFile(uintptr(pair[0]), "sandbox channel"), os.NewFile(uintptr(pair[1]), "sandbox channel")
	c, err := net.FileConn(near)
	if err = errors.Join(err, near.Close()); err != nil {
		return nil, errors.Join(err, far.Close())
	}
	i.channel = c.(*net.UnixConn)
	return far, nil
}

// run executes the program and follows it.
func (i *instance) run(files []uintptr) error {
	isolated := time.Now()
	pid, err := i.execute(sandbox.Program{Argv: i.spec.Argv, Env: i.spec.Env}, files)
	if pid > 0 {
		i.pid = pid
		go i.follow()
	}
	if err != nil {
		return err
	}
	i.phases = sandbox.Phases{Sandbox: isolated.Sub(i.began), Exec: time.Since(isolated)}
	return nil
}

// execute starts a program; also together with an error, the process that there is comes back.
func (i *instance) execute(p sandbox.Program, files []uintptr) (int, error) {
	env := append(rewriteEnv(p.Env, i.spec.Mounts), "TMPDIR="+i.tmp, i.mark)
	r := request{argv: rewriteAll(p.Argv, i.spec.Mounts), files: i.spec.Files, reply: make(chan reply, 1), attr: &syscall.ProcAttr{
		Dir: rewrite(i.spec.Dir, i.spec.Mounts), Env: env, Files: files,
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Ptrace: true},
	}}
	i.maker.fork <- r
	answer := <-r.reply
	if answer.err != nil {
		return answer.pid, fmt.Errorf("execute %s: %w", r.argv[0], answer.err)
	}
	return answer.pid, nil
}

// wait returns how a process of ours ended.
func wait(pid int) (status syscall.WaitStatus, ru syscall.Rusage) {
	for {
		if _, err := syscall.Wait4(pid, &status, 0, &ru); !errors.Is(err, syscall.EINTR) {
			return status, ru
		}
	}
}

// follow waits for the main process and those beside it, and then ends what is left of them.
func (i *instance) follow() {
	status, ru := wait(i.pid)
	i.mu.Lock()
	i.exit = sandbox.Exit{Code: status.ExitStatus(), Closed: i.killed}
	if status.Signaled() {
		i.exit = sandbox.Exit{Code: -1, Signal: status.Signal(), Closed: i.killed}
	}
	close(i.exited)
	i.mu.Unlock()
	i.others.Wait()
	if err := killMarked(context.Background(), i.mark); err != nil {
		i.maker.log.Warn("end sandbox", "sandbox", i.spec.ID, "error", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.usage.CPU = max(i.usage.CPU, time.Duration(ru.Utime.Nano()+ru.Stime.Nano()))
	i.usage.Memory, i.usage.Peak = 0, max(i.usage.Peak, ru.Maxrss<<10)
	close(i.done)
}

// Channel implements sandbox.Sandbox.
func (i *instance) Channel() *net.UnixConn { return i.channel }

// Output implements sandbox.Sandbox.
func (i *instance) Output() *os.File { return i.output }

// Listeners implements sandbox.Sandbox.
func (i *instance) Listeners() []net.Listener { return i.listeners }

// Started implements sandbox.Sandbox.
func (i *instance) Started() sandbox.Phases { return i.phases }

// Done implements sandbox.Sandbox.
func (i *instance) Done() <-chan struct{} { return i.done }

// Exit implements sandbox.Sandbox.
func (i *instance) Exit() sandbox.Exit {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.exit
}

// SetCPU implements sandbox.Sandbox; this level has no quota, as Report says.
func (i *instance) SetCPU(float64) error {
	if i.isClosed() {
		return os.ErrClosed
	}
	return nil
}

// Freeze implements sandbox.Sandbox. Processes can tell: their parent sees them stop.
func (i *instance) Freeze() error { return i.signalAll(syscall.SIGSTOP) }

// Thaw implements sandbox.Sandbox.
func (i *instance) Thaw() error { return i.signalAll(syscall.SIGCONT) }

// Signal implements sandbox.Sandbox.
func (i *instance) Signal(s syscall.Signal) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return os.ErrClosed
	}
	select {
	case <-i.exited:
		return os.ErrProcessDone
	default:
	}
	err := syscall.Kill(i.pid, s)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

func (i *instance) signalAll(s syscall.Signal) error {
	if i.isClosed() {
		return os.ErrClosed
	}
	pids, err := marked(i.mark)
	for _, pid := range pids {
		_ = syscall.Kill(pid, s) // it may be gone
	}
	return err
}

func (i *instance) isClosed() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.closed
}

// Usage implements sandbox.Sandbox. It knows of ended processes only what their parents waited for.
func (i *instance) Usage() (sandbox.Usage, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	select {
	case <-i.done:
		return i.usage, nil
	default:
	}
	pids, err := marked(i.mark)
	if err != nil {
		return i.usage, err
	}
	var cpu time.Duration
	var memory int64
	for _, pid := range pids {
		c, m := measure(pid)
		cpu, memory = cpu+c, memory+m
	}
	i.usage = sandbox.Usage{CPU: max(cpu, i.usage.CPU), Memory: memory, Peak: max(memory, i.usage.Peak)}
	return i.usage, nil
}

// Close implements sandbox.Sandbox.
func (i *instance) Close() error {
	i.mu.Lock()
	select {
	case <-i.done:
	default:
		i.killed = true
	}
	i.mu.Unlock()
	err := killMarked(context.Background(), i.mark)
	i.others.Wait()
	if i.pid > 0 {
		<-i.done
	}
	if err != nil {
		return err
	}
	return i.release()
}

func (i *instance) release() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return nil
	}
	i.closed = true
	for _, l := range i.listeners {
		_ = l.Close() // the user of the sandbox may have closed it
	}
	if i.channel != nil {
		_ = i.channel.Close()
	}
	for _, f := range []*os.File{i.output, i.aside} {
		if f != nil {
			_ = f.Close()
		}
	}
	if i.pid == 0 {
		close(i.done)
		close(i.exited)
	}
	i.maker.forget(i.spec.ID)
	if i.tmp == "" {
		return nil
	}
	return os.RemoveAll(i.tmp)
}
