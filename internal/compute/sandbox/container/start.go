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
	"artesian/internal/compute/sandbox/cgroup"
	"artesian/internal/faas"
)

// plainPrefix begins the name of a directory that serves as /tmp where no file system of its own can be made.
const plainPrefix = "plain-"

// Start implements sandbox.Maker.
func (m *Maker) Start(ctx context.Context, s sandbox.Spec) (sandbox.Sandbox, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if s.Fork != nil {
		return nil, faas.Errorf(faas.Invalid, "sandbox: fork: this level forks from no zygote")
	}
	if s.Internet && m.offline != nil {
		return nil, faas.Errorf(faas.Unavailable, "sandbox: internet: %v", m.offline)
	}
	i := &instance{maker: m, spec: s, main: -1, done: make(chan struct{}), ended: make(chan sandbox.Ended, len(s.Beside)), began: time.Now()}
	if len(s.Beside) > 0 {
		i.exited = make(chan struct{})
	}
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
	if m.live[i.spec.ID] != nil {
		return faas.Errorf(faas.Conflict, "sandbox: id %q is in use", i.spec.ID)
	}
	m.live[i.spec.ID] = i
	m.starting.Add(1)
	return nil
}

// start makes everything and waits until the function's program runs. On an error, Close undoes what was done.
func (i *instance) start(ctx context.Context) error {
	spawner, err := i.maker.working(ctx)
	if err != nil {
		return err
	}
	var b baggage
	defer b.close()
	if err := i.prepare(ctx, &b, spawner); err != nil {
		return err
	}
	p := plan(i.spec, b.layout)
	code, err := p.encode()
	if err != nil {
		return err
	}
	if err := spawner.conn.send(code, b.fds()); err != nil {
		return fmt.Errorf("ask spawner: %w", err)
	}
	b.close() // so that the socket ends with the other side
	stop := context.AfterFunc(ctx, i.abort)
	err = i.await(p)
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		return err
	}
	if i.tmp != nil {
		i.tmp.attached()
	}
	return i.watch()
}

// baggage is what travels with a program, in the order of slots.
type baggage struct {
	layout                layout
	null                  int // the spawner's
	control, output, peer int
	aside                 int
	group                 int // the cgroup's
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
	return fds
}

func (b *baggage) close() {
	if b.closed {
		return
	}
	b.closed = true
	closeAll([]int{b.control, b.output, b.peer, b.aside})
	closeAll(b.joins)
	closeAll(b.mounts)
}

// prepare makes what the daemon has to make itself.
func (i *instance) prepare(ctx context.Context, b *baggage, spawner *spawner) (err error) {
	m, s := i.maker, i.spec
	b.control, b.output, b.peer, b.aside, b.tmp, b.group, b.null = -1, -1, -1, -1, -1, -1, int(spawner.null.Fd())
	if i.uid, err = m.uids.take(s.Owner); err != nil {
		return err
	}
	b.layout = m.layout
	b.layout.hostUID = i.uid
	if err := i.prepareBounds(b); err != nil {
		return err
	}
	var sources []string
	for _, mount := range s.Mounts {
		sources = append(sources, mount.Source)
	}
	if b.mounts, b.layout.dirs, err = spawner.mounts(sources); err != nil {
		return err
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
		b.layout.tend, b.layout.pids = true, s.Pids
		if b.layout.lone {
			b.layout.pids++ // the first process is the same user's
		}
		i.hold(newWatched(int64(s.MemoryMB) << 20))
		return nil
	}
	group, err := m.tree.New(s.ID, cgroup.Limits{Memory: int64(s.MemoryMB) << 20, Pids: s.Pids + 1})
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
		i.tmp, err = i.maker.disks.new(ctx, i.spec.TmpMB, uid, gid)
		return err
	}
	dir := filepath.Join(i.maker.dir, plainPrefix+i.spec.ID)
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
	if !i.spec.Channel {
		return nil
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	b.peer = pair[1]
	near := os.NewFile(uintptr(pair[0]), "sandbox channel")
	c, err := net.FileConn(near)
	err = errors.Join(err, near.Close())
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	i.channel = c.(*net.UnixConn)
	return nil
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
