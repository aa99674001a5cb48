package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// machine writes what /proc would say of a machine with the given cgroup mounts, and returns the two files' names.
func machine(t *testing.T, mounts []string, self string, controllers string) (mountinfo, own, v2 string) {
	t.Helper()
	dir := t.TempDir()
	v2 = filepath.Join(dir, "cgroup2")
	lines := strings.ReplaceAll(strings.Join(mounts, "\n"), "V2", v2)
	mountinfo, own = filepath.Join(dir, "mountinfo"), filepath.Join(dir, "cgroup")
	if err := errors.Join(os.MkdirAll(filepath.Join(v2, "service"), 0o755), os.WriteFile(mountinfo, []byte(lines), 0o600), os.WriteFile(own, []byte(self), 0o600),
		os.WriteFile(filepath.Join(v2, "cgroup.controllers"), []byte(controllers), 0o600)); err != nil {
		t.Fatal(err)
	}
	return mountinfo, own, v2
}

const (
	mountRoot   = "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw"
	mountV2     = "41 31 0:38 / V2 rw - cgroup2 cgroup2 rw"
	mountCPU    = "32 31 0:29 / /cg/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct"
	mountMemory = "35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory"
	mountPids   = "39 31 0:36 / /cg/pids rw - cgroup cgroup rw,pids"
	mountFreeze = "39 31 0:36 / /cg/freezer rw - cgroup cgroup rw,freezer"
)

func TestPlaces(t *testing.T) {
	v1 := []string{mountRoot, mountCPU, mountMemory, mountPids, mountFreeze}
	for _, c := range []struct {
		name        string
		mounts      []string
		self        string
		controllers string
		dirs        []string // V2 stands for the cgroup2 mount
		describe    string
		err         string
	}{
		{"v2", []string{mountRoot, mountV2}, "0::/", "cpuset cpu io memory pids", []string{"V2/x"}, "cgroup v2", ""},
		{"v2 in a group that is not ours to use", []string{mountV2}, "0::/user.slice", "cpu memory pids", []string{"V2/x"}, "cgroup v2", ""},
		{"hybrid", append([]string{mountV2}, v1...), "4:memory:/a\n0::/", "", []string{"V2/x", "/cg/memory/x", "/cg/cpu/x", "/cg/pids/x"},
			"cgroup v1, frozen and killed through cgroup2", ""},
		{"v1", v1, "4:memory:/a", "", []string{"/cg/memory/x", "/cg/cpu/x", "/cg/pids/x", "/cg/freezer/x"}, "cgroup v1, frozen through the v1 freezer", ""},
		{"nothing", []string{mountRoot}, "", "", nil, "", "no cgroup file system is mounted"},
		{"a controller is missing", []string{mountV2}, "0::/", "cpu pids", nil, "", "not available: memory"},
		{"two are missing", v1[:3], "", "", nil, "", "not available: pids, freezer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			mountinfo, self, v2 := machine(t, c.mounts, c.self, c.controllers)
			f, err := discover(mountinfo, self)
			if err != nil {
				t.Fatal(err)
			}
			tree, err := plan(f, "x")
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, d := range c.dirs {
				want = append(want, strings.ReplaceAll(d, "V2", v2))
			}
			if !slices.Equal(tree.dirs, want) || tree.Describe() != c.describe {
				t.Errorf("%s in %v, want %s in %v", tree.Describe(), tree.dirs, c.describe, want)
			}
		})
	}
}

func TestDelegatedGroup(t *testing.T) {
	mountinfo, self, v2 := machine(t, []string{mountV2}, "0::/service", "cpu memory pids")
	service := filepath.Join(v2, "service")
	if err := os.WriteFile(filepath.Join(service, "cgroup.controllers"), []byte("cpu memory pids"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setxattr(service, "user.delegate", []byte("1"), 0); err != nil {
		t.Skipf("needs extended attributes in the temporary directory: %v", err)
	}
	f, err := discover(mountinfo, self)
	if err != nil || f.v2base != service || !f.v2own {
		t.Errorf("groups are made in %s (own: %v), want %s: %v", f.v2base, f.v2own, service, err)
	}
}

func TestExplain(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{syscall.EROFS: "must be writable", syscall.EACCES: "Delegate=yes", syscall.ENOSPC: "no space"} {
		err := explain("create cgroup", &os.PathError{Op: "mkdir", Path: "/sys/fs/cgroup/x", Err: errno})
		if !errors.Is(err, errno) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "/sys/fs/cgroup/x") {
			t.Errorf("%v: %v, want it to say %q", errno, err, want)
		}
	}
}

// TestWeight: all sandboxes together are no single process to the scheduler.
func TestWeight(t *testing.T) {
	for _, c := range []struct {
		v2          bool
		file, start string
		cores       int
		want        string
	}{
		{false, "cpu.shares", "1024", 2, "4096"},
		{false, "cpu.shares", "1024", 256, "262144"},
		{true, "cpu.weight", "100", 4, "800"},
		{true, "cpu.weight", "100", 256, "10000"},
		{true, "", "", 4, ""},
	} {
		dir := t.TempDir()
		if c.file != "" {
			if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.start), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := (&Tree{cpu: place{dir, c.v2}}).weigh(c.cores); err != nil {
			t.Fatal(err)
		}
		if c.file == "" {
			continue
		}
		if got, err := os.ReadFile(filepath.Join(dir, c.file)); err != nil || !strings.HasPrefix(string(got), c.want) {
			t.Errorf("%s with %d cores: %q, %v, want %s", c.file, c.cores, got, err, c.want)
		}
	}
	if err := (&Tree{}).weigh(2); err != nil {
		t.Error("without the controller:", err)
	}
}
