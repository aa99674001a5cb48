package container

import (
	"encoding/binary"
	"path"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/container/stage0"
)

// The user a function runs as inside, named and numbered as on AWS Lambda.
const (
	insideUser = "sbx_user1051"
	insideUID  = 993
	insideGID  = 990
	insideHome = "/home/" + insideUser
	hostName   = "sandbox"
	rootInodes = "4096"
	rootSize   = "1m"
	quiet      = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	quietAttr  = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	badNice    = 500 // oom_score_adj: functions go before the daemon when the machine itself runs out
	newRoot    = "/new"
	// SECBIT_NOROOT, NO_CAP_AMBIENT_RAISE and the locks of all: no capability through uid 0, a set-uid file or exec, for good.
	securebits = 1<<0 | 1<<1 | 1<<3 | 1<<5 | 1<<6 | 1<<7
)

// layout is what a plan must know beyond the Spec: which descriptors travel with it and what the environment offers.
type layout struct {
	hostUID  int   // what root inside (set-up only) is outside; the next is the function's user
	lone     bool  // hostUID is all that there is: the function's user also does the set-up, and there is no root inside
	shared   bool  // the devices are mounts, which a user namespace may show only all at once
	tmpMB    int   // /tmp is a tmpfs of this size; 0: a mount that travels with the plan
	tend     bool  // the first process also stops the others and lets them go on: no control group does
	pids     int   // most processes of the function's user; 0: a control group counts them
	hard     hards // limits that cannot be raised
	shares   []share
	group    bool   // a cgroup2 directory to be born in
	joins    int    // files of v1 cgroups to write to
	stub     bool   // the main process waits on a socket of its own
	dirs     []bool // for each of Spec.Mounts whether it is a directory
	number   int    // with within: process ids inside begin after this
	lastCap  int    // the kernel's highest capability
	ipv6     bool   // the kernel has it
	wire     bool   // there are no TUN devices for us; a pair of Ethernet devices does
	filter   filter // for the function; empty: none
	guard    filter // for the first process
	entering filter // for a zygote
	hosts    bool   // the main process is a kernel of its own, see hosting.go
	stays    uint32 // 1: the first process does not end with the others
	within   bool   // its user and pid namespaces are below those of a template, see copyplan.go
}

// limitPids bounds the processes of the function's user where no control group does.
func (l *layout) limitPids(n int) {
	if !l.tend {
		return
	}
	l.pids = n
	if l.lone {
		l.pids++ // the first process is the same user's
	}
}

// plan lists what the processes of a sandbox do, in order, until the function's program runs. Descriptors arrive in the
// registers that slots gives them. A cell does the same in two programs, see cellplan.go.
func plan(s sandbox.Spec, l layout) *program {
	p := newProgram(l)
	f := assign(p, s, l)
	sockets := planAhead(p, s, l, f)
	planView(p, nil, s.Mounts, l.dirs, f.mounts)
	planClosed(p)
	pidfd := planMain(p, s, l, f)
	p.send(stage0.Running, sockets, int(pidfd-sockets)+1)
	planSeal(p, l, f, false)
	return p
}

// newProgram is an empty one for the first process of a sandbox.
func newProgram(l layout) *program {
	p := &program{clone: unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_CLEAR_SIGHAND}
	if !l.shared {
		p.owner = l.hostUID // else the spawner's: all sandboxes count together, see planShares
	}
	p.uids, p.gids = idMap(l, l.inside(insideUID)), idMap(l, l.inside(insideGID))
	if l.within {
		planWithin(p)
	}
	return p
}

// planAhead is all that does not depend on what will run. The first register of the sockets comes back, see planNetwork.
func planAhead(p *program, s sandbox.Spec, l layout, f slots) (sockets reg) {
	planIdentity(p, l, f)
	uplink := none
	if s.Internet {
		uplink = planUplink(p, l)
	}
	planRoot(p, l)
	planFiles(p, s)
	planTmp(p, s, l, f)
	if l.hosts {
		planHosting(p)
	} else {
		if l.within {
			planNumber(p, l)
		}
		planProc(p)
	}
	sockets = planNetwork(p, s, uplink)
	if l.hosts {
		planHostPowers(p, l.lastCap)
	} else {
		planPowerless(p, l.lastCap)
	}
	planAlone(p, l)
	return sockets
}

// slots are the registers of the descriptors that travel with a program.
type slots struct {
	control, null, output, channel, group reg
	within                                reg
	joins, mounts, tmp, aside, stub, gate reg // gate: the end to read from, behind it that to write to
}

