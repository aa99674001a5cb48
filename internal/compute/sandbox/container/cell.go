package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/cgroup"
	"artesian/internal/compute/sandbox/container/stage0"
	"artesian/internal/faas"
)

// cell is a sandbox whose first process waits for its second program. It implements sandbox.Cell.
type cell struct {
	i      *instance
	made   sandbox.Spec // from what
	layout layout
	ahead  ahead
	stub   *conn // to a main process that waits; nil without one
}

// mostAnswers is how many reports a second program can make: one for each program that cannot be executed, and that it is done.
const mostAnswers = sandbox.MaxBeside + 2

// Prepare implements sandbox.Ahead.
func (m *Maker) Prepare(ctx context.Context, s sandbox.Spec) (sandbox.Cell, error) {
	s.Owner, s.Beside = "cell "+s.ID, nil // no name of a function
	if s.Copy != nil {
		o, err := m.copiedFrom(s)
		if err != nil {
			return nil, err
		}
		s.Owner = o.i.owner // whose ids the template's namespace has, and no others
	}
	if err := checkCell(s); err != nil {
		return nil, err
	}
	if s.Internet && m.offline != nil {
		return nil, faas.Errorf(faas.Unavailable, "sandbox: internet: %v", m.offline)
	}
	i := &instance{maker: m, id: s.ID, owner: s.Owner, main: -1, done: make(chan struct{}), answers: make(chan report, mostAnswers), began: time.Now()}
	i.become(s)
	if err := i.register(); err != nil {
		return nil, err
	}
	defer m.starting.Done()
	c := &cell{i: i, made: s}
	if err := c.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("make cell %s: %w", s.ID, err), i.Close())
	}
	return c, nil
}

// checkCell is Check for what a cell is made from.
func checkCell(s sandbox.Spec) error {
	if s.Fork != nil && !s.Channel {
		return errUnheard
	}
	if !runs(s) || waits(s) {
		if s.Channel {
			return faas.Errorf(faas.Invalid, "sandbox: a cell without a main process has no channel")
		}
		s.Argv, s.Dir = []string{"/"}, "/"
	}
	if s.Fork != nil || copiedAhead(s) {
		s.Argv = []string{"/"}
	}
	if copiedAhead(s) {
		s.Dir = "/" // it is where its template was
	}
	return s.Check()
}

// prepare makes everything up to the first program's end. On an error, Close undoes what was done.
func (c *cell) prepare(ctx context.Context) error {
	i := c.i
	var b baggage
	defer b.close()
	spawner, err := i.prepare(ctx, &b)
	if err != nil {
		return err
	}
	if err := i.control.enlarge(stage0.MaxSize); err != nil {
		return err
	}
	far, later := -1, c.made.Fork != nil || copiedAhead(c.made) // the channel's other end; the main process comes then
	if later {
		if far, err = unix.FcntlInt(uintptr(b.peer), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return err
		}
		defer closeAll([]int{far})
	}
	if waits(c.made) {
		if err := c.prepareStub(&b); err != nil {
			return err
		}
	}
	p, ahead := planCell(c.made, b.layout)
	c.layout, c.ahead = b.layout, ahead
	want := expected{stage0.Ready, socketCount(c.made)}
	there := runs(c.made) && !later
	if there {
		want.fds++
	}
	r, err := i.carryOut(ctx, spawner, &b, p, want)
	if err != nil {
		return err
	}
	if there {
		last := len(r.fds) - 1
		i.main, r.fds = r.fds[last], r.fds[:last]
	}
	if err := i.takeSockets(r.fds); err != nil {
		return err
	}
	switch {
	case c.made.Fork != nil:
		err = c.forkAhead(ctx, far)
	case later:
		err = c.copyAhead(ctx, far)
	}
	if err != nil {
		return err
	}
	if err := c.mindMain(); err != nil {
		return err
	}
	return i.watch()
}

