package container

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/container/stage0"
)

// entry is a sandbox for a zygote's child to enter: descriptors, which stay the caller's, and what planEntry asks of a plan.
type entry struct {
	spec   sandbox.Spec // of which Files is looked at
	layout layout       // with group and joins as the descriptors below are, and pids where RLIMIT_NPROC is to be set

	namespaces []int // in the order of namespaceFiles
	null       int   // the spawner's
	output     int   // becomes stdout and stderr
	channel    int   // becomes descriptor 3
	group      int   // the cgroup2 directory, unless layout.group is false
	joins      []int // the files of v1 cgroups to write to
}

// fork has a zygote fork into a sandbox. It returns the child's process id inside once that is as isolated as a main
// process is, and before it has read anything from its channel. Its parent then is the sandbox's first process.
func (z *zygote) fork(ctx context.Context, e entry) (pid int, err error) {
	control, far, err := newConn()
	if err != nil {
		return 0, err
	}
	defer control.close()
	answered := make(chan struct{})
	defer close(answered)
	go z.mind(answered, control)
	p := planEntry(e.spec, e.layout)
	code, err := p.encode()
	if err == nil {
		fds := append(append([]int{far}, e.namespaces...), e.null, e.output, e.channel)
		if e.layout.group {
			fds = append(fds, e.group)
		}
		err = z.ask(code, append(fds, e.joins...))
	}
	_ = unix.Close(far)
	if err != nil {
		return 0, fmt.Errorf("ask zygote %s: %w", z.spec.ID, err)
	}
	z.forks.Add(1)
	stop := context.AfterFunc(ctx, control.close)
	pid, err = born(control, p)
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		return 0, fmt.Errorf("fork from zygote %s: %w", z.spec.ID, err)
	}
	z.born.Add(1)
	return pid, nil
}

// mind ends the zygote, and the wait for it, when it has forked nothing for as long as its patience. Who asks may be one of many.
func (z *zygote) mind(answered chan struct{}, control *conn) {
	look := time.NewTicker(z.patience)
	defer look.Stop()
	for before := z.born.Load(); ; {
		select {
		case <-answered:
			return
		case <-look.C:
		}
		now := z.born.Load()
		if now == before {
			z.maker.log.Warn("zygote does not fork; it is ended", "zygote", z.spec.ID)
			_ = endProcess(z.process)
			control.close()
			return
		}
		before = now
	}
}

// ask sends a program with its descriptors. The zygote reads a length in four bytes, with which they come, and then the
// program.
func (z *zygote) ask(code []byte, fds []int) error {
	z.asking.Lock()
	defer z.asking.Unlock()
	head := binary.BigEndian.AppendUint32(nil, uint32(len(code)))
	n, _, err := z.channel.WriteMsgUnix(head, unix.UnixRights(fds...), nil)
	if err == nil && n < len(head) {
		err = io.ErrShortWrite
	}
	if err == nil {
		_, err = z.channel.Write(code)
	}
	if err != nil { // half a program may be there: nobody can ask for anything any more
		_ = endProcess(z.process)
	}
	return err
}

// born follows the reports of a zygote's child until the socket ends: it holds nothing from outside then.
func born(control *conn, p *program) (pid int, err error) {
	for {
		m, fds, err := control.receive()
		closeAll(fds)
		switch {
		case errors.Is(err, io.EOF) && pid > 0:
			return pid, nil
		case errors.Is(err, io.EOF):
			return 0, errors.New("it ended before it had forked")
		case err != nil:
			return 0, err
		case m.Kind == stage0.Failed:
			return 0, p.failure(m)
		case m.Kind != stage0.Spawned || m.Value <= 1:
			return 0, fmt.Errorf("unexpected report %d", m.Kind)
		}
		pid = int(m.Value)
	}
}
