package container

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/sandboxtest"
)

// defended is what every attack must meet, exactly. Alternatives stand beside each other where kernels differ in whether
// they have the thing at all.
var defended = map[string][]string{
	// Files.
	"read /etc/shadow":                 {"ENOENT"},
	"read a host file":                 {"ENOENT"},
	"read a host file through ..":      {"ENOENT"},
	"read a host file through root":    {"ENOENT"},
	"read a host file through cwd":     {"ENOENT"},
	"read a host file through /proc/1": {"ENOENT"},
	"read a host file through /tmp":    {"ENOENT"},
	"read another function's code":     {"ENOENT"},
	"list the root":                    {"list: dev etc home proc run tmp var"},
	"list /tmp":                        {"list:"},
	"list /home":                       {"list: sbx_user1051"},
	"list /sys":                        {"ENOENT"},
	"list /dev":                        {"list: fd full null random shm stderr stdin stdout urandom zero"},
	"write the root":                   {"EROFS"},
	"write /etc/hosts":                 {"EACCES"},
	"write the code":                   {"EACCES", "EROFS"},
	"create beside the code":           {"EROFS"},
	"change the code's mode":           {"EROFS"},
	"remove the code":                  {"EROFS"},
	"write code through a mapping":     {"EIO"},
	"write code through memory":        {"a private copy changed", "EIO"},
	"create in /dev":                   {"EROFS"},
	"open /dev/mem":                    {"ENOENT"},
	"open /dev/kmsg":                   {"ENOENT"},
	"open /dev/loop0":                  {"ENOENT"},
	"open /dev/kvm":                    {"ENOENT"},
	"open /dev/net/tun":                {"ENOENT"},
	"open /dev/fuse":                   {"ENOENT"},
	"open /dev/ptmx":                   {"ENOENT"},
	"make a device":                    {"EPERM"},
	"make a block device":              {"EPERM"},
	"open by handle":                   {"EPERM"},
	"get a handle":                     {"EPERM"},
	"run a set-uid program":            {"uid 993 993 gid 990 990"},
	"make a set-uid program":           {"uid 993 993 gid 990 990"},
	"give a file away":                 {"EPERM"},
	"mount":                            {"EPERM"},
	"mount proc":                       {"EPERM"},
	"mount a control group":            {"EPERM"},
	"bind a mount":                     {"EPERM"},
	"remount the root writable":        {"EPERM"},
	"remount /proc/sys writable":       {"EPERM"},
	"unmount /proc/sys":                {"EPERM"},
	"unmount /dev":                     {"EPERM"},
	"change root":                      {"EPERM"},
	"pivot root":                       {"EPERM"},
	"open a file system":               {"EPERM"},
	"clone a mount":                    {"EPERM"},
	"move a mount":                     {"EPERM"},
	"set a mount's attributes":         {"EPERM"},
	"read /proc/kcore":                 {"ENOENT", "empty"},
	"read /proc/kallsyms":              {"ENOENT", "empty"},
	"read /proc/keys":                  {"ENOENT", "empty"},
	"read /proc/cmdline":               {"empty"},
	"read /proc/timer_list":            {"ENOENT", "empty"},
	"write core_pattern":               {"EACCES", "EROFS"},
	"write a sysctl":                   {"EACCES", "EROFS"},
	"write a network sysctl":           {"EACCES", "EROFS"},
	"write ping_group_range":           {"EACCES", "EROFS"},
	"trigger sysrq":                    {"EACCES", "EROFS", "ENOENT"},
	"write irq affinity":               {"EACCES", "EROFS"},
	"join a control group":             {"ENOENT"},
	"see the control group's path":     {"hidden"},
	// Processes.
	"who am i":                     {"uid 993 993 gid 990 990"},
	"capabilities":                 {"Groups= NoNewPrivs=1 Seccomp=2"},
	"descriptors":                  {"0 1 2"},
	"see processes":                {"others: []"},
	"read the daemon's memory":     {"ENOENT"},
	"read the daemon's environ":    {"ENOENT"},
	"read a victim's environ":      {"ENOENT"},
	"read process 1's environ":     {"ENOENT"},
	"read process 1's memory":      {"ENOENT"},
	"read process 1's maps":        {"ENOENT"},
	"open process 1's descriptors": {"ENOENT"},
	"open process 1's namespaces":  {"ENOENT"},
	"run process 1's program":      {"ENOENT"},
	"kill process 1":               {"EPERM"},
	"kill the daemon":              {"ESRCH"},
	"kill a victim":                {"ESRCH"},
	"trace myself":                 {"EPERM"},
	"trace process 1":              {"EPERM"},
	"trace the daemon":             {"EPERM"},
	"read memory of process 1":     {"EPERM"},
	"write memory of the daemon":   {"EPERM"},
	"steal a descriptor":           {"EPERM"},
	"compare processes":            {"EPERM"},
	"lower the oom score":          {"EACCES"},
	"raise the priority":           {"EACCES"},
	"run in real time":             {"EPERM"},
	"raise the open files":         {"EPERM"},
	"raise the locked memory":      {"EPERM"},
	"raise the core size":          {"EPERM"},
	"insert terminal input":        {"EPERM"},
	// Network.
	"connect to the host's loopback": {"ECONNREFUSED"},
	"connect to the daemon's socket": {"ECONNREFUSED"},
	"connect to the internet":        {"EHOSTUNREACH"}, // a reserved address
	"connect over IPv6":              {"EACCES"},
	"see interfaces":                 {"lo eth0"},
	"open a raw socket":              {"EPERM"},
	"open a ping socket":             {"EPERM"},
	"open an SCTP socket":            {"EPERM"},
	"open a DCCP socket":             {"EPERM"},
	"open an MPTCP socket":           {"EPERM"},
	"open a UDP-Lite socket":         {"EPERM"},
	"pair TIPC sockets":              {"EPERM"},
	"open a packet socket":           {"EPERM"},
	"open a vsock socket":            {"EPERM"},
	"open an audit socket":           {"EPERM"},
	"open a netfilter socket":        {"EPERM"},
	"open a crypto socket":           {"EPERM"},
	"open a bluetooth socket":        {"EPERM"},
	"open an XDP socket":             {"EPERM"},
	"take an interface down":         {"EPERM"},
	"add a route":                    {"EPERM"},
	// Privileges.
	"become root":                   {"EPERM"},
	"become root (setresuid)":       {"EPERM"},
	"become group root":             {"EPERM"},
	"become another user":           {"EINVAL"}, // does not exist in the namespace
	"set groups":                    {"EPERM"},
	"gain capabilities":             {"EPERM"},
	"raise an ambient capability":   {"EPERM"},
	"change secure bits":            {"EPERM"},
	"clear no_new_privs":            {"EINVAL"},
	"create a user namespace":       {"EPERM"},
	"create a mount namespace":      {"EPERM"},
	"clone into a user namespace":   {"EPERM"},
	"clone into a net namespace":    {"EPERM"},
	"clone3 into a user namespace":  {"ENOSYS"},
	"enter a namespace":             {"EPERM"},
	"change the personality":        {"EPERM"},
	"set the host's name":           {"EPERM"},
	"switch the filter to a lesser": {"EINVAL"},
	// The kernel.
	"load a program into the kernel": {"EPERM"},
	"watch performance events":       {"EPERM"},
	"handle page faults":             {"EPERM"},
	"open an io_uring":               {"ENOSYS"},
	"enter an io_uring":              {"ENOSYS"},
	"take the machine's AIO events":  {"ENOSYS"},
	"submit AIO":                     {"ENOSYS"},
	"add a key":                      {"EPERM"},
	"request a key":                  {"EPERM"},
	"use a keyring":                  {"EPERM"},
	"read the kernel's log":          {"EPERM"},
	"read /proc/kmsg":                {"empty"},
	"set the clock":                  {"EPERM"},
	"set the time of day":            {"EPERM"},
	"adjust the clock":               {"EPERM"},
	"watch the file system":          {"EPERM"},
	"set a quota":                    {"EPERM"},
	"account processes":              {"EPERM"},
	"move memory":                    {"EPERM"},
	"load a module":                  {"killed: bad system call"},
	"load a module from a file":      {"killed: bad system call"},
	"load another kernel":            {"killed: bad system call"},
	"reboot":                         {"killed: bad system call"},
	"swap to a file":                 {"killed: bad system call"},
}

