package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

var files = map[string]func(target) string{
	"read /etc/shadow":                 func(target) string { return read("/etc/shadow") },
	"read a host file":                 func(t target) string { return read(t.secret) },
	"read a host file through ..":      func(t target) string { return read(strings.Repeat("../", 40) + t.secret) },
	"read a host file through root":    func(t target) string { return read("/proc/self/root/.." + t.secret) },
	"read a host file through cwd":     func(t target) string { return read("/proc/self/cwd/../../.." + t.secret) },
	"read a host file through /proc/1": func(t target) string { return read("/proc/1/root" + t.secret) },
	"read a host file through /tmp":    readByLink,
	"read another function's code":     func(t target) string { return read(t.code) },
	"list the root":                    func(target) string { return list("/") },
	"list /tmp":                        func(target) string { return list("/tmp") },
	"list /home":                       func(target) string { return list("/home") },
	"list /sys":                        func(target) string { return list("/sys") },
	"list /dev":                        func(target) string { return list("/dev") },
	"write the root":                   func(target) string { return outcome(os.Mkdir("/new", 0o700)) },
	"write /etc/hosts":                 func(target) string { return write("/etc/hosts", "1.2.3.4 evil") },
	"write the code":                   func(target) string { return write(filepath.Dir(self())+"/setuid", "x") },
	"create beside the code":           func(target) string { return outcome(os.WriteFile(filepath.Dir(self())+"/x", nil, 0o600)) },
	"change the code's mode":           func(target) string { return outcome(os.Chmod(self(), 0o777)) },
	"remove the code":                  func(target) string { return outcome(os.Remove(self())) },
	"write code through a mapping":     writeShared,
	"write code through memory":        writePrivate,
	"create in /dev":                   func(target) string { return outcome(os.WriteFile("/dev/x", nil, 0o600)) },
	"open /dev/mem":                    func(target) string { return read("/dev/mem") },
	"open /dev/kmsg":                   func(target) string { return read("/dev/kmsg") },
	"open /dev/loop0":                  func(target) string { return read("/dev/loop0") },
	"open /dev/kvm":                    func(target) string { return read("/dev/kvm") },
	"open /dev/net/tun":                func(target) string { return read("/dev/net/tun") },
	"open /dev/fuse":                   func(target) string { return read("/dev/fuse") },
	"open /dev/ptmx":                   func(target) string { return read("/dev/ptmx") },
	"make a device":                    func(target) string { return outcome(unix.Mknod("/tmp/mem", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 1)))) },
	"make a block device": func(target) string {
		return outcome(unix.Mknod("/tmp/disk", unix.S_IFBLK|0o666, int(unix.Mkdev(7, 0))))
	},
	"open by handle":               func(target) string { return try(unix.SYS_OPEN_BY_HANDLE_AT, 0, 0, 0) },
	"get a handle":                 func(target) string { return try(unix.SYS_NAME_TO_HANDLE_AT, 0, 0, 0, 0, 0) },
	"run a set-uid program":        runSetUID,
	"make a set-uid program":       makeSetUID,
	"give a file away":             giveAway,
	"mount":                        func(target) string { return outcome(unix.Mount("x", "/tmp", "tmpfs", 0, "")) },
	"mount proc":                   func(target) string { return outcome(unix.Mount("proc", "/tmp", "proc", 0, "")) },
	"mount a control group":        func(target) string { return outcome(unix.Mount("cgroup", "/tmp", "cgroup2", 0, "")) },
	"bind a mount":                 func(target) string { return outcome(unix.Mount("/", "/tmp", "", unix.MS_BIND|unix.MS_REC, "")) },
	"remount the root writable":    func(target) string { return outcome(unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND, "")) },
	"remount /proc/sys writable":   func(target) string { return outcome(unix.Mount("", "/proc/sys", "", unix.MS_REMOUNT|unix.MS_BIND, "")) },
	"unmount /proc/sys":            func(target) string { return outcome(unix.Unmount("/proc/sys", unix.MNT_DETACH)) },
	"unmount /dev":                 func(target) string { return outcome(unix.Unmount("/dev", unix.MNT_DETACH)) },
	"change root":                  func(target) string { return outcome(unix.Chroot("/tmp")) },
	"pivot root":                   func(target) string { return outcome(unix.PivotRoot("/tmp", "/tmp")) },
	"open a file system":           func(target) string { return try(unix.SYS_FSOPEN) },
	"clone a mount":                func(target) string { return try(unix.SYS_OPEN_TREE) },
	"move a mount":                 func(target) string { return try(unix.SYS_MOVE_MOUNT) },
	"set a mount's attributes":     func(target) string { return try(unix.SYS_MOUNT_SETATTR) },
	"read /proc/kcore":             func(target) string { return read("/proc/kcore") },
	"read /proc/kallsyms":          func(target) string { return read("/proc/kallsyms") },
	"read /proc/keys":              func(target) string { return read("/proc/keys") },
	"read /proc/cmdline":           func(target) string { return read("/proc/cmdline") },
	"read /proc/timer_list":        func(target) string { return read("/proc/timer_list") },
	"write core_pattern":           func(target) string { return write("/proc/sys/kernel/core_pattern", "|/tmp/x") },
	"write a sysctl":               func(target) string { return write("/proc/sys/vm/overcommit_memory", "1") },
	"write a network sysctl":       func(target) string { return write("/proc/sys/net/ipv4/ip_forward", "1") },
	"write ping_group_range":       func(target) string { return write("/proc/sys/net/ipv4/ping_group_range", "0 2000") },
	"trigger sysrq":                func(target) string { return write("/proc/sysrq-trigger", "h") },
	"write irq affinity":           func(target) string { return write("/proc/irq/default_smp_affinity", "1") },
	"join a control group":         func(target) string { return write("/sys/fs/cgroup/cgroup.procs", "0") },
	"see the control group's path": func(target) string { return cgroups() },
}

