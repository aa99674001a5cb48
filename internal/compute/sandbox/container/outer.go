package container

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/container/stage0"
)

// Without root there is one user namespace around all sandboxes, in which the spawner is root over the ids that we have.
// Three processes of stage 0 make it: the launcher, which we start; the mounter, its child, first process of the pid
// namespace there, which sees the host's files and clones mounts of them; and its child, the spawner, which does not.
// Whichever of them dies, all others and all sandboxes die too.

// startRootless is startSpawner without root.
func startRootless(dir string, s standing) (*spawner, error) {
	launcher, err := startProcess(0)
	if err != nil {
		return nil, fmt.Errorf("start launcher: %w", err)
	}
	b := &spawner{null: launcher.null, done: launcher.done}
	err = b.enter(launcher, s)
	if err == nil {
		all, _ := readShares()
		err = b.run(planSpawner(dir, true, all, 0))
	}
	if err != nil {
		for _, c := range []*conn{b.conn, b.mounter} {
			if c != nil {
				c.close()
			}
		}
		launcher.close()
		return nil, fmt.Errorf("start spawner: %w", s.hints(err))
	}
	return b, nil
}

// enter starts the mounter and the spawner, and sees to it that all end with the spawner.
func (b *spawner) enter(launcher *spawner, s standing) error {
	mounter, first, err := execute(launcher.conn, planOuter(), s.mapInto)
	if err != nil {
		return err
	}
	b.mounter = mounter
	if err := errors.Join(mounter.enlarge(stage0.MaxSize), unix.Close(first)); err != nil {
		return err
	}
	if err := (&spawner{conn: mounter}).run(planMounter()); err != nil {
		return err
	}
	c, pidfd, err := execute(mounter, planInner(), nil)
	if err != nil {
		return err
	}
	b.conn = c
	if err := errors.Join(c.enlarge(stage0.MaxSize), unix.SetNonblock(pidfd, true)); err != nil {
		return errors.Join(err, unix.Close(pidfd))
	}
	if b.pid, err = pidOf(pidfd); err != nil {
		return errors.Join(err, unix.Close(pidfd))
	}
	inner := os.NewFile(uintptr(pidfd), "spawner")
	go func() {
		awaitProcess(inner)
		_ = inner.Close()
		mounter.close()
		launcher.conn.close()
	}()
	return nil
}

// execute has a stage 0 process fork one that runs p and executes stage 0 again, and returns our end of that one's socket
// and its pidfd. Register 1 is its end. If mapped is not nil it writes the id maps.
func execute(parent *conn, p *program, mapped func(pid int) error) (c *conn, pidfd int, err error) {
	report, far, err := newConn()
	if err != nil {
		return nil, -1, err
	}
	defer report.close()
	c, its, err := newConn()
	if err != nil {
		return nil, -1, errors.Join(err, unix.Close(far))
	}
	code, err := p.encode()
	if err == nil {
		err = parent.send(code, []int{far, its})
	}
	closeAll([]int{far, its})
	pidfd = -1
	if err == nil {
		pidfd, err = follow(report, p, mapped)
	}
	if err != nil {
		c.close()
		closeAll([]int{pidfd})
		return nil, -1, err
	}
	return c, pidfd, nil
}

// follow returns when the process has executed stage 0, which closes its end of report.
func follow(report *conn, p *program, mapped func(pid int) error) (pidfd int, err error) {
	pidfd = -1
	for {
		m, fds, err := report.receive()
		switch {
		case errors.Is(err, io.EOF) && pidfd >= 0:
			return pidfd, nil
		case err != nil:
			closeAll(fds)
			return pidfd, fmt.Errorf("it ended at once: %w", err)
		case m.Kind == stage0.Failed:
			return pidfd, p.failure(m)
		case m.Kind != stage0.Spawned || len(fds) == 0:
			closeAll(fds)
			return pidfd, fmt.Errorf("unexpected report %d", m.Kind)
		}
		pidfd = fds[0]
		if len(fds) == 2 {
			err := mapped(int(m.Value))
			if err == nil {
				_, err = unix.Write(fds[1], []byte{1})
			}
			if err = errors.Join(err, unix.Close(fds[1])); err != nil {
				return pidfd, err
			}
		}
	}
}

// planOuter makes the user namespace around all sandboxes, with a mount and a pid namespace, and executes the mounter.
// Its maps are written by mapInto.
func planOuter() *program {
	p := &program{clone: unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_CLEAR_SIGHAND, owner: -1, group: none, next: 2}
	p.allow(syscall.EPERM, "set groups", unix.SYS_SETGROUPS, 0, 0) // where we have one id only, it is for ever forbidden
	p.call("become root of the user namespace", unix.SYS_SETRESGID, 0, 0, 0)
	p.call("become root of the user namespace", unix.SYS_SETRESUID, 0, 0, 0)
	planStage0(p)
	return p
}

// planInner executes the spawner.
func planInner() *program {
	p := &program{clone: unix.CLONE_CLEAR_SIGHAND, group: none, next: 2}
	planStage0(p)
	return p
}