// defendedAlone is what differs where functions have no ids beside the daemon's: there is no root inside at all.
var defendedAlone = map[string][]string{
	"write /etc/hosts":        {"EROFS"},
	"become root":             {"EINVAL"},
	"become root (setresuid)": {"EINVAL"},
	"become group root":       {"EINVAL"},
	"give a file away":        {"EINVAL"},
	"kill process 1":          {"done"}, // without effect: from inside, the kernel drops it
}

// defendedOffline is what differs where no sandbox can have the internet.
var defendedOffline = map[string][]string{
	"connect to the internet": {"ENETUNREACH"},
	"connect over IPv6":       {"ENETUNREACH", "EADDRNOTAVAIL"},
	"see interfaces":          {"lo"},
}

const attackEnv = "ARTESIAN_TEST_ATTACK"

func TestAttacks(t *testing.T) {
	m := open(t, 1<<30)
	testAttacks(t, m, m)
}

// TestAttacksOnCells: what was a cell, with a main process or without, withstands the same.
func TestAttacksOnCells(t *testing.T) {
	for name, stem := range map[string]string{"blank": "", "stem": sandboxtest.Payload(t)} {
		t.Run(name, func(t *testing.T) {
			m := open(t, 1<<30)
			testAttacks(t, m, sandboxtest.Cells{Ahead: m, Stem: stem})
		})
	}
	t.Run("seen", func(t *testing.T) {
		m := open(t, 1<<30)
		testAttacks(t, m, sandboxtest.Cells{Ahead: m, Seen: true})
	})
}

