package container

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/container/stage0"
	"artesian/internal/faas"
)

// plainPrefix begins the name of a directory that serves as /tmp where no file system of its own can be made.
const plainPrefix = "plain-"

// Start implements sandbox.Maker.
func (m *Maker) Start(ctx context.Context, s sandbox.Spec) (sandbox.Sandbox, error) {
	return m.begin(ctx, s, false)
}

// begin is Start, also of what hosts a kernel of its own.
func (m *Maker) begin(ctx context.Context, s sandbox.Spec, hosts bool) (sandbox.Sandbox, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if s.Fork != nil {
		return m.startForked(ctx, s)
	}
	if s.Copy != nil {
		return m.startCopied(ctx, s)
	}
	if s.Internet && m.offline != nil {
		return nil, faas.Errorf(faas.Unavailable, "sandbox: internet: %v", m.offline)
	}
	i := &instance{maker: m, id: s.ID, hosts: hosts, owner: s.Owner, main: -1, done: make(chan struct{}), began: time.Now()}
	i.become(s)
	if err := i.register(); err != nil {
		return nil, err
	}
	defer m.starting.Done()
	if err := i.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start sandbox %s: %w", s.ID, err), i.Close())
	}
	return i, nil
}

// register makes the sandbox known to Close, which waits for a start under way.
func (i *instance) register() error {
	m := i.maker
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return os.ErrClosed
	}
	if m.live[i.id] != nil {
		return faas.Errorf(faas.Conflict, "sandbox: id %q is in use", i.id)
	}
	m.live[i.id] = i
	m.starting.Add(1)
	return nil
}

// start makes everything and waits until the function's program runs. On an error, Close undoes what was done.
func (i *instance) start(ctx context.Context) error {
	var b baggage
	defer b.close()
	spawner, err := i.prepare(ctx, &b)
	if err != nil {
		return err
	}
	r, err := i.carryOut(ctx, spawner, &b, plan(i.spec, b.layout), expected{stage0.Running, socketCount(i.spec) + 1})
	if err != nil {
		return err
	}
	last := len(r.fds) - 1
	if err := errors.Join(i.runs(r.Message, r.fds[last]), i.takeSockets(r.fds[:last])); err != nil {
		return err
	}
	return i.watch()
}

// carryOut has the spawner make the first process, which carries p out, and returns what is expected of that.
func (i *instance) carryOut(ctx context.Context, s *spawner, b *baggage, p *program, want expected) (report, error) {
	code, err := p.encode()
	if err != nil {
		return report{}, err
	}
	if err := s.conn.send(code, b.fds()); err != nil {
		return report{}, fmt.Errorf("ask spawner: %w", err)
	}
	b.close() // so that the socket ends with the other side
	stop := context.AfterFunc(ctx, i.abort)
	r, err := i.await(p, want)
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		closeAll(r.fds)
		return report{}, err
	}
	if i.tmp != nil {
		i.tmp.attached()
	}
	return r, nil
}

// baggage is what travels with a program, in the order of slots.
type baggage struct {
	layout                layout
	null                  int // the spawner's
	control, output, peer int
	aside                 int
	stub                  int    // only with layout.stub, as is
	gate                  [2]int // a pipe
	within                int    // a template's first process, in another descriptor
	group                 int    // the cgroup's
	joins, mounts         []int
	tmp                   int
	closed                bool
}

func (b *baggage) fds() []int {
	fds := []int{b.control, b.null, b.output}
	if b.peer >= 0 {
		fds = append(fds, b.peer)
	}
	if b.layout.group {
		fds = append(fds, b.group)
	}
	fds = append(append(fds, b.joins...), b.mounts...)
	if b.tmp >= 0 {
		fds = append(fds, b.tmp)
	}
	if b.aside >= 0 {
		fds = append(fds, b.aside)
	}
	if b.layout.stub {
		fds = append(fds, b.stub, b.gate[0], b.gate[1])
	}
	if b.layout.within {
		fds = append(fds, b.within)
	}
	return fds
}

func (b *baggage) close() {
	if b.closed {
		return
	}
	b.closed = true
	closeAll([]int{b.control, b.output, b.peer, b.aside, b.within})
	if b.layout.stub {
		closeAll([]int{b.stub, b.gate[0], b.gate[1]})
	}
	closeAll(b.joins)
	closeAll(b.mounts)
}

// prepare makes what the daemon has to make itself, for the spawner that comes back.
func (i *instance) prepare(ctx context.Context, b *baggage) (*spawner, error) {
	b.control, b.output, b.peer, b.aside, b.tmp, b.group, b.within = -1, -1, -1, -1, -1, -1, -1
	spawner, err := i.maker.working(ctx)
	if err != nil {
		return nil, err
	}
	b.null = int(spawner.null.Fd())
	return spawner, i.prepareFor(ctx, b, spawner)
}