func planStage0(p *program) {
	p.call("die with the parent", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(syscall.SIGKILL))
	p.call("open the socket", unix.SYS_DUP3, reg(1), stage0.Control, 0)
	p.call("close the rest", unix.SYS_CLOSE_RANGE, stage0.Control+1, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC)
	p.call("execute stage 0", unix.SYS_EXECVE, "/proc/self/exe", words{stage0.Name}, words(stage0Env))
}

// planMounter prepares the mounter: its children are reaped by the kernel.
func planMounter() *program {
	p := &program{next: 1, group: none}
	planSignals(p)
	return p
}

// mapInto maps our ids into the user namespace of a process that waits for it: our own is root there, the others follow.
func (s standing) mapInto(pid int) error {
	if s.ids.helped {
		for _, c := range [][]string{
			{"newuidmap", itoa(pid), "0", itoa(s.uid), "1", "1", itoa(s.ids.uid), itoa(s.ids.count)},
			{"newgidmap", itoa(pid), "0", itoa(s.gid), "1", "1", itoa(s.ids.gid), itoa(s.ids.count)},
		} {
			if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", c[0], err, strings.TrimSpace(string(out)))
			}
		}
		return nil
	}
	dir := "/proc/" + itoa(pid)
	uids, gids := "0 "+itoa(s.uid)+" 1\n", "0 "+itoa(s.gid)+" 1\n"
	if s.ids.count > 0 {
		uids += "1 " + itoa(s.ids.uid) + " " + itoa(s.ids.count) + "\n"
		gids += "1 " + itoa(s.ids.gid) + " " + itoa(s.ids.count) + "\n"
	} else if err := os.WriteFile(dir+"/setgroups", []byte("deny"), 0); err != nil && !errors.Is(err, os.ErrPermission) {
		return err // who may not is in a user namespace where that is denied already
	}
	if err := os.WriteFile(dir+"/gid_map", []byte(gids), 0); err != nil {
		return fmt.Errorf("map group ids: %w", err)
	}
	if err := os.WriteFile(dir+"/uid_map", []byte(uids), 0); err != nil {
		return fmt.Errorf("map user ids: %w", err)
	}
	return nil
}

// mounts clones what is at each source as openMount does, where the host's files are seen.
func (b *spawner) mounts(mounts []sandbox.Mount) (fds []int, dirs []bool, err error) {
	var sources []string
	for _, m := range mounts {
		sources = append(sources, m.Source)
	}
	if b.mounter == nil {
		for _, source := range sources {
			fd, dir, err := openMount(source)
			if err != nil {
				closeAll(fds)
				return nil, nil, fmt.Errorf("open mount %s: %w", source, err)
			}
			fds, dirs = append(fds, fd), append(dirs, dir)
		}
		return fds, dirs, nil
	}
	if len(sources) == 0 {
		return nil, nil, nil
	}
	fds, err = b.ask(planClones(sources), len(sources))
	if err != nil {
		return nil, nil, err
	}
	for _, fd := range fds {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			closeAll(fds)
			return nil, nil, err
		}
		dirs = append(dirs, st.Mode&unix.S_IFMT == unix.S_IFDIR)
	}
	return fds, dirs, nil
}

// planClones is openMount for the mounter. What is mounted below a source comes too: a user namespace may not take it away
// from what it hides.
func planClones(sources []string) *program {
	p := &program{next: 1, group: none}
	first := p.next
	for _, source := range sources {
		what := "open mount " + source
		fd := p.open(what, unix.SYS_OPEN_TREE, unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		p.call(what, unix.SYS_MOUNT_SETATTR, fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, cloneAttributes(), unix.MOUNT_ATTR_SIZE_VER0)
	}
	p.add(step{what: "hand over mounts", kind: stage0.Send, args: []any{stage0.Running, int(first), len(sources)}, dst: none})
	return p
}

// cloneAttributes is a struct mount_attr: read-only, no set-uid, no devices, on its own.
func cloneAttributes() []byte {
	b := attributes(unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
	binary.NativeEndian.PutUint64(b[16:], unix.MS_PRIVATE) // its propagation
	return b
}

// ask has the mounter carry p out and returns the descriptors that it sends.
func (b *spawner) ask(p *program, n int) ([]int, error) {
	c, far, err := newConn()
	if err != nil {
		return nil, err
	}
	defer c.close()
	code, err := p.encode()
	if err == nil {
		err = b.mounter.send(code, []int{far})
	}
	_ = unix.Close(far)
	if err != nil {
		return nil, fmt.Errorf("ask mounter: %w", err)
	}
	m, fds, err := c.receive()
	switch {
	case err != nil:
		closeAll(fds)
		return nil, fmt.Errorf("ask mounter: %w", err)
	case m.Kind == stage0.Failed:
		return nil, p.failure(m)
	case len(fds) != n:
		closeAll(fds)
		return nil, fmt.Errorf("mounter sent %d descriptors, not %d", len(fds), n)
	}
	return fds, nil
}

// pidOf reads the process id of a pidfd.
func pidOf(pidfd int) (int, error) {
	b, err := os.ReadFile("/proc/self/fdinfo/" + itoa(pidfd))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "Pid:"); ok {
			var pid int
			if _, err := fmt.Sscan(v, &pid); err != nil || pid <= 0 {
				return 0, os.ErrProcessDone
			}
			return pid, nil
		}
	}
	return 0, errors.New("no Pid in a pidfd's fdinfo")
}