func testAttacks(t *testing.T, m *Maker, starts sandbox.Maker) {
	t.Helper()
	met := launchAttacks(t, m, starts)
	for name, want := range defended {
		if w := defendedAlone[name]; w != nil && m.standing.lone() {
			want = w
		}
		if w := defendedOffline[name]; w != nil && m.offline != nil {
			want = w
		}
		t.Run(name, func(t *testing.T) {
			got, ok := met[name]
			if !ok {
				t.Fatal("this attack was not made")
			}
			for _, w := range want {
				if got == w {
					return
				}
			}
			t.Errorf("met %q, want one of %q", got, want)
		})
	}
	for name := range met {
		if defended[name] == nil {
			t.Errorf("attack %q has no expected outcome", name)
		}
	}
}

// launchAttacks runs all attacks in one function beside a victim, and returns what each met.
func launchAttacks(t *testing.T, m *Maker, starts sandbox.Maker) map[string]string {
	t.Helper()
	code, arguments := arm(t, m)
	spec := sandboxtest.Spec("attacker", filepath.Join(code, "attack"), append([]string{"all"}, arguments...)...)
	spec.Internet = m.offline == nil
	s, err := starts.Start(context.Background(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	out := sandboxtest.ReadAllWithin(t, s, 3*time.Minute) // under emulation each attack takes long
	sandboxtest.Await(t, s)
	if s.Exit() != (sandbox.Exit{}) {
		t.Fatalf("attacker ended with %+v: %s", s.Exit(), out)
	}
	return sandboxtest.Outcomes(out)
}

// arm makes what is to be attacked, and returns the attacker's code and its arguments.
func arm(t *testing.T, m *Maker) (code string, arguments []string) {
	t.Helper()
	victim, victimCode := startVictim(t, m)
	g := sandboxtest.Arm(t, "artesian/internal/compute/sandbox/container/attack", attackEnv)
	return g.Code, []string{g.Secret, victimCode, g.Loopback, g.Abstract, strconv.Itoa(os.Getpid()), strconv.Itoa(victim)}
}

// startVictim starts another function, and returns its process on the host and its code.
func startVictim(t *testing.T, m *Maker) (pid int, code string) {
	t.Helper()
	payload := sandboxtest.Payload(t)
	s, err := m.Start(context.Background(), sandboxtest.Spec("victim", payload, "wait"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if pid, err = pidOf(s.(*instance).main); err != nil {
		t.Fatal(err)
	}
	return pid, payload
}
