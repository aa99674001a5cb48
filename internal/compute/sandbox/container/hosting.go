package container

import (
	"context"
	"slices"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
)

// Host is Start of a sandbox whose main process is a kernel of its own: this program once more, as root of the sandbox's
// namespaces, with what capabilities such a kernel needs there to lock itself in, and no filter but the one that it sets
// itself. It has a writable /run, and its limits are those of the control group. S.Argv[0] is Self.
func (m *Maker) Host(ctx context.Context, s sandbox.Spec) (sandbox.Sandbox, error) {
	return m.begin(ctx, s, true)
}

// OneUser reports whether there is one user id for all that runs in a sandbox.
func (m *Maker) OneUser() bool { return m.layout.lone }

// Self is the path of this program inside any sandbox until its main process is executed.
const Self = "/proc/self/exe"

// hostPowers are the capabilities that stay, all of them over the sandbox's own namespaces only.
var hostPowers = []int{
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_KILL, unix.CAP_SETGID,
	unix.CAP_SETUID, unix.CAP_SETPCAP, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_CHROOT, unix.CAP_SYS_PTRACE, unix.CAP_SYS_ADMIN,
}

// inside is the number that the one user of a sandbox has inside, if there is only one: a kernel of its own is root.
func (l layout) inside(function int) int {
	if l.hosts && l.lone {
		return 0
	}
	return function
}

// planHosting gives the kernel a place for its own files. /proc shows what it is: a function never sees this one.
func planHosting(p *program) {
	p.call("mount /run", unix.SYS_MOUNT, "run", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=700,size=4m,nr_inodes=256")
}

// planHostPowers is planPowerless for a kernel of its own.
func planHostPowers(p *program, lastCap int) {
	for c := range lastCap + 1 {
		if !slices.Contains(hostPowers, c) {
			p.call("drop capability "+itoa(c), unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c)
		}
	}
	p.call("allow no new privileges", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// hostLimits leave a kernel as many descriptors as there may be: it opens them for all its processes.
func hostLimits() []limit { return []limit{coreLimit} }
