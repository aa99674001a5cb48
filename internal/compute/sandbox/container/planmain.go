package container

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/container/stage0"
)

// planNetwork brings the loopback device up and opens the Spec's sockets, listeners first; the first of their registers comes
// back. After them come the name server's two, if there is anything to reach, and the uplink, if there is one.
func planNetwork(p *program, s sandbox.Spec, uplink reg) reg {
	fd := p.open("open socket", unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	p.call("bring lo up", unix.SYS_IOCTL, fd, unix.SIOCSIFFLAGS, loUp())
	p.call("close socket", unix.SYS_CLOSE, fd)
	first := p.next
	for _, l := range s.Listen {
		fd := planSocket(p, "listen on "+l, l, unix.SOCK_STREAM)
		p.call("listen on "+l, unix.SYS_LISTEN, fd, unix.SOMAXCONN)
	}
	for range s.Dials {
		p.open("open socket to connect inside", unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	}
	if named(s) {
		planSocket(p, "serve names", nameServer, unix.SOCK_DGRAM)
		fd := planSocket(p, "serve names", nameServer, unix.SOCK_STREAM)
		p.call("serve names", unix.SYS_LISTEN, fd, nameBacklog)
	}
	if s.Internet {
		p.open("hand the uplink out", unix.SYS_FCNTL, uplink, unix.F_DUPFD_CLOEXEC, 0) // what is reported lies side by side
	}
	return first
}

// planSocket opens a bound socket.
func planSocket(p *program, what, address string, kind int) reg {
	addr := netip.MustParseAddrPort(address) // checked when the Spec came
	fd := p.open(what, unix.SYS_SOCKET, family(addr), kind|unix.SOCK_CLOEXEC, 0)
	one := binary.NativeEndian.AppendUint32(nil, 1)
	p.call(what, unix.SYS_SETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, one, len(one))
	sa := sockaddr(addr)
	p.call(what, unix.SYS_BIND, fd, sa, len(sa))
	return fd
}

// loUp is the struct ifreq that sets lo's flags.
func loUp() []byte {
	ifreq := make([]byte, 40)
	copy(ifreq, "lo")
	binary.NativeEndian.PutUint16(ifreq[16:], unix.IFF_UP|unix.IFF_RUNNING)
	return ifreq
}

func family(a netip.AddrPort) int {
	if a.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// sockaddr is a struct sockaddr_in or sockaddr_in6.
func sockaddr(a netip.AddrPort) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(family(a)))
	b = binary.BigEndian.AppendUint16(b, a.Port())
	if a.Addr().Is4() {
		return append(append(b, a.Addr().AsSlice()...), make([]byte, 8)...)
	}
	b = append(b, 0, 0, 0, 0)
	return append(append(b, a.Addr().AsSlice()...), 0, 0, 0, 0)
}

// planMain forks what runs beside the main process and that, gives up every privilege in them and executes their programs.
// The register of the main process's pidfd comes back.
func planMain(p *program, s sandbox.Spec, l layout, f slots) reg {
	pidfd := p.take(1)
	planBeside(p, s, l, f)
	planFork(p, 0, pidfd)
	planExec(p, s, l, execution{f.null, f.output, f.channel, sandbox.Program{Argv: s.Argv, Env: s.Env}})
	return pidfd
}

// planBeside starts what runs beside the main process.
func planBeside(p *program, s sandbox.Spec, l layout, f slots) {
	for n, b := range s.Beside {
		planFork(p, uint32(n+1), none)
		planExec(p, s, l, execution{f.null, f.aside, none, b})
	}
}

// planSeal has the first process give up all that it has, say so if told, and reap until the sandbox's end.
func planSeal(p *program, l layout, f slots, tell bool) {
	p.add(step{what: "keep the control socket", nr: unix.SYS_DUP3, args: []any{f.control, 0, unix.O_CLOEXEC}, dst: f.control})
	p.call("close the rest", unix.SYS_CLOSE_RANGE, 1, 1<<31-1, 0)
	kept, wait := make([]byte, 24), uint8(stage0.Wait)
	if l.tend {
		kept[0], kept[4], wait = 1<<unix.CAP_KILL, 1<<unix.CAP_KILL, stage0.Tend // effective, permitted
	}
	p.call("give up capabilities", unix.SYS_CAPSET, capHeader(), kept)
	planFilter(p, l.guard)
	if tell {
		p.send(stage0.Running, 0, 0)
	}
	p.add(step{what: "wait", kind: wait, nr: l.stays, dst: none})
}

// planFork starts a process that carries out what planExec adds next.
func planFork(p *program, number uint32, pidfd reg) {
	p.add(step{what: "fork", kind: stage0.Fork, nr: number, dst: pidfd})
}

// execution is what one process executes, and its descriptors.
type execution struct {
	null, output, channel reg
	program               sandbox.Program
}

// planChild makes a process that has just been forked one of the function's.
func planChild(p *program, s sandbox.Spec, l layout) {
	p.call("allow self-inspection", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1) // else oom_score_adj belongs to the host's root
	adj := p.open("open oom_score_adj", unix.SYS_OPENAT, 0, "/proc/self/oom_score_adj", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	p.call("set oom_score_adj", unix.SYS_WRITE, adj, itoa(badNice), len(itoa(badNice)))
	p.call("close oom_score_adj", unix.SYS_CLOSE, adj)
	p.next-- // the register is free again
	p.call("start session", unix.SYS_SETSID)
	planLimits(p, s, l)
	if !l.hosts {
		planFunctionUser(p, l)
	}
	p.call("umask", unix.SYS_UMASK, 0o022)
	// Until its execution it has memory and descriptors of the first process's, and the user of what may run beside it already.
	p.call("forbid inspection", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0)
}

// planStreams are a process's standard streams.
func planStreams(p *program, e execution) {
	p.call("open stdin", unix.SYS_DUP3, e.null, 0, 0)
	p.call("open stdout", unix.SYS_DUP3, e.output, 1, 0)
	p.call("open stderr", unix.SYS_DUP3, e.output, 2, 0)
}

// planRest are the other descriptors, and signals.
func planRest(p *program, channel reg) {
	first := 3
	if channel != none {
		p.call("open channel", unix.SYS_DUP3, channel, 3, 0)
		first = 4
	}
	p.call("close the rest", unix.SYS_CLOSE_RANGE, first, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC)
	p.call("unblock signals", unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, make([]byte, 8), 0, 8)
}

// planExec is a process from the fork before it up to its execve.
func planExec(p *program, s sandbox.Spec, l layout, e execution) {
	at := len(p.steps) - 1
	planChild(p, s, l)
	p.call("enter "+s.Dir, unix.SYS_CHDIR, s.Dir)
	planStreams(p, e)
	planRest(p, e.channel)
	if !l.hosts { // which filters itself
		planFilter(p, l.filter)
	}
	planExecute(p, e.program)
	p.steps[at].args = []any{len(p.steps)}
}

// planLimits sets the limits of one process.
func planLimits(p *program, s sandbox.Spec, l layout) {
	for _, r := range limits(s, l) {
		planLimit(p, r)
	}
}

func planLimit(p *program, r limit) {
	value := binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, r.max), r.max)
	p.call("limit "+r.name, unix.SYS_PRLIMIT64, 0, r.resource, value, 0)
}

