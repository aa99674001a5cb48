package container

import (
	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/container/stage0"
)

// ahead is what a cell's second program must know of the first.
type ahead struct {
	slots
	next  reg // the first register that the first program left free
	pidfd reg // of the main process, if that runs
}

// planCell is the first program of a cell: all that does not depend on what will run, the mounts that do not either, and with a
// main process that does not, that. It hands the sockets out, the main process's pidfd behind them, and waits for planBecome.
func planCell(s sandbox.Spec, l layout) (*program, ahead) {
	p := newProgram(l)
	a := ahead{slots: assign(p, s, l), pidfd: none}
	sockets := planAhead(p, s, l, a.slots)
	n := int(p.next - sockets)
	planView(p, nil, s.Mounts, l.dirs, a.mounts)
	if runs(s) {
		planClosed(p) // where there is no root inside, the main process could write
	}
	if runs(s) && s.Fork == nil {
		a.pidfd = planMain(p, s, l, a.slots)
		n++
	}
	p.send(stage0.Ready, sockets, n)
	p.add(step{what: "wait for the rest", kind: stage0.More, dst: none})
	a.next = p.next
	return p, a
}

// runs reports whether a cell made from s has a main process that runs.
func runs(s sandbox.Spec) bool { return len(s.Argv) > 0 || s.Fork != nil }

// change is what makes a cell a sandbox, beyond the Spec.
type change struct {
	mounts  []sandbox.Mount // that are missing
	dirs    []bool          // for each of them whether it is a directory
	channel bool            // the channel travels with the program: the cell has none
	forked  int             // the process id of a main process that has been forked into the cell for the Spec
}

// planAdopt is a program between a cell's two: a main process with that process id has been forked into the cell. Its pidfd is
// handed out.
func planAdopt(pid int, a ahead) (*program, ahead) {
	p := &program{group: none, next: a.next, first: a.next}
	a.pidfd = adopt(p, pid)
	p.send(stage0.Ready, a.pidfd, 1)
	p.add(step{what: "wait for the rest", kind: stage0.More, dst: none})
	a.next = p.next
	return p, a
}

// adopt has the first process know of a main process that it has not forked. The register of its pidfd comes back.
func adopt(p *program, pid int) reg {
	p.add(step{what: "adopt the main process", kind: stage0.Adopt, args: []any{pid}, dst: none})
	return p.open("open the main process", unix.SYS_PIDFD_OPEN, pid, 0)
}

// planBecome is the second program of a cell that was made from made. Descriptors come in the order mounts, channel, aside.
func planBecome(made, s sandbox.Spec, l layout, a ahead, c change) *program {
	p := &program{group: none, next: a.next, first: a.next}
	f := a.slots
	f.mounts = p.take(len(c.mounts))
	if c.channel {
		f.channel = p.take(1)
	}
	if len(s.Beside) > 0 {
		f.aside = p.take(1)
	}
	if c.channel { // where it arrives may be where it is to be, which is no place to duplicate it to
		f.channel = p.open("move channel", unix.SYS_FCNTL, f.channel, unix.F_DUPFD_CLOEXEC, 4)
	}
	if s.MemoryMB != made.MemoryMB {
		p.call("resize /dev/shm", unix.SYS_MOUNT, 0, "/dev/shm", 0, unix.MS_REMOUNT|quiet, "size="+itoa(s.MemoryMB)+"m")
	}
	if runs(made) && len(c.mounts) > 0 {
		opened := attributes(0)
		copy(opened[8:], attributes(unix.MOUNT_ATTR_RDONLY)[:8]) // what is cleared
		p.call("open root", unix.SYS_MOUNT_SETATTR, unix.AT_FDCWD, "/", 0, opened, unix.MOUNT_ATTR_SIZE_VER0)
	}
	planView(p, made.Mounts, c.mounts, c.dirs, f.mounts)
	if !runs(made) || len(c.mounts) > 0 {
		planClosed(p)
	}
	if runs(made) {
		planBeside(p, s, l, f)
		planSeal(p, l, f, true)
		return p
	}
	if c.forked > 0 {
		planBeside(p, s, l, f)
		p.send(stage0.Running, adopt(p, c.forked), 1)
	} else {
		p.send(stage0.Running, planMain(p, s, l, f), 1)
	}
	planSeal(p, l, f, false)
	return p
}
