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
	if closed(s) {
		planClosed(p) // where there is no root inside, the main process could write
	}
	switch {
	case waits(s):
		a.pidfd = planStub(p, s, l, a.slots)
		n++
	case executes(s):
		a.pidfd = planMain(p, s, l, a.slots)
		n++
	}
	p.send(stage0.Ready, sockets, n)
	p.add(step{what: "wait for the rest", kind: stage0.More, dst: none})
	a.next = p.next
	return p, a
}

// runs reports whether a cell made from s has a main process that runs.
func runs(s sandbox.Spec) bool { return executes(s) || s.Fork != nil || copiedAhead(s) || waits(s) }

// copiedAhead reports whether its main process is copied when the cell is made.
func copiedAhead(s sandbox.Spec) bool { return s.Copy != nil && s.Channel }

// closed reports whether its root is closed to writing before it becomes a sandbox: code of a function's runs in a copy by then.
func closed(s sandbox.Spec) bool { return runs(s) && !waits(s) || s.Copy != nil }

// executes reports whether its main process is executed when the cell is made.
func executes(s sandbox.Spec) bool { return len(s.Argv) > 0 }

// waits reports whether its main process waits for what to execute. In a cell that may yet be a zygote's child's, none does.
func waits(s sandbox.Spec) bool {
	return len(s.Argv) == 0 && s.Fork == nil && s.Copy == nil && len(s.Mounts) > 0
}

// planStub forks a main process that is as isolated as any and waits, on a socket of its own, for planLast. The register of its
// pidfd comes back.
func planStub(p *program, s sandbox.Spec, l layout, f slots) reg {
	pidfd := p.take(1)
	at := len(p.steps)
	p.add(step{what: "fork", kind: stage0.Fork, dst: pidfd})
	planChild(p, s, l)
	planStreams(p, execution{null: f.null, output: f.output})
	// It waits where other programs of the function may run already: nothing else of the first process's stays open. What came lies
	// behind these numbers, in the order of baggage.
	p.add(step{what: "take its own control socket", nr: unix.SYS_DUP3, args: []any{f.stub, 4, unix.O_CLOEXEC}, dst: f.control})
	p.add(step{what: "take the gate", nr: unix.SYS_DUP3, args: []any{f.gate, 5, unix.O_CLOEXEC}, dst: f.gate})
	p.call("close the rest", unix.SYS_CLOSE_RANGE, 6, 1<<31-1, 0)
	p.call("close the rest", unix.SYS_CLOSE_RANGE, 3, 3, 0)
	if !l.hosts { // which filters itself
		planFilter(p, l.filter)
	}
	p.add(step{what: "wait for its program", kind: stage0.More, dst: none})
	p.steps[at].args = []any{len(p.steps), stage0.Aside}
	return pidfd
}

// planLast is what a main process that waits then does, as soon as the first process has done planBecome up to the mounts. The
// channel comes with it.
func planLast(s sandbox.Spec, a ahead) *program {
	p := &program{group: none, next: a.next, first: a.next}
	channel := none
	if s.Channel {
		channel = planMove(p, p.take(1))
	}
	p.call("wait for the mounts", unix.SYS_READ, a.gate, make([]byte, 8), 1)
	p.call("enter "+s.Dir, unix.SYS_CHDIR, s.Dir)
	planRest(p, channel)
	planExecute(p, sandbox.Program{Argv: s.Argv, Env: s.Env})
	return p
}

// planExecute executes a program.
func planExecute(p *program, e sandbox.Program) {
	p.call("execute "+e.Argv[0], unix.SYS_EXECVE, e.Argv[0], words(e.Argv), words(e.Env))
}

// planMove moves a channel that has come: where it arrives may be where it is to be, which is no place to duplicate it to.
func planMove(p *program, channel reg) reg {
	return p.open("move channel", unix.SYS_FCNTL, channel, unix.F_DUPFD_CLOEXEC, 4)
}

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
	if c.channel {
		f.channel = planMove(p, f.channel)
	}
	if s.MemoryMB != made.MemoryMB {
		p.call("resize /dev/shm", unix.SYS_MOUNT, 0, "/dev/shm", 0, unix.MS_REMOUNT|quiet, "size="+itoa(s.MemoryMB)+"m")
	}
	if closed(made) && len(c.mounts) > 0 {
		opened := attributes(0)
		copy(opened[8:], attributes(unix.MOUNT_ATTR_RDONLY)[:8]) // what is cleared
		p.call("open root", unix.SYS_MOUNT_SETATTR, unix.AT_FDCWD, "/", 0, opened, unix.MOUNT_ATTR_SIZE_VER0)
	}
	planView(p, made.Mounts, c.mounts, c.dirs, f.mounts)
	if !closed(made) || len(c.mounts) > 0 {
		planClosed(p)
	}
	if runs(made) {
		planBeside(p, s, l, f)
		if waits(made) {
			p.call("let the main process go on", unix.SYS_WRITE, f.gate+1, "0", 1)
		}
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