// prepareStub makes what a main process needs that waits for its program.
func (c *cell) prepareStub(b *baggage) (err error) {
	if err := unix.Pipe2(b.gate[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	b.stub, b.layout.stub = -1, true
	if c.stub, b.stub, err = newConn(); err != nil {
		return err
	}
	c.i.stub = c.stub
	return c.stub.enlarge(stage0.MaxSize)
}

// mindMain ends a cell whose main process ends: its first process does not look.
func (c *cell) mindMain() error {
	if c.i.main < 0 {
		return nil
	}
	main, err := c.i.mainFile()
	if err != nil {
		return err
	}
	go func() {
		awaitProcess(main)
		_ = main.Close()
		c.i.mu.Lock()
		taken := c.i.taken
		c.i.mu.Unlock()
		if !taken {
			c.i.kill()
		}
	}()
	return nil
}

// mainFile is another descriptor of the main process.
func (i *instance) mainFile() (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(i.main), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "main process"), nil
}

// ID implements sandbox.Cell.
func (c *cell) ID() string { return c.i.id }

// Done implements sandbox.Cell.
func (c *cell) Done() <-chan struct{} { return c.i.done }

// Close implements sandbox.Cell.
func (c *cell) Close() error {
	if !c.i.claim() {
		return nil
	}
	return c.i.Close()
}

// claim reports whether nobody has decided yet what becomes of a cell; who asks has.
func (i *instance) claim() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.taken {
		return false
	}
	i.taken = true
	return true
}

// Become implements sandbox.Cell.
func (c *cell) Become(ctx context.Context, s sandbox.Spec) (sandbox.Sandbox, error) {
	began := time.Now()
	if err := s.Check(); err != nil {
		return nil, err
	}
	if (s.Fork != nil || s.Copy != nil) && !s.Channel {
		return nil, errUnheard
	}
	mounts, err := lacking(c.made, s)
	if err != nil {
		return nil, err
	}
	if err := c.i.maker.enter(); err != nil {
		return nil, err
	}
	defer c.i.maker.starting.Done()
	if !c.i.claim() {
		return nil, os.ErrClosed
	}
	c.i.began = began
	if err := c.become(ctx, s, mounts); err != nil {
		return nil, errors.Join(fmt.Errorf("make cell %s a sandbox: %w", c.i.id, err), c.i.Close())
	}
	return c.i, nil
}

// enter begins what Close waits for.
func (m *Maker) enter() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return os.ErrClosed
	}
	m.starting.Add(1)
	return nil
}

// become makes what the second program needs, sends it and waits until it is done. On an error, Close undoes what was done.
func (c *cell) become(ctx context.Context, s sandbox.Spec, mounts []sandbox.Mount) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := patience(ctx, s)
	defer cancel()
	if err := c.limit(s); err != nil {
		return err
	}
	ch := change{mounts: mounts, channel: s.Channel && !c.made.Channel && s.Fork == nil && s.Copy == nil && !waits(c.made)}
	fds, err := c.baggage(ctx, s, &ch)
	defer func() { closeAll(fds) }()
	if err != nil {
		return err
	}
	if s.Fork != nil && !runs(c.made) {
		if ch.forked, err = c.forkNow(ctx, s); err != nil {
			return err
		}
	}
	if s.Copy != nil && !runs(c.made) {
		if ch.forked, err = c.copyNow(ctx, s); err != nil {
			return err
		}
	}
	c.i.become(s)
	p := planBecome(c.made, s, c.layout, c.ahead, ch)
	code, err := p.encode()
	if err != nil {
		return err
	}
	var last *program
	if waits(c.made) {
		if last, err = c.sendLast(s); err != nil {
			return err
		}
	}
	if copiedAhead(c.made) {
		if err := c.i.Thaw(); err != nil {
			return err
		}
	}
	if err := c.i.control.send(code, fds); err != nil {
		return fmt.Errorf("send program: %w", err)
	}
	stop := context.AfterFunc(ctx, c.i.abort)
	err = c.await(p, last)
	if !stop() {
		err = errors.Join(ctx.Err(), errEnded, err)
	}
	return err
}

