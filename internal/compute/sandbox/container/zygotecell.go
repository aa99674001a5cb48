package container

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/cgroup"
	"artesian/internal/compute/sandbox/container/stage0"
	"artesian/internal/faas"
)

var errUnheard = faas.Errorf(faas.Invalid, "sandbox: fork: what a zygote forks has a channel")

// startForked is Start for a main process that is forked from a zygote: into a cell that is made for it.
func (m *Maker) startForked(ctx context.Context, s sandbox.Spec) (sandbox.Sandbox, error) {
	made := s
	made.Mounts, made.Argv, made.Env, made.Dir, made.Channel, made.Beside, made.Fork = nil, nil, nil, "", false, nil, nil
	c, err := m.Prepare(ctx, made)
	if err != nil {
		return nil, err
	}
	b, err := c.Become(ctx, s)
	return b, errors.Join(err, c.Close())
}

// forkAhead has the zygote of what the cell was made from fork its main process into it. channel is that one's end. The cell's
// first process has carried out its first program.
func (c *cell) forkAhead(ctx context.Context, channel int) error {
	pid, err := c.fork(ctx, c.made, channel)
	if err != nil {
		return err
	}
	return c.adoptAhead(ctx, pid)
}

// adoptAhead has the first process take in a main process that it has not forked.
func (c *cell) adoptAhead(ctx context.Context, pid int) error {
	var p *program
	p, c.ahead = planAdopt(pid, c.ahead)
	code, err := p.encode()
	if err != nil {
		return err
	}
	i := c.i
	if err := i.control.send(code, nil); err != nil {
		return fmt.Errorf("send program: %w", err)
	}
	stop := context.AfterFunc(ctx, i.abort)
	r, err := i.await(p, expected{stage0.Ready, 1})
	if !stop() {
		closeAll(r.fds)
		return errors.Join(ctx.Err(), err)
	}
	if err == nil {
		i.main = r.fds[0]
	}
	return err
}

// forkNow has the zygote of s fork a main process into a cell that has none, and makes its channel. What the child needs of the
// sandbox's view it asks for after its assignment, and that comes later.
func (c *cell) forkNow(ctx context.Context, s sandbox.Spec) (pid int, err error) {
	near, far, err := newChannel()
	if err != nil {
		return 0, err
	}
	defer closeAll([]int{far})
	c.i.mu.Lock()
	c.i.channel = near
	c.i.mu.Unlock()
	return c.fork(ctx, s, far)
}

// fork has the zygote of s fork into the cell.
func (c *cell) fork(ctx context.Context, s sandbox.Spec, channel int) (pid int, err error) {
	i := c.i
	z, err := i.maker.forkedFrom(s)
	if err != nil {
		return 0, err
	}
	spawner, err := i.maker.working(ctx)
	if err != nil {
		return 0, err
	}
	e := entry{spec: s, layout: c.layout, channel: channel, null: int(spawner.null.Fd()), group: -1}
	e.layout.group, e.layout.joins = false, 0
	err = i.use(func() error {
		return lend(i, func(first, output int) error { // nothing is released meanwhile
			if e.namespaces, err = namespacesOf(first); err != nil {
				return err
			}
			defer closeAll(e.namespaces)
			if e.output, err = unix.Open("/proc/self/fd/"+itoa(output), unix.O_WRONLY|unix.O_CLOEXEC, 0); err != nil {
				return fmt.Errorf("open output: %w", err)
			}
			defer closeAll([]int{e.output})
			if g, ok := i.group.(*cgroup.Group); ok {
				e.group = g.Dir()
				if err := g.Admit(z.who.uid); err != nil {
					return err
				}
				if e.joins, err = g.Joins(); err != nil {
					return err
				}
				e.layout.group, e.layout.joins = e.group >= 0, len(e.joins)
				defer closeAll(e.joins)
			}
			pid, err = z.fork(ctx, e)
			return err
		})
	})
	return pid, err
}

// lend calls f with the descriptors of the first process and of our end of the output.
func lend(i *instance, f func(first, output int) error) error {
	first, err := i.first.SyscallConn()
	if err != nil {
		return err
	}
	output, err := i.output.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	err = first.Control(func(a uintptr) {
		err := output.Control(func(b uintptr) { result = f(int(a), int(b)) })
		result = errors.Join(result, err)
	})
	return errors.Join(err, result)
}
