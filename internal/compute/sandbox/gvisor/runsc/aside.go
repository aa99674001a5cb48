package runsc

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/sentry/control"
	"gvisor.dev/gvisor/pkg/sentry/kernel/auth"

	"artesian/internal/compute/sandbox/gvisor/wire"
)

// Programs beside the main one may outlive it, and the end of a container's first process is the end of all. So the first one
// is a reaper then, and the main one is executed beside it, after the others.

// startAll executes the programs. Files are the channel, if there is one, and the others' output.
func (s *supervisor) startAll(p wire.Program, files []*os.File) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer func() { _ = null.Close() }()
	main := map[int]*os.File{0: null, 1: os.Stdout, 2: os.Stderr}
	if p.Channel {
		main[controlFD] = files[0]
		files = files[1:]
	}
	if len(files) == 0 {
		return errors.New("the order lacks the output of programs beside")
	}
	for _, b := range p.Beside {
		if err := s.execute(p, b, map[int]*os.File{0: null, 1: files[0], 2: files[0]}); err != nil {
			return err
		}
	}
	return s.execute(p, wire.Aside{Argv: p.Argv, Env: p.Env}, main)
}

func (s *supervisor) execute(p wire.Program, a wire.Aside, files map[int]*os.File) error {
	pid, err := s.inside.Execute(s.conf, &control.ExecArgs{
		Argv: a.Argv, Envv: a.Env, WorkingDirectory: p.Dir,
		KUID: auth.KUID(insideUID), KGID: auth.KGID(insideGID),
		NoNewPrivileges: true, Capabilities: &auth.TaskCapabilities{},
		FilePayload: control.NewFilePayload(files, nil),
	})
	if err != nil {
		return fmt.Errorf("execute %s: %w", a.Argv[0], err)
	}
	s.all = append(s.all, pid)
	return nil
}

// waitAll tells of each end, and returns with the last.
func (s *supervisor) waitAll() error {
	var ended sync.WaitGroup
	errs := make([]error, len(s.all))
	for n, pid := range s.all {
		ended.Go(func() {
			status, err := s.inside.WaitPID(pid)
			news := wire.News{Kind: wire.Left, Program: n, Status: uint32(status)}
			if n == len(s.all)-1 {
				news.Kind = wire.Exited
			}
			if errs[n] = err; err == nil {
				s.tell(news)
			}
		})
	}
	ended.Wait()
	return errors.Join(errs...)
}

// signal sends a signal to the main process.
func (s *supervisor) signal(n unix.Signal) error {
	if len(s.all) > 0 {
		return s.inside.SignalProcess(n, s.all[len(s.all)-1])
	}
	return s.inside.SignalContainer(n, false)
}
