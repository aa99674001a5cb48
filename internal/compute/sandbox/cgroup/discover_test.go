package cgroup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	hybridMounts = `24 30 0:22 / /sys rw,nosuid shared:7 - sysfs sysfs rw
31 24 0:27 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
32 31 0:28 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate
36 31 0:32 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:15 - cgroup cgroup rw,cpu,cpuacct
37 31 0:33 / /sys/fs/cgroup/memory rw,nosuid shared:16 - cgroup cgroup rw,memory
`
	v2Mounts = "29 22 0:26 / /sys/fs/cgroup rw,nosuid,nodev - cgroup2 cgroup2 rw\n"
)

func TestParseMount(t *testing.T) {
	for _, c := range []struct{ line, point, kind, options string }{
		{"37 31 0:33 / /sys/fs/cgroup/memory rw shared:16 - cgroup cgroup rw,memory", "/sys/fs/cgroup/memory", "cgroup", "rw,memory"},
		{"29 22 0:26 / /sys/fs/cgroup rw - cgroup2 none rw", "/sys/fs/cgroup", "cgroup2", "rw"},
		{"29 22 0:26 / /a rw shared:1 master:2 unbindable - ext4 /dev/sda rw", "/a", "ext4", "rw"},
		{"29 22 0:26 / /a rw", "", "", ""},
		{"29 22 - cgroup cgroup rw", "", "", ""},
		{"29 22 0:26 / /a rw - cgroup2", "", "", ""},
		{"", "", "", ""},
	} {
		if point, kind, options := parseMount(c.line); point != c.point || kind != c.kind || options != c.options {
			t.Errorf("%q: %q %q %q", c.line, point, kind, options)
		}
	}
}

func TestDiscover(t *testing.T) {
	mountinfo, self := filepath.Join(t.TempDir(), "mountinfo"), filepath.Join(t.TempDir(), "cgroup")
	v1 := strings.ReplaceAll(hybridMounts, "/sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2", "/x rw - tmpfs")
	writeBoth(t, mountinfo, v1, self, "3:memory:/a\n")
	f, err := discover(mountinfo, self)
	if err != nil || f.v2base != "" || f.v1["memory"] != "/sys/fs/cgroup/memory" || f.v1["cpuacct"] != "/sys/fs/cgroup/cpu,cpuacct" {
		t.Errorf("v1 only: %+v, %v", f, err)
	}
	base := t.TempDir()
	writeBoth(t, mountinfo, strings.ReplaceAll(v2Mounts, "/sys/fs/cgroup", base), self, "0::/user.slice\n")
	if _, err := discover(mountinfo, self); err == nil {
		t.Error("a hierarchy without cgroup.controllers was accepted")
	}
	if err := os.WriteFile(filepath.Join(base, "cgroup.controllers"), []byte("cpu memory pids\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err = discover(mountinfo, self)
	if err != nil || f.v2base != base || !f.v2controllers["memory"] || f.v2own {
		t.Errorf("v2, not delegated: %+v, %v", f, err)
	}
}

func writeBoth(t testing.TB, a, textA, b, textB string) {
	t.Helper()
	for file, text := range map[string]string{a: textA, b: textB} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzDiscover reads any mountinfo and any /proc/self/cgroup. Every mount point that comes out stands in what went in.
func FuzzDiscover(f *testing.F) {
	f.Add(hybridMounts, "0::/\n")
	f.Add(v2Mounts, "0::/system.slice/artesian.service\n")
	f.Add("1 2 - - - cgroup - , ,,\n - cgroup2", "0::")
	dir := f.TempDir()
	mountinfo, self := filepath.Join(dir, "mountinfo"), filepath.Join(dir, "cgroup")
	f.Fuzz(func(t *testing.T, mounts, own string) {
		writeBoth(t, mountinfo, mounts, self, own)
		found, err := discover(mountinfo, self)
		for controller, point := range found.v1 {
			if point == "" || !strings.Contains(mounts, point) || !strings.Contains(mounts, controller) {
				t.Errorf("%q at %q is not in %q", controller, point, mounts)
			}
		}
		if err != nil {
			return
		}
		if _, err := plan(found, "artesian"); err == nil && len(found.v1) == 0 && found.v2base == "" {
			t.Errorf("a plan without a hierarchy, from %q", mounts)
		}
		if found.describe() == "" {
			t.Error("nothing to say about what was found")
		}
	})
}