// assign gives out the first registers.
func assign(p *program, s sandbox.Spec, l layout) slots {
	f := slots{control: p.take(1), null: p.take(1), output: p.take(1), channel: none, group: none, tmp: none, aside: none, stub: none}
	if s.Channel {
		f.channel = p.take(1)
	}
	if l.group {
		f.group = p.take(1)
	}
	f.joins, f.mounts = p.take(l.joins), p.take(len(s.Mounts))
	if l.tmpMB == 0 {
		f.tmp = p.take(1)
	}
	if len(s.Beside) > 0 {
		f.aside = p.take(1)
	}
	if l.stub {
		f.stub, f.gate = p.take(1), p.take(2)
	}
	if l.within {
		f.within = p.take(1)
	}
	p.group, p.within = f.group, f.within
	return f
}

// planIdentity enters the control groups, becomes root of the new user namespace and makes the other namespaces, so that
// this user namespace owns them. The cgroup namespace comes after the groups: their path is hidden then.
func planIdentity(p *program, l layout, f slots) {
	for r := range reg(l.joins) {
		p.call("enter cgroup", unix.SYS_WRITE, f.joins+r, "0", 1)
	}
	p.call("reset SIGCHLD", unix.SYS_RT_SIGACTION, int(syscall.SIGCHLD), make([]byte, 32), 0, 8) // the spawner ignores it
	if !l.lone {
		p.call("set groups", unix.SYS_SETGROUPS, 0, 0)
		p.call("become root inside", unix.SYS_SETRESGID, 0, 0, 0)
		p.call("become root inside", unix.SYS_SETRESUID, 0, 0, 0)
	}
	p.call("die with the daemon", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(syscall.SIGKILL)) // setresuid cleared it
	p.call("create namespaces", unix.SYS_UNSHARE,
		unix.CLONE_NEWNS|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS|unix.CLONE_NEWNET|unix.CLONE_NEWCGROUP)
	planShares(p, l.shares)
	p.call("name the host", unix.SYS_SETHOSTNAME, hostName, len(hostName))
	p.call("name the domain", unix.SYS_SETDOMAINNAME, "", 0)
}

// planRoot makes an empty root with /proc and /dev and leaves the spawner's behind.
func planRoot(p *program, l layout) {
	bind, all := unix.MS_BIND, 0
	if l.shared {
		bind, all = unix.MS_BIND|unix.MS_REC, unix.AT_RECURSIVE
	}
	p.call("stop mount propagation", unix.SYS_MOUNT, 0, "/", 0, unix.MS_REC|unix.MS_PRIVATE, 0)
	p.call("mount root", unix.SYS_MOUNT, "root", newRoot, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV,
		"mode=755,size="+rootSize+",nr_inodes="+rootInodes)
	p.call("umask", unix.SYS_UMASK, 0)
	for _, dir := range []string{"/proc", "/dev"} {
		p.call("create "+dir, unix.SYS_MKDIRAT, 0, newRoot+dir, 0o755)
	}
	p.call("mount /proc", unix.SYS_MOUNT, "proc", newRoot+"/proc", "proc", quiet, "hidepid=invisible")
	p.call("mount /dev", unix.SYS_MOUNT, "/dev", newRoot+"/dev", 0, bind, 0)
	p.call("make /dev read-only", unix.SYS_MOUNT_SETATTR, unix.AT_FDCWD, newRoot+"/dev", all,
		attributes(unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC), unix.MOUNT_ATTR_SIZE_VER0)
	p.call("enter root", unix.SYS_CHDIR, newRoot)
	p.call("change root", unix.SYS_PIVOT_ROOT, ".", ".")
	p.call("leave the old root", unix.SYS_UMOUNT2, ".", unix.MNT_DETACH)
	p.call("enter root", unix.SYS_CHDIR, "/")
}

// attributes is a struct mount_attr that sets attr.
func attributes(attr uint64) []byte {
	return append(binary.NativeEndian.AppendUint64(nil, attr), make([]byte, 24)...)
}

