package container

import "artesian/internal/compute/sandbox"

// Report implements sandbox.Maker.
func (m *Maker) Report() []sandbox.Guarantee {
	how := m.tree.Describe()
	g := []sandbox.Guarantee{
		{Name: "file system", Enforced: true, How: "mount namespace with a root of its own, made of read-only mounts"},
		{Name: "processes", Enforced: true, How: "pid and ipc namespaces"},
		{Name: "user", Enforced: true, How: "user namespace; a host user id per function"},
		{Name: "network", Enforced: true, How: "network namespace of its own; the internet through a stack in the daemon, by policy"},
		{Name: "privileges", Enforced: true, How: "no capabilities, no new privileges"},
		{Name: "memory limit", Enforced: true, How: how},
		{Name: "cpu quota", Enforced: true, How: how},
		{Name: "process limit", Enforced: true, How: how},
		{Name: "cpu burst", Enforced: m.tree.Burst(), How: burstHow(m.tree.Burst())},
		{Name: "system calls", Enforced: len(m.filter) > 0, How: "seccomp allow-list"},
	}
	if m.noTUN != nil {
		g = append(g, sandbox.Guarantee{Name: sandbox.Internet, How: m.noTUN.Error()})
	} else {
		g = append(g, sandbox.Guarantee{Name: sandbox.Internet, Enforced: true, How: "a TUN device of the sandbox, switchable for each function"})
	}
	if !m.tree.FrozenDie() {
		g = append(g, sandbox.Guarantee{Name: "dying with the daemon", How: "what the v1 freezer holds dies at the next start's sweep; mount cgroup2 to mend it"})
	}
	if !m.tree.Swap() {
		g = append(g, sandbox.Guarantee{Name: "swap limit", How: "the kernel does not account for swap; boot with swapaccount=1 or without swap"})
	}
	if !m.tree.Peak() {
		g = append(g, sandbox.Guarantee{Name: "memory peak", How: "the highest of what was read; the kernel keeps no high-water mark before 5.19"})
	}
	if m.noDisks != nil {
		return append(g, sandbox.Guarantee{Name: "size of /tmp", How: "a plain directory: " + m.noDisks.Error()})
	}
	return append(g, sandbox.Guarantee{Name: "size of /tmp", Enforced: true, How: "ext4 on a loop device, on disk"})
}

func burstHow(ok bool) string {
	if ok {
		return "one period's quota may be saved up"
	}
	return "the kernel has no CPU burst"
}
