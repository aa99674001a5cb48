package container

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox/container/stage0"
)

// spawner is the process from which sandboxes are forked: this program once more, taken over by stage 0. It is small, so
// a fork of it copies little, and what is forked needs no exec before the function's own. It dies with the daemon, and
// every sandbox with it.
type spawner struct {
	conn    *conn
	null    *os.File
	pid     int
	done    chan struct{} // closed when the process is gone
	mounter *conn         // without root: to who sees the host's files
}

// startSpawner returns once the spawner is ready. Dir is any directory of the host, see planSpawner.
func startSpawner(dir string) (*spawner, error) {
	lastCap, err := readInt(lastCapFile)
	if err != nil {
		return nil, err
	}
	s, err := startProcess(syscall.CLONE_NEWPID)
	if err == nil {
		if err = s.run(planSpawner(dir, false, nil, lastCap)); err != nil {
			s.close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("start spawner: %w", err)
	}
	return s, nil
}

// startProcess starts a process of stage 0, in new namespaces by the flags. First in a pid namespace, its end is that of all in there.
func startProcess(flags uintptr) (*spawner, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	c, far, err := newConn()
	if err != nil {
		return nil, errors.Join(err, null.Close())
	}
	if err := c.enlarge(stage0.MaxSize); err != nil {
		c.close()
		return nil, errors.Join(err, unix.Close(far), null.Close())
	}
	s := &spawner{conn: c, null: null, done: make(chan struct{})}
	started := make(chan error)
	go s.live(far, flags, started)
	err = <-started
	_ = unix.Close(far)
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// stage0Env keeps a process of stage 0 small and its scheduler quiet.
var stage0Env = []string{"GOGC=off", "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1"}

// live starts the process and reaps it. The thread is never given back: the kernel kills a process with Pdeathsig when
// the thread that started it ends.
func (s *spawner) live(control int, flags uintptr, started chan<- error) {
	defer close(s.done)
	runtime.LockOSThread()
	null := s.null.Fd()
	pid, err := syscall.ForkExec("/proc/self/exe", []string{stage0.Name}, &syscall.ProcAttr{
		Env:   stage0Env,
		Files: []uintptr{null, null, 2, uintptr(control)},
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: flags},
	})
	s.pid = pid
	started <- err
	if err != nil {
		return
	}
	for {
		if _, err := syscall.Wait4(pid, nil, 0, nil); !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// run has the process carry a program out itself.
func (s *spawner) run(p *program) error {
	c, far, err := newConn()
	if err != nil {
		return err
	}
	defer c.close()
	code, err := p.encode()
	if err == nil {
		err = s.conn.send(code, []int{far})
	}
	_ = unix.Close(far)
	if err != nil {
		return err
	}
	m, _, err := c.receive()
	if err != nil {
		return fmt.Errorf("it ended at once: %w", err)
	}
	if m.Kind != stage0.Finished {
		return p.failure(m)
	}
	return nil
}

// alive reports whether the process still is there.
func (s *spawner) alive() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// close ends the process, and every sandbox that is left.
func (s *spawner) close() {
	s.conn.close()
	<-s.done
	_ = s.null.Close()
}
