package container

import (
	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
)

// planWithin has the user namespace made below a template's, as the user that the template's main process is: whoever made a user
// namespace may enter it from the one above, and nobody else in there may. The ids are the template's, which are its owner's.
func planWithin(p *program) {
	p.owner = insideUID
	p.uids = "0 0 1\n" + itoa(insideUID) + " " + itoa(insideUID) + " 1\n"
	p.gids = "0 0 1\n" + itoa(insideGID) + " " + itoa(insideGID) + " 1\n"
}

// planNumber has process ids inside begin where l says: libraries tell by theirs that they were forked, so a copy's must not be
// its template's, nor another copy's.
func planNumber(p *program, l layout) {
	fd := p.open("open ns_last_pid", unix.SYS_OPENAT, 0, "/proc/sys/kernel/ns_last_pid", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	p.call("set ns_last_pid", unix.SYS_WRITE, fd, itoa(l.number), len(itoa(l.number)))
	p.call("close ns_last_pid", unix.SYS_CLOSE, fd)
	p.next-- // the register is free again
}

// namespaceFiles are the namespaces that a copy enters, in the order in which it may.
var namespaceFiles = [...]string{"user", "pid", "net", "ipc", "uts", "cgroup", "mnt"}

// copied are the registers of the descriptors that come to a copy.
type copied struct {
	namespaces, null, output, channel, joins, end reg
}

func copiedWith(joins int) copied {
	n := reg(len(namespaceFiles))
	return copied{namespaces: 0, null: n, output: n + 1, channel: n + 2, joins: n + 3, end: n + 3 + reg(joins)}
}

// planEnter lists what a template's child does to have its own child born in a sandbox: it is the one that enters.
func planEnter(joins int) *program {
	c := copiedWith(joins)
	p := &program{owner: -1, group: none, next: c.end}
	for r := c.joins; r < c.end; r++ {
		p.call("enter cgroup", unix.SYS_WRITE, r, "0", 1)
	}
	for i, name := range namespaceFiles {
		p.call("enter "+name+" namespace", unix.SYS_SETNS, c.namespaces+reg(i), 0)
	}
	return p
}

// planCopy lists what the child of that does before it runs on, as strictly as planExec; what a fork leaves as it was (the filter,
// the umask, signals) is not repeated. Dir is where the template was.
func planCopy(s sandbox.Spec, l layout, joins int, dir string) *program {
	c := copiedWith(joins)
	p := &program{owner: -1, group: none, next: c.end}
	planPowerless(p, l.lastCap)
	p.call("start session", unix.SYS_SETSID)
	planLimits(p, s, l)
	p.call("set groups", unix.SYS_SETGROUPS, 0, 0)
	p.call("set group", unix.SYS_SETRESGID, insideGID, insideGID, insideGID)
	p.call("set user", unix.SYS_SETRESUID, insideUID, insideUID, insideUID)
	p.call("give up capabilities", unix.SYS_CAPSET, capHeader(), make([]byte, 24))
	p.call("allow self-inspection", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1)
	p.call("enter "+dir, unix.SYS_CHDIR, dir)
	p.call("open stdin", unix.SYS_DUP3, c.null, 0, 0)
	p.call("open stdout", unix.SYS_DUP3, c.output, 1, 0)
	p.call("open stderr", unix.SYS_DUP3, c.output, 2, 0)
	p.call("open channel", unix.SYS_DUP3, c.channel, 3, unix.O_CLOEXEC)
	p.call("close the rest", unix.SYS_CLOSE_RANGE, 4, 1<<31-1, 0)
	return p
}