func (i *instance) prepareFor(ctx context.Context, b *baggage, spawner *spawner) (err error) {
	m, s := i.maker, i.spec
	if i.uid, err = m.uids.take(i.owner); err != nil {
		return err
	}
	b.layout = m.layout
	b.layout.hostUID, b.layout.hosts = i.uid, i.hosts
	if s.Template {
		b.layout.stays = 1
	}
	if err := i.prepareBounds(b); err != nil {
		return err
	}
	if b.mounts, b.layout.dirs, err = spawner.mounts(s.Mounts); err != nil {
		return err
	}
	if s.Copy != nil {
		o, err := m.copiedFrom(s)
		if err == nil {
			err = i.nested(b, o)
		}
		if err != nil {
			return err
		}
	}
	if err := i.prepareTmp(ctx, &b.layout); err != nil {
		return err
	}
	if i.tmp != nil {
		b.tmp = i.tmp.mount
	}
	return i.preparePipes(b)
}

// prepareBounds makes the control group, or what is in place of one.
func (i *instance) prepareBounds(b *baggage) error {
	m, s := i.maker, i.spec
	if m.tree == nil {
		b.layout.tend = true
		b.layout.limitPids(s.Pids)
		i.hold(newWatched(int64(s.MemoryMB) << 20))
		return nil
	}
	group, err := m.tree.New(s.ID, groupLimits(s))
	if err != nil {
		return err
	}
	i.hold(group)
	b.group = group.Dir()
	b.layout.group = b.group >= 0
	if b.joins, err = group.Joins(); err != nil {
		return err
	}
	b.layout.joins = len(b.joins)
	return nil
}

func (i *instance) hold(b bounds) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.group = b
}

// openMount clones what is at source as a read-only mount that is attached nowhere. It is made here and not inside: what
// root inside may reach of the host is nothing.
func openMount(source string) (fd int, dir bool, err error) {
	fd, err = unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, false, err
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE}
	var st unix.Stat_t
	err = errors.Join(unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr), unix.Fstat(fd, &st))
	if err != nil {
		return -1, false, errors.Join(err, unix.Close(fd))
	}
	return fd, st.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}

// prepareTmp makes the file system for /tmp, or a plain directory where that cannot be. Without root it is made inside.
func (i *instance) prepareTmp(ctx context.Context, l *layout) (err error) {
	if !i.maker.standing.root {
		l.tmpMB = i.spec.TmpMB
		return nil
	}
	uid, gid := i.uid+1, i.uid+1
	if i.maker.noDisks == nil {
		i.tmp, err = i.maker.disks.new(ctx, i.spec.TmpMB, uid, gid, i.answers != nil)
		return err
	}
	dir := filepath.Join(i.maker.dir, plainPrefix+i.id)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	i.plain = dir
	if err := errors.Join(os.Chown(dir, uid, gid), os.Chmod(dir, 0o1777)); err != nil {
		return err
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	i.tmp = &disk{mount: fd, root: -1}
	return unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{
		Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE})
}

// preparePipes makes the ways between the daemon and the sandbox.
func (i *instance) preparePipes(b *baggage) (err error) {
	if i.control, b.control, err = newConn(); err != nil {
		return err
	}
	if i.output, b.output, err = newOutput(); err != nil {
		return err
	}
	if len(i.spec.Beside) > 0 {
		if i.aside, b.aside, err = newOutput(); err != nil {
			return err
		}
	}
	if i.spec.Channel {
		i.channel, b.peer, err = newChannel()
	}
	if err == nil && i.spec.Channel && i.spec.Template {
		i.far, err = os.Readlink("/proc/self/fd/" + itoa(b.peer))
	}
	return err
}

// newChannel makes a stream socket and returns our end and the descriptor of the other, which the caller closes.
func newChannel() (*net.UnixConn, int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, -1, fmt.Errorf("open channel: %w", err)
	}
	near := os.NewFile(uintptr(pair[0]), "sandbox channel")
	c, err := net.FileConn(near)
	err = errors.Join(err, near.Close())
	if err != nil {
		return nil, -1, errors.Join(fmt.Errorf("open channel: %w", err), unix.Close(pair[1]))
	}
	return c.(*net.UnixConn), pair[1], nil
}

// newOutput makes a pipe and returns our end and the descriptor of the other, which the caller closes.
func newOutput() (*os.File, int, error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return nil, -1, fmt.Errorf("open pipe: %w", err)
	}
	if err := unix.SetNonblock(pipe[0], true); err != nil {
		return nil, -1, errors.Join(err, unix.Close(pipe[0]), unix.Close(pipe[1]))
	}
	return os.NewFile(uintptr(pipe[0]), "sandbox output"), pipe[1], nil
}
