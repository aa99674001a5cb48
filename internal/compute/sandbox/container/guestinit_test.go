package container

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/lang/host/hosttest"
	"artesian/internal/compute/sandbox/sandboxtest"
)

// guestEnv comes from the guest kernel's command line and names the control group set-up.
const (
	guestEnv    = "ARTESIAN_GUEST"
	guestPassed = "guest: all tests passed"
)

// TestMain makes this test the first process of the guest, or a user without privilege; everywhere else it changes nothing.
func TestMain(m *testing.M) {
	if os.Getpid() == 1 && os.Getenv(guestEnv) != "" {
		guest()
	}
	if kind := os.Getenv(becomeEnv); kind != "" {
		if err := become(kind); err != nil {
			fmt.Println("become", kind, ":", err)
			os.Exit(1)
		}
		return
	}
	status := m.Run()
	hosttest.Forget()
	sandboxtest.Forget()
	os.Exit(status)
}

// guest runs the tests on a machine that has nothing else, and powers it off.
func guest() {
	if err := setUpGuest(os.Getenv(guestEnv)); err != nil {
		fmt.Println("guest:", err)
	} else if err := runInGuest(os.Getenv(guestEnv)); err != nil {
		fmt.Println("guest: tests failed:", err)
	} else {
		fmt.Println(guestPassed)
	}
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

func setUpGuest(hierarchy string) error {
	if err := unix.Mount("dev", "/dev", "devtmpfs", 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("mount /dev: %w", err)
	}
	for _, name := range guestModules {
		if err := loadModule("/modules/" + name + ".ko"); err != nil {
			return err
		}
	}
	if err := moveToDisk("/dev/vda", "/data"); err != nil {
		return err
	}
	for _, m := range [][3]string{{"proc", "/proc", "proc"}, {"sys", "/sys", "sysfs"}, {"dev", "/dev", "devtmpfs"}} {
		if err := unix.Mount(m[0], m[1], m[2], 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m[1], err)
		}
	}
	for name, value := range map[string]string{"PATH": "/bin", sandboxtest.PayloadEnv: "/programs/payload", attackEnv: "/programs/attack"} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return mountGroups(hierarchy)
}

// moveToDisk makes a disk with a copy of the initial RAM file system the root: that one itself cannot be pivoted away from.
func moveToDisk(device, at string) error {
	if err := unix.Mount(device, at, "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount disk: %w", err)
	}
	entries, err := os.ReadDir("/")
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := "/" + e.Name()
		switch {
		case name == at || name == "/modules":
		case name == "/dev" || name == "/proc" || name == "/sys" || name == "/tmp":
			err = os.Mkdir(at+name, 0o755)
		case e.IsDir():
			err = os.CopyFS(at+name, os.DirFS(name))
		default:
			err = copyFile(name, at+name)
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(unix.Chdir(at), unix.Mount(".", "/", "", unix.MS_MOVE, ""), unix.Chroot("."), unix.Chdir("/"))
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

func loadModule(file string) error {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil // built in
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("load %s: %w", file, err)
	}
	return nil
}

func mountGroups(hierarchy string) error {
	const top = "/sys/fs/cgroup"
	if hierarchy == "v1" {
		if err := unix.Mount("cgroup", top, "tmpfs", 0, ""); err != nil {
			return err
		}
		for _, c := range []string{"cpu,cpuacct", "memory", "pids", "freezer"} {
			dir := filepath.Join(top, c)
			if err := errors.Join(os.Mkdir(dir, 0o755), unix.Mount("cgroup", dir, "cgroup", 0, c)); err != nil {
				return fmt.Errorf("mount %s: %w", dir, err)
			}
		}
		return nil
	}
	if err := unix.Mount("cgroup2", top, "cgroup2", 0, ""); err != nil {
		return err
	}
	if hierarchy == "v2" {
		return nil
	}
	// As systemd leaves a service with Delegate=yes, of root's or of a user's.
	service := filepath.Join(top, "service")
	err := errors.Join(os.WriteFile(top+"/cgroup.subtree_control", []byte("+cpu +memory +pids"), 0), os.Mkdir(service, 0o755))
	if hierarchy == "delegated" {
		return errors.Join(err, unix.Setxattr(service, "trusted.delegate", []byte("1"), 0),
			os.WriteFile(service+"/cgroup.procs", []byte(strconv.Itoa(os.Getpid())), 0))
	}
	for _, file := range []string{".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} {
		err = errors.Join(err, os.Chown(filepath.Join(service, file), userOf(aloneUser), userOf(aloneUser)))
	}
	return errors.Join(err, os.Chmod("/tmp", 0o1777), os.Chmod("/", 0o755), os.WriteFile(service+"/cgroup.procs", []byte(strconv.Itoa(os.Getpid())), 0))
}

func runInGuest(hierarchy string) error {
	cmd := exec.Command("/init", "-test.v", "-test.run", "^(TestConformance|TestAttacks|TestNodeLimit|TestCrash|TestDaemonProcess|TestStanding)$")
	if hierarchy == "rootless" {
		cmd.Env = append(os.Environ(), becomeEnv+"="+aloneUser, "TMPDIR=/tmp")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	return cmd.Run()
}
