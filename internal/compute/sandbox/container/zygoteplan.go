package container

import (
	"syscall"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/container/stage0"
)

// What a zygote may have: as much as entering a sandbox takes. In the sandbox's user namespace its child has every capability,
// and gives them up there. Without CAP_SYS_CHROOT a mount namespace can be entered from there only.
const zygoteCaps = 1 << unix.CAP_SYS_ADMIN

// planZygote lists what the process does that becomes a zygote. It has a root of its own, made as a sandbox's is, network
// and ipc namespaces in which nothing is, and the spawner's user and pid namespaces: those of sandboxes are below them. Its filter
// leaves it the system calls of a function and those that enter a sandbox.
// Descriptors arrive as slots gives them for a Spec that has these mounts and a channel; what it prints goes where null does.
func planZygote(z sandbox.ZygoteSpec, l layout, who identity) *program {
	s := zygoteView(z)
	p := &program{clone: unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWNET | unix.CLONE_CLEAR_SIGHAND, owner: -1}
	fds := assign(p, s, l)
	for r := range reg(l.joins) {
		p.call("enter cgroup", unix.SYS_WRITE, fds.joins+r, "0", 1)
	}
	p.call("reset SIGCHLD", unix.SYS_RT_SIGACTION, int(syscall.SIGCHLD), make([]byte, 32), 0, 8) // the spawner ignores it
	p.call("name the host", unix.SYS_SETHOSTNAME, hostName, len(hostName))                       // as in sandboxes: modules ask when they are loaded
	p.call("name the domain", unix.SYS_SETDOMAINNAME, "", 0)
	planRoot(p, l)
	planFiles(p, s)
	planTmp(p, s, l, fds)
	planProc(p)
	planView(p, nil, s.Mounts, l.dirs, fds.mounts)
	planClosed(p)
	// Its children have this from it: /proc is another one where they are.
	adj := p.open("open oom_score_adj", unix.SYS_OPENAT, 0, "/proc/self/oom_score_adj", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	p.call("set oom_score_adj", unix.SYS_WRITE, adj, itoa(badNice), len(itoa(badNice)))
	p.call("start session", unix.SYS_SETSID)
	planLimit(p, coreLimit)
	planBounding(p, l.lastCap, zygoteCaps) // root has what is left
	if who.own {
		p.call("set groups", unix.SYS_SETGROUPS, 0, 0)
		p.call("set group", unix.SYS_SETRESGID, who.gid, who.gid, who.gid)
		p.call("set user", unix.SYS_SETRESUID, who.uid, who.uid, who.uid)
		p.call("keep capabilities", unix.SYS_CAPSET, capHeader(), capSets(zygoteCaps, true))
		p.call("keep them through an execution", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_SYS_ADMIN, 0, 0)
	}
	p.call("allow no new privileges", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	p.call("umask", unix.SYS_UMASK, 0o022)
	p.call("enter "+z.Dir, unix.SYS_CHDIR, z.Dir)
	for fd, name := range []string{"stdin", "stdout", "stderr"} {
		p.call("open "+name, unix.SYS_DUP3, fds.null, fd, 0)
	}
	p.call("open channel", unix.SYS_DUP3, fds.channel, 3, 0)
	p.call("close the rest", unix.SYS_CLOSE_RANGE, 4, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC)
	p.call("unblock signals", unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, make([]byte, 8), 0, 8)
	planFilter(p, l.entering)
	p.call("execute "+z.Argv[0], unix.SYS_EXECVE, z.Argv[0], words(z.Argv), words(z.Env))
	return p
}

// zygoteView is a zygote's file system as a sandbox's would be.
func zygoteView(z sandbox.ZygoteSpec) sandbox.Spec {
	return sandbox.Spec{ID: z.ID, Owner: z.ID, Mounts: z.Mounts, Argv: z.Argv, Env: z.Env, Dir: z.Dir, Channel: true,
		MemoryMB: minZygoteMB, TmpMB: minZygoteMB, Pids: zygotePids, Files: 1 << 10}
}

// entrance are the registers of the descriptors that travel with the program of planEntry.
type entrance struct {
	control, namespaces, null, output, channel, group, joins, end reg
}

func enter(l layout) entrance {
	n := 1 + reg(len(namespaceFiles))
	e := entrance{control: 0, namespaces: 1, null: n, output: n + 1, channel: n + 2, group: none, joins: n + 3}
	if l.group {
		e.group, e.joins = n+3, n+4
	}
	e.end = e.joins + reg(l.joins)
	return e
}

// planEntry lists what a zygote's child does to be the main process of the sandbox of s, as strictly as planExec. The zygote
// has it born in the sandbox's pid namespace and cgroup2 directory. It enters the rest, and starts the main process, which is
// its only child, and the first process's once this one has ended: that reaps it.
func planEntry(s sandbox.Spec, l layout) *program {
	e := enter(l)
	p := &program{owner: -1, group: e.group, next: e.end}
	for r := e.joins; r < e.end; r++ {
		p.call("enter cgroup", unix.SYS_WRITE, r, "0", 1)
	}
	p.call("reset SIGCHLD", unix.SYS_RT_SIGACTION, int(syscall.SIGCHLD), make([]byte, 32), 0, 8) // the zygote ignores it
	for i, name := range namespaceFiles {
		if name != "pid" { // in which it is from the first
			p.call("enter "+name+" namespace", unix.SYS_SETNS, e.namespaces+reg(i), 0)
		}
	}
	p.add(step{what: "fork", kind: stage0.Fork, dst: none})

	planPowerless(p, l.lastCap)
	p.call("start session", unix.SYS_SETSID)
	planLimits(p, s, l)
	if !l.lone {
		p.call("set groups", unix.SYS_SETGROUPS, 0, 0)
	}
	p.call("set group", unix.SYS_SETRESGID, insideGID, insideGID, insideGID)
	p.call("set user", unix.SYS_SETRESUID, insideUID, insideUID, insideUID)
	p.call("give up capabilities", unix.SYS_CAPSET, capHeader(), make([]byte, 24))
	p.call("allow self-inspection", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1) // an execution would have
	p.call("umask", unix.SYS_UMASK, 0o022)
	p.call("open stdin", unix.SYS_DUP3, e.null, 0, 0)
	p.call("open stdout", unix.SYS_DUP3, e.output, 1, 0)
	p.call("open stderr", unix.SYS_DUP3, e.output, 2, 0)
	p.call("open channel", unix.SYS_DUP3, e.channel, 3, unix.O_CLOEXEC)
	p.call("unblock signals", unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, make([]byte, 8), 0, 8)
	planFilter(p, l.filter)
	p.call("close the rest", unix.SYS_CLOSE_RANGE, 4, 1<<31-1, 0) // the end of the control socket tells that all is done
	return p
}