// planFiles writes what programs expect of /etc, as far as no mount of the Spec covers it, and the directories.
func planFiles(p *program, s sandbox.Spec) {
	made := map[string]bool{"/": true}
	for _, dir := range []string{"/etc", "/tmp", "/home", insideHome, "/var", "/run"} {
		planDir(p, made, dir)
	}
	for _, f := range etcFiles {
		if covered(s.Mounts, f.path) {
			continue
		}
		fd := p.open("create "+f.path, unix.SYS_OPENAT, 0, f.path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
		p.call("write "+f.path, unix.SYS_WRITE, fd, []byte(f.text), len(f.text))
		p.call("close "+f.path, unix.SYS_CLOSE, fd)
		p.next-- // the register is free again
	}
}

// planDir makes a directory and those above it.
func planDir(p *program, made map[string]bool, dir string) {
	if made[dir] {
		return
	}
	made[dir] = true
	planDir(p, made, path.Dir(dir))
	p.allow(syscall.EEXIST, "create "+dir, unix.SYS_MKDIRAT, 0, dir, 0o755)
}

// covered reports whether a mount hides or is file.
func covered(mounts []sandbox.Mount, file string) bool {
	for _, m := range mounts {
		if sandbox.Within(file, m.Target) {
			return true
		}
	}
	return false
}

// merged reports whether /name should lead to /usr/name: that is there, and nothing is mounted at or below /name.
func merged(mounts []sandbox.Mount, name string) bool {
	there := false
	for _, m := range mounts {
		if sandbox.Within(m.Target, "/"+name) {
			return false
		}
		there = there || sandbox.Within("/usr/"+name, m.Target) || sandbox.Within(m.Target, "/usr/"+name)
	}
	return there
}

// links are names that lead to those below /usr where nothing else is mounted there.
var links = [...]string{"bin", "sbin", "lib", "lib64"}

// planView attaches read-only mounts, whose clones are in the registers from first on, beside those that are there.
func planView(p *program, there, mounts []sandbox.Mount, dirs []bool, first reg) {
	all := slices.Concat(there, mounts)
	for _, name := range links {
		if merged(all, name) && !merged(there, name) {
			p.call("link /"+name, unix.SYS_SYMLINKAT, "usr/"+name, 0, "/"+name)
		}
	}
	made := map[string]bool{"/": true}
	for i, m := range mounts {
		planDir(p, made, path.Dir(m.Target))
		if dirs[i] {
			p.allow(syscall.EEXIST, "create "+m.Target, unix.SYS_MKDIRAT, 0, m.Target, 0o755)
		} else {
			p.allow(syscall.EEXIST, "create "+m.Target, unix.SYS_MKNODAT, 0, m.Target, unix.S_IFREG|0o644, 0)
		}
		p.call("mount "+m.Source+" on "+m.Target, unix.SYS_MOVE_MOUNT, first+reg(i), "", unix.AT_FDCWD, m.Target, unix.MOVE_MOUNT_F_EMPTY_PATH)
	}
}

// planTmp attaches /tmp and /dev/shm.
func planTmp(p *program, s sandbox.Spec, l layout, f slots) {
	if l.tmpMB > 0 {
		p.call("mount /tmp", unix.SYS_MOUNT, "tmp", "/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size="+itoa(l.tmpMB)+"m")
	} else {
		p.call("mount /tmp", unix.SYS_MOVE_MOUNT, f.tmp, "", unix.AT_FDCWD, "/tmp", unix.MOVE_MOUNT_F_EMPTY_PATH)
	}
	p.call("mount /dev/shm", unix.SYS_MOUNT, "shm", "/dev/shm", "tmpfs", quiet, "mode=1777,size="+itoa(s.MemoryMB)+"m")
}

// planClosed closes the root to writing.
func planClosed(p *program) {
	p.call("make root read-only", unix.SYS_MOUNT_SETATTR, unix.AT_FDCWD, "/", 0,
		attributes(unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV), unix.MOUNT_ATTR_SIZE_VER0)
}

// Files of /proc that tell about the host or reach beyond the sandbox: hidden, or shown but not writable.
var (
	hiddenProc   = []string{"kcore", "keys", "key-users", "timer_list", "sched_debug", "latency_stats", "kmsg", "kallsyms", "config.gz", "kpagecount", "kpageflags", "kpagecgroup", "vmallocinfo", "slabinfo", "iomem", "ioports", "cmdline"}
	readOnlyProc = []string{"sys", "fs", "irq", "bus", "sysrq-trigger"}
	emptyProc    = []string{"acpi", "scsi", "asound", "driver"}
)

func planProc(p *program) {
	for _, name := range hiddenProc {
		p.allow(syscall.ENOENT, "hide /proc/"+name, unix.SYS_MOUNT, "/dev/null", "/proc/"+name, 0, unix.MS_BIND, 0)
	}
	for _, name := range emptyProc {
		p.allow(syscall.ENOENT, "hide /proc/"+name, unix.SYS_MOUNT, "empty", "/proc/"+name, "tmpfs", quiet|unix.MS_RDONLY, "size=0,nr_inodes=1")
	}
	for _, name := range readOnlyProc {
		file := "/proc/" + name
		p.allow(syscall.ENOENT, "bind "+file, unix.SYS_MOUNT, file, file, 0, unix.MS_BIND, 0)
		// Without the bind, on a kernel that has no such directory, there is nothing to protect.
		p.allow(syscall.ENOENT, "make "+file+" read-only", unix.SYS_MOUNT_SETATTR, unix.AT_FDCWD, file, 0,
			attributes(unix.MOUNT_ATTR_RDONLY|quietAttr), unix.MOUNT_ATTR_SIZE_VER0)
	}
}
