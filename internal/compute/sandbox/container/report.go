package container

import "artesian/internal/compute/sandbox"

// Report implements sandbox.Maker.
func (m *Maker) Report() []sandbox.Guarantee {
	if !m.standing.root {
		return m.reportRootless()
	}
	how := m.tree.Describe()
	g := []sandbox.Guarantee{
		{Name: "file system", Enforced: true, How: "mount namespace with a root of its own, made of read-only mounts"},
		{Name: "processes", Enforced: true, How: "pid and ipc namespaces"},
		{Name: "user", Enforced: true, How: "user namespace; a host user id that no two functions share"},
		{Name: "network", Enforced: true, How: "network namespace of its own; the internet through a stack in the daemon, by policy"},
		{Name: "privileges", Enforced: true, How: "no capabilities, no new privileges"},
		{Name: "memory limit", Enforced: true, How: how},
		{Name: "cpu quota", Enforced: true, How: how},
		{Name: "process limit", Enforced: true, How: how},
		{Name: "cpu burst", Enforced: m.tree.Burst(), How: burstHow(m.tree.Burst())},
		{Name: "system calls", Enforced: len(m.layout.filter) > 0, How: "seccomp allow-list"},
	}
	g = append(g, m.reportInternet())
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
		return append(g, sandbox.Guarantee{Name: "size of /tmp", How: "a plain directory: " + m.noDisks.Error()},
			sandbox.Guarantee{Name: "/tmp beside memory", Enforced: true, How: "what is in /tmp is not the function's memory"})
	}
	return append(g, sandbox.Guarantee{Name: "size of /tmp", Enforced: true, How: "ext4 on a loop device, on disk"},
		sandbox.Guarantee{Name: "/tmp beside memory", Enforced: true, How: "what is in /tmp is not the function's memory"})
}

func burstHow(ok bool) string {
	if ok {
		return "one period's quota may be saved up"
	}
	return "the kernel has no CPU burst"
}

func (m *Maker) reportInternet() sandbox.Guarantee {
	g := sandbox.Guarantee{Name: sandbox.Internet, Enforced: m.offline == nil, How: "a TUN device of the sandbox, switchable for each function"}
	switch {
	case m.offline != nil:
		g.How = tunDevice + " is not for us, nor are Ethernet devices: " + m.offline.Error()
	case m.layout.wire:
		g.How = "a pair of Ethernet devices of the sandbox, switchable for each function"
	}
	return g
}

func quotaHow(ok bool, how string) string {
	if ok {
		return how
	}
	return "the cpu controller is not delegated to this user"
}

// reportRootless is Report without root.
func (m *Maker) reportRootless() []sandbox.Guarantee {
	user := sandbox.Guarantee{Name: "user", Enforced: true, How: "user namespace; a subordinate host user id that no two functions share"}
	if m.standing.lone() {
		user = sandbox.Guarantee{Name: "user", How: "user namespace, but one host user for all functions and the daemon: " + m.standing.why}
	}
	g := []sandbox.Guarantee{
		{Name: "file system", Enforced: true, How: "mount namespace with a root of its own, made of read-only mounts"},
		{Name: "processes", Enforced: true, How: "pid and ipc namespaces"},
		user,
		{Name: "network", Enforced: true, How: "network namespace of its own; the internet through a stack in the daemon, by policy"},
		m.reportInternet(),
		{Name: "privileges", Enforced: true, How: "no capabilities, no new privileges; the daemon has none either"},
		{Name: "system calls", Enforced: len(m.layout.filter) > 0, How: "seccomp allow-list"},
		{Name: "size of /tmp", Enforced: true, How: "tmpfs of that size, in memory"},
	}
	if m.tree != nil {
		how := m.tree.Describe() + ", delegated"
		return append(g,
			sandbox.Guarantee{Name: "memory limit", Enforced: true, How: how},
			sandbox.Guarantee{Name: "cpu quota", Enforced: m.tree.Quota(), How: quotaHow(m.tree.Quota(), how)},
			sandbox.Guarantee{Name: "process limit", Enforced: true, How: how},
			sandbox.Guarantee{Name: "cpu burst", Enforced: m.tree.Burst(), How: burstHow(m.tree.Burst())},
			sandbox.Guarantee{Name: "/tmp beside memory", How: "what is in /tmp counts as the function's memory: file systems on disk need root"})
	}
	return append(g,
		sandbox.Guarantee{Name: "memory limit", How: "watched, not limited: killed when over it, looked at every " + lookEvery.String() + "; no control group: " + m.noTree.Error()},
		sandbox.Guarantee{Name: "memory watch", Enforced: true, How: "memory of processes and /dev/shm, from /proc; not what the kernel holds for them"},
		sandbox.Guarantee{Name: "cpu quota", How: "none without a control group"},
		sandbox.Guarantee{Name: "cpu burst", How: "none without a control group"},
		sandbox.Guarantee{Name: "process limit", Enforced: true, How: "RLIMIT_NPROC in the sandbox's user namespace"},
		sandbox.Guarantee{Name: "freezing", How: "by SIGSTOP: a process that has a timer send it SIGCONT goes on, and one that waits for stopped children can tell"},
		sandbox.Guarantee{Name: "/tmp beside memory", Enforced: true, How: "what is in /tmp is not the function's memory, and counts towards the node's"})
}