// await waits until what was sent is done.
func (c *cell) await(p, last *program) error {
	r, ok := <-c.i.answers
	if !ok {
		return errEnded
	}
	if err := c.answered(p, r); err != nil || last == nil {
		return err
	}
	m, fds, err := c.stub.receive()
	closeAll(fds)
	switch {
	case errors.Is(err, io.EOF): // the socket ends with the execution
		c.stub.close()
		c.i.phases.Exec = time.Since(c.i.began) - c.i.phases.Sandbox
		return nil
	case err != nil:
		return err
	}
	return last.failure(m)
}

// sendLast tells the main process that waits what to execute.
func (c *cell) sendLast(s sandbox.Spec) (*program, error) {
	p := planLast(s, c.ahead)
	code, err := p.encode()
	if err != nil {
		return nil, err
	}
	var fds []int
	if s.Channel {
		if fds, err = c.openChannel(); err != nil {
			return nil, err
		}
	}
	err = c.stub.send(code, fds)
	closeAll(fds)
	if err != nil {
		return nil, fmt.Errorf("send program: %w", err)
	}
	return p, nil
}

// openChannel makes the channel and returns the other end's descriptor.
func (c *cell) openChannel() (fds []int, err error) {
	c.i.mu.Lock()
	defer c.i.mu.Unlock()
	if c.i.closed {
		return nil, os.ErrClosed
	}
	var far int
	if c.i.channel, far, err = newChannel(); err != nil {
		return nil, err
	}
	return []int{far}, nil
}

var errEnded = errors.New("it ended before its program ran")

// limit sets the limits of s, where they differ from the cell's, and has the disk keep room for its /tmp.
func (c *cell) limit(s sandbox.Spec) error {
	i := c.i
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return os.ErrClosed
	}
	if err := i.tmp.settle(); err != nil {
		return err
	}
	if runs(c.made) && !waits(c.made) {
		used, err := i.group.Counters()
		if err != nil {
			return err
		}
		i.before = used.CPU
	}
	if s.MemoryMB == c.made.MemoryMB && s.Pids == c.made.Pids {
		return nil
	}
	c.layout.limitPids(s.Pids)
	return i.group.Limit(groupLimits(s))
}

func groupLimits(s sandbox.Spec) cgroup.Limits {
	return cgroup.Limits{Memory: int64(s.MemoryMB) << 20, Pids: s.Pids + 1}
}

// baggage makes the descriptors that travel with the second program, in its order.
func (c *cell) baggage(ctx context.Context, s sandbox.Spec, ch *change) (fds []int, err error) {
	if len(ch.mounts) > 0 {
		spawner, err := c.i.maker.working(ctx)
		if err != nil {
			return nil, err
		}
		if fds, ch.dirs, err = spawner.mounts(ch.mounts); err != nil {
			return fds, err
		}
	}
	c.i.mu.Lock()
	defer c.i.mu.Unlock()
	if c.i.closed {
		return fds, os.ErrClosed
	}
	if ch.channel {
		var far int
		if c.i.channel, far, err = newChannel(); err != nil {
			return fds, err
		}
		fds = append(fds, far)
	}
	if len(s.Beside) > 0 {
		var far int
		if c.i.aside, far, err = newOutput(); err != nil {
			return fds, err
		}
		fds = append(fds, far)
	}
	return fds, nil
}

// unanswered lets go of what nobody has taken over. No more comes.
func (i *instance) unanswered() {
	if !i.watched || i.answers == nil {
		return
	}
	for r := range i.answers {
		closeAll(r.fds)
	}
}

// answered takes over what the second program has reported.
func (c *cell) answered(p *program, r report) error {
	i := c.i
	switch {
	case r.Kind == stage0.Failed:
		closeAll(r.fds)
		return p.failure(r.Message)
	case runs(c.made) && len(r.fds) == 0:
		return i.runs(r.Message, i.main)
	case runs(c.made) || len(r.fds) != 1:
		closeAll(r.fds)
		return fmt.Errorf("unexpected report %d with %d descriptors", r.Kind, len(r.fds))
	}
	if err := i.runs(r.Message, r.fds[0]); err != nil {
		return err
	}
	if w := i.watcher(); w != nil {
		return i.beginWatch(w)
	}
	return nil
}
