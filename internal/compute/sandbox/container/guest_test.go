package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/sandbox/sandboxtest"
)

// Where the guest's kernel is: a directory with boot/vmlinuz-* and lib/modules, as a distribution's kernel package unpacks.
const (
	kernelEnv     = "ARTESIAN_TEST_KERNEL"
	defaultKernel = "/var/cache/artesian-test/kernel"
)

// guestModules are loaded by the guest, in order, as far as the kernel has them as modules.
var guestModules = []string{"tun", "virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk", "loop"}

// guestHierarchies are the control group set-ups that the guest is booted with.
var guestHierarchies = []string{"v2", "delegated", "v1", "rootless"}

// TestGuest runs conformance, attacks, crash and node limit in a virtual machine for control group set-ups that this
// machine cannot show.
func TestGuest(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the guest is set up for amd64")
	}
	if os.Getenv(guestEnv) != "" {
		t.Skip("runs in the guest itself")
	}
	if os.Getenv("ARTESIAN_TEST_GUEST") == "" {
		t.Skip("takes minutes under emulation; `make guest` runs it")
	}
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Skip("needs qemu-system-x86_64 (package qemu-system-x86)")
	}
	kernel, modules := findKernel(t)
	image := buildGuest(t, modules)
	for _, hierarchy := range guestHierarchies {
		t.Run(hierarchy, func(t *testing.T) {
			boot(t, qemu, kernel, image, hierarchy)
		})
	}
}

func findKernel(t *testing.T) (kernel, modules string) {
	t.Helper()
	dir := os.Getenv(kernelEnv)
	if dir == "" {
		dir = defaultKernel
	}
	kernels, _ := filepath.Glob(filepath.Join(dir, "boot/vmlinuz-*"))
	trees, _ := filepath.Glob(filepath.Join(dir, "lib/modules/*"))
	if len(kernels) == 0 || len(trees) == 0 {
		t.Skipf("needs a kernel in %s, or in $%s: apt-get download a linux-image-*-cloud-amd64 and dpkg-deb -x it there", dir, kernelEnv)
	}
	return kernels[0], trees[0]
}

// buildGuest makes an initial RAM file system of this test as /init, what it runs, and mkfs.ext4 with its libraries.
func buildGuest(t *testing.T, modules string) string {
	t.Helper()
	dir := t.TempDir()
	test := filepath.Join(dir, "container.test")
	cmd := exec.Command("go", "test", "-c", "-o", test, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("needs the go command to build the guest: %v\n%s", err, out)
	}
	files := map[string]string{
		"init":             test,
		"programs/payload": sandboxtest.Payload(t),
		"programs/attack":  sandboxtest.Build(t, "artesian/internal/compute/sandbox/container/attack", attackEnv),
		"etc/group":        "/etc/group",
	}
	for _, program := range []string{mkfs} {
		addProgram(t, files, program)
	}
	for _, name := range guestModules {
		found, err := filepath.Glob(filepath.Join(modules, "kernel/*/*/"+name+".ko"))
		more, _ := filepath.Glob(filepath.Join(modules, "kernel/*/"+name+".ko"))
		if found = append(found, more...); err == nil && len(found) > 0 {
			files["modules/"+name+".ko"] = found[0]
		}
	}
	image := filepath.Join(dir, "initramfs")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(writeCPIO(f, files), f.Close()); err != nil {
		t.Fatal(err)
	}
	return image
}

// addProgram adds a dynamic program of this machine with its libraries, at their own paths.
func addProgram(t *testing.T, files map[string]string, name string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s (package e2fsprogs)", name)
	}
	files["bin/"+name] = path
	out, err := exec.Command("ldd", path).Output()
	if err != nil {
		t.Skipf("needs ldd: %v", err)
	}
	for _, lib := range regexp.MustCompile(`/[^ ]+`).FindAllString(string(out), -1) {
		files[strings.TrimPrefix(lib, "/")] = lib
	}
}

// writeCPIO writes the "newc" format (kernel documentation, initramfs buffer format).
func writeCPIO(w io.Writer, files map[string]string) error {
	inode := 0
	entry := func(name string, mode int, data []byte) error {
		inode++
		head := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
			inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
		_, err := w.Write(append(padded([]byte(head)), padded(data)...))
		return err
	}
	made := map[string]bool{".": true}
	var mkdir func(dir string) error
	mkdir = func(dir string) error {
		if made[dir] {
			return nil
		}
		made[dir] = true
		return errors.Join(mkdir(filepath.Dir(dir)), entry(dir, 0o40755, nil))
	}
	for _, dir := range []string{"proc", "sys", "dev", "tmp", "data"} {
		if err := mkdir(dir); err != nil {
			return err
		}
	}
	for name, source := range files {
		data, err := os.ReadFile(source)
		if err := errors.Join(err, mkdir(filepath.Dir(name)), entry(name, 0o100755, data)); err != nil {
			return err
		}
	}
	return entry("TRAILER!!!", 0, nil)
}

func padded(b []byte) []byte { return append(b, make([]byte, (4-len(b)%4)%4)...) }

// boot runs the guest until it powers off, and passes on how its tests ended.
func boot(t *testing.T, qemu, kernel, image, hierarchy string) {
	disk := filepath.Join(t.TempDir(), "disk")
	if out, err := exec.Command(mkfs, "-q", "-F", disk, "8g").CombinedOutput(); err != nil {
		t.Fatalf("make disk: %v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	// Emulated: virtual machines in virtual machines are not to be relied on, and this takes only seconds.
	args := []string{"-accel", "tcg", "-cpu", "max", "-m", "2048", "-smp", "2", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio",
		"-drive", "if=virtio,format=raw,file=" + disk, "-kernel", kernel, "-initrd", image,
		"-append", "console=ttyS0 quiet panic=-1 rdinit=/init " + guestEnv + "=" + hierarchy}
	out, err := exec.CommandContext(ctx, qemu, args...).CombinedOutput()
	out = bytes.ReplaceAll(out, []byte("\r"), nil)
	if err != nil {
		t.Fatalf("guest: %v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte(guestPassed)) {
		t.Fatalf("tests in the guest failed:\n%s", out)
	}
	for _, line := range regexp.MustCompile(`(?m)^--- .*|^ +--- SKIP.*|^guest:.*`).FindAllString(string(out), -1) {
		t.Log(line)
	}
}
