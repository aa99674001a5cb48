package container

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/cgroup"
	"artesian/internal/faas"
)

// copyWait bounds how long a copy may take until it runs and its first process knows it.
const copyWait = 5 * time.Second

// copiedFrom returns the template of s, which must be one of this maker.
func (m *Maker) copiedFrom(s sandbox.Spec) (*original, error) {
	o, ok := s.Copy.(*original)
	if !ok || o.i.maker != m {
		return nil, faas.Errorf(faas.Invalid, "sandbox: copy: the template is another maker's")
	}
	select {
	case <-o.done:
		return nil, errGone
	default:
		return o, nil
	}
}

// startCopied is Start for a copy.
func (m *Maker) startCopied(ctx context.Context, s sandbox.Spec) (sandbox.Sandbox, error) {
	made := s
	made.Argv, made.Env, made.Dir, made.Channel, made.Beside = nil, nil, "", false, nil
	c, err := m.Prepare(ctx, made)
	if err != nil {
		return nil, err
	}
	b, err := c.Become(ctx, s)
	return b, errors.Join(err, c.Close())
}

// nested has a sandbox made where copies of o can enter it. The result is to be closed.
func (i *instance) nested(b *baggage, o *original) error {
	if !o.join() {
		return errGone
	}
	i.within = o
	b.layout.within, b.layout.number = true, firstNumber+rand.IntN(lastNumber-firstNumber)
	return lend(o.i, func(first, _ int) (err error) {
		b.within, err = unix.FcntlInt(uintptr(first), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
}

// Process ids inside begin between these.
const (
	firstNumber = 1000
	lastNumber  = 30000
)

// patience bounds how long a copy may take: what it says is its function's word.
func patience(ctx context.Context, s sandbox.Spec) (context.Context, context.CancelFunc) {
	if s.Copy == nil {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, copyWait)
}

// copyAhead has the template of what the cell was made from copied into it, and freezes all: until the cell is a sandbox nothing of
// the function's runs in it.
func (c *cell) copyAhead(ctx context.Context, far int) error {
	ctx, cancel := patience(ctx, c.made)
	defer cancel()
	pid, err := c.copy(ctx, c.made, far)
	if err == nil {
		err = c.adoptAhead(ctx, pid)
	}
	if err == nil {
		err = c.i.Freeze()
	}
	return err
}

// copyNow has the template of s copied into a cell that has no main process, and makes its channel.
func (c *cell) copyNow(ctx context.Context, s sandbox.Spec) (pid int, err error) {
	near, far, err := newChannel()
	if err != nil {
		return 0, err
	}
	defer closeAll([]int{far})
	c.i.mu.Lock()
	c.i.channel = near
	c.i.mu.Unlock()
	return c.copy(ctx, s, far)
}

// copy has the template of s copied into the cell, with far as the other end of the channel. The copy's process id comes back.
func (c *cell) copy(ctx context.Context, s sandbox.Spec, far int) (pid int, err error) {
	o, err := c.i.maker.copiedFrom(s)
	if err != nil {
		return 0, err
	}
	near := c.i.channel
	err = c.i.use(func() error {
		channel, err := unix.FcntlInt(uintptr(far), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return err
		}
		a := ask{}
		var joins []int
		a.fds, joins, err = c.doors(ctx, channel, &a.like)
		defer closeAll(append(a.fds, joins...))
		if err != nil {
			return err
		}
		a.fds = append(a.fds, joins...)
		a.uid = c.i.uid + 1
		a.enter, a.copy = planEnter(len(joins)), planCopy(s, c.layout, len(joins), o.dir)
		stop := context.AfterFunc(ctx, func() { _ = near.SetDeadline(time.Unix(1, 0)) })
		pid, err = o.copy(ctx, a, near)
		if !stop() {
			err = errors.Join(ctx.Err(), err)
		}
		return err
	})
	return pid, err
}

// doors opens what leads into a cell, in the order of copied; what enters control groups is apart. The cell's first process is what
// the copy is to be like.
func (c *cell) doors(ctx context.Context, channel int, like *likeness) (fds, joins []int, err error) {
	i := c.i
	spawner, err := i.maker.working(ctx)
	if err != nil {
		return []int{channel}, nil, err
	}
	err = lend(i, func(first, output int) error {
		if fds, err = namespacesOf(first); err != nil {
			return err
		}
		pid, _, err := numbers(first)
		if err != nil {
			return err
		}
		if *like, err = likenessOf(pid); err != nil {
			return err
		}
		if again, _, err := numbers(first); err != nil || again != pid {
			return errors.Join(os.ErrProcessDone, err)
		}
		null, err := unix.FcntlInt(spawner.null.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return err
		}
		fds = append(fds, null)
		out, err := unix.Open("/proc/self/fd/"+itoa(output), unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open output: %w", err)
		}
		fds = append(fds, out)
		return nil
	})
	fds = append(fds, channel)
	if err != nil {
		return fds, nil, err
	}
	g, ok := i.group.(*cgroup.Group)
	if !ok {
		return fds, nil, errNoCopies
	}
	if joins, err = g.Joins(); err != nil || g.Dir() < 0 {
		return fds, joins, err
	}
	// To be born in the directory takes a right that only the platform has; to be moved there takes the one that the file is opened with.
	procs, err := unix.Openat(g.Dir(), "cgroup.procs", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		joins = append(joins, procs)
	}
	return fds, joins, err
}