func self() string {
	path, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return outcome(err)
	}
	return path
}

func readByLink(t target) string {
	link := "/tmp/link"
	_ = os.Remove(link)
	if err := os.Symlink(t.secret, link); err != nil {
		return outcome(err)
	}
	return read(link)
}

func list(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return outcome(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return "list: " + strings.Join(names, " ")
}

// writeShared writes into a shared mapping of the read-only program by way of /proc/self/mem, which ignores protection.
func writeShared(target) string { return writeMapped(unix.MAP_SHARED) }

// writePrivate does so in a private mapping; the file must not change.
func writePrivate(target) string { return writeMapped(unix.MAP_PRIVATE) }

func writeMapped(flags int) string {
	f, err := os.Open(self())
	if err != nil {
		return outcome(err)
	}
	b, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ, flags)
	if err != nil {
		return outcome(err)
	}
	mem, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return outcome(err)
	}
	_, err = mem.WriteAt([]byte("EVIL"), int64(uintptr(unsafe.Pointer(&b[0]))))
	if err != nil {
		return outcome(err)
	}
	head := make([]byte, 4)
	if _, err := f.ReadAt(head, 0); err != nil {
		return outcome(err)
	}
	if string(head) == "EVIL" {
		return "the file changed"
	}
	return "a private copy changed"
}

// runSetUID runs the set-uid root copy of this program beside it.
func runSetUID(t target) string {
	args := append([]string{"who am i"}, os.Args[2:]...)
	out, err := exec.Command(filepath.Dir(self())+"/setuid", args...).CombinedOutput()
	if err != nil {
		return outcome(err)
	}
	return string(out)
}

func makeSetUID(target) string {
	b, err := os.ReadFile(self())
	if err != nil {
		return outcome(err)
	}
	if err := errors.Join(os.WriteFile("/tmp/suid", b, 0o755), os.Chmod("/tmp/suid", 0o6755)); err != nil {
		return outcome(err)
	}
	args := append([]string{"who am i"}, os.Args[2:]...)
	out, err := exec.Command("/tmp/suid", args...).CombinedOutput()
	if err != nil {
		return outcome(err)
	}
	return string(out)
}

func giveAway(target) string {
	if err := os.WriteFile("/tmp/gift", nil, 0o600); err != nil {
		return outcome(err)
	}
	err := os.Chown("/tmp/gift", 0, 0)
	return outcome(errors.Join(err, os.Remove("/tmp/gift")))
}

func cgroups() string {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return outcome(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 || strings.Contains(parts[2], "artesian") {
			return fmt.Sprintf("path: %s", line)
		}
	}
	return "hidden"
}