// planFunctionUser becomes the function's user, for good.
func planFunctionUser(p *program, l layout) {
	if !l.lone {
		p.call("set groups", unix.SYS_SETGROUPS, 0, 0)
	}
	p.call("set group", unix.SYS_SETRESGID, insideGID, insideGID, insideGID)
	p.call("set user", unix.SYS_SETRESUID, insideUID, insideUID, insideUID)
	p.call("give up capabilities", unix.SYS_CAPSET, capHeader(), make([]byte, 24))
}

// planPowerless makes it impossible to gain a capability, for good, for this process and all that it forks. Those held go
// later.
func planPowerless(p *program, lastCap int) {
	planBounding(p, lastCap, 0)
	p.call("lock secure bits", unix.SYS_PRCTL, unix.PR_SET_SECUREBITS, securebits)
	p.call("allow no new privileges", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// planBounding leaves to this process and all that it forks, in this user namespace, no capability but some.
func planBounding(p *program, lastCap int, but uint64) {
	for c := range lastCap + 1 {
		if but>>c&1 == 0 {
			p.call("drop capability "+itoa(c), unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c)
		}
	}
}

// planAlone keeps the first process from all that it will fork.
func planAlone(p *program, l layout) {
	p.call("forbid inspection", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0)
	if l.tend { // before anybody may send one
		set := uint64(1)<<(syscall.SIGCHLD-1) | 1<<(stage0.StopSignal-1) | 1<<(stage0.GoOnSignal-1)
		p.call("hold signals", unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, binary.NativeEndian.AppendUint64(nil, set), 0, 8)
	}
}

func planFilter(p *program, f filter) {
	if len(f) > 0 {
		p.call("filter system calls", unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, f)
	}
}

// capSets are two struct __user_cap_data_struct: the effective and the permitted set, and, if said, the inheritable one.
func capSets(caps uint64, inherited bool) []byte {
	b := make([]byte, 24)
	for half := range 2 {
		word := uint32(caps >> (32 * half))
		binary.NativeEndian.PutUint32(b[12*half:], word)
		binary.NativeEndian.PutUint32(b[12*half+4:], word)
		if inherited {
			binary.NativeEndian.PutUint32(b[12*half+8:], word)
		}
	}
	return b
}

// capHeader is a struct __user_cap_header_struct for this process.
func capHeader() []byte {
	return binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, unix.LINUX_CAPABILITY_VERSION_3), 0)
}
