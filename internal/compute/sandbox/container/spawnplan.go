package container

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// devices are the nodes of every sandbox's /dev, by minor number of the memory devices' major 1.
var devices = [...]struct {
	name  string
	minor uint32
}{{"null", 3}, {"zero", 5}, {"full", 7}, {"random", 8}, {"urandom", 9}}

// secbitNoFixup is SECBIT_NO_SETUID_FIXUP.
const secbitNoFixup = 1 << 2

// planSpawner prepares the spawner itself: a mount namespace of its own whose root holds only /proc (which the kernel
// wants to see before it lets a user namespace mount one), the /dev that all sandboxes share read-only, and the place
// where they mount their root. What a sandbox inherits from it holds nothing of the host. Base is any directory of the
// host; only the spawner sees what is mounted there.
// Without root the devices are the host's, mounted one by one, and shares are limits for all sandboxes.
func planSpawner(base string, rootless bool, shares []share, lastCap int) *program {
	p := &program{next: 1, group: none}
	planSignals(p)
	// It changes its effective user for the moment of each clone, see DESIGN.md.
	p.call("keep capabilities through setuid", unix.SYS_PRCTL, unix.PR_SET_SECUREBITS, secbitNoFixup)
	p.allow(syscall.ENOSYS, "join a keyring of its own", unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0)
	p.call("create mount namespace", unix.SYS_UNSHARE, unix.CLONE_NEWNS)
	p.call("stop mount propagation", unix.SYS_MOUNT, 0, "/", 0, unix.MS_REC|unix.MS_PRIVATE, 0)
	p.call("mount root", unix.SYS_MOUNT, "root", base, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=755,size=1m,nr_inodes=64")
	p.call("umask", unix.SYS_UMASK, 0)
	for _, dir := range []string{"/proc", "/dev", "/dev/shm", newRoot} {
		p.call("create "+dir, unix.SYS_MKDIRAT, 0, base+dir, 0o755)
	}
	for _, d := range devices {
		if rootless {
			p.call("create /dev/"+d.name, unix.SYS_MKNODAT, 0, base+"/dev/"+d.name, unix.S_IFREG|0o666, 0)
			p.call("mount /dev/"+d.name, unix.SYS_MOUNT, "/dev/"+d.name, base+"/dev/"+d.name, 0, unix.MS_BIND, 0)
			continue
		}
		p.call("create /dev/"+d.name, unix.SYS_MKNODAT, 0, base+"/dev/"+d.name, unix.S_IFCHR|0o666, int(unix.Mkdev(1, d.minor)))
	}
	if rootless {
		p.call("create "+tunNode, unix.SYS_MKNODAT, 0, base+tunNode, unix.S_IFREG|0o666, 0)
		p.allow(syscall.ENOENT, "mount "+tunNode, unix.SYS_MOUNT, tunDevice, base+tunNode, 0, unix.MS_BIND, 0)
	} else {
		p.call("create "+tunNode, unix.SYS_MKNODAT, 0, base+tunNode, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200)))
	}
	for _, l := range [][2]string{{"fd", "/proc/self/fd"}, {"stdin", "fd/0"}, {"stdout", "fd/1"}, {"stderr", "fd/2"}} {
		p.call("link /dev/"+l[0], unix.SYS_SYMLINKAT, l[1], 0, base+"/dev/"+l[0])
	}
	p.call("mount /proc", unix.SYS_MOUNT, "proc", base+"/proc", "proc", quiet, 0)
	p.call("enter root", unix.SYS_CHDIR, base)
	p.call("change root", unix.SYS_PIVOT_ROOT, ".", ".")
	p.call("leave the host's root", unix.SYS_UMOUNT2, ".", unix.MNT_DETACH)
	p.call("enter root", unix.SYS_CHDIR, "/")
	planShares(p, shares)
	if !rootless { // there, it has them over nothing of the host's
		planBounding(p, lastCap, spawnerCaps)
		p.call("give up capabilities", unix.SYS_CAPSET, capHeader(), capSets(spawnerCaps, false))
	}
	return p
}

// spawnerCaps are for making namespaces and entering a template's, becoming the owner of a user namespace, writing its maps, having
// processes born in control groups, and making zygotes.
const spawnerCaps = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_SETPCAP | 1<<unix.CAP_SYS_PTRACE

// Signals without a name, which whoever started the daemon may have ignored, too.
const (
	firstRealTime = 32
	lastSignal    = 64
)

func planSignals(p *program) {
	p.call("ignore SIGCHLD", unix.SYS_RT_SIGACTION, int(syscall.SIGCHLD), ignoreSignal(), 0, 8) // the kernel reaps then
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM} {
		p.call("reset signal", unix.SYS_RT_SIGACTION, int(s), make([]byte, 32), 0, 8) // nohup and the like would be inherited
	}
	for s := firstRealTime; s <= lastSignal; s++ {
		p.call("reset signal", unix.SYS_RT_SIGACTION, s, make([]byte, 32), 0, 8)
	}
}

// ignoreSignal is a struct sigaction with SIG_IGN.
func ignoreSignal() []byte {
	b := make([]byte, 32)
	b[0] = 1
	return b
}
