package container

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDisk(t *testing.T) {
	m := open(t, 0)
	if m.noDisks != nil {
		t.Skip(m.noDisks)
	}
	for _, sizeMB := range []int{8, 512, 10240} {
		k, err := m.disks.new(context.Background(), sizeMB, 1234, 5678, false)
		if err != nil {
			t.Fatal(err)
		}
		defer k.close()
		var fs unix.Statfs_t
		var top unix.Stat_t
		if err := unix.Fstatfs(k.root, &fs); err != nil {
			t.Fatal(err)
		}
		if err := unix.Fstat(k.root, &top); err != nil {
			t.Fatal(err)
		}
		free, want := k.claim.full, int64(sizeMB)<<20
		if now := int64(fs.Bavail) * fs.Bsize; now > free || k.claim.allowed == k.claim.full && now < want {
			t.Errorf("%d MB: %d bytes are free now", sizeMB, now)
		}
		if free < want || free > want+want/50+4<<20 {
			t.Errorf("%d MB: %d bytes are free, want %d or a little more", sizeMB, free, want)
		}
		if top.Uid != 1234 || top.Gid != 5678 || top.Mode != unix.S_IFDIR|0o1777 {
			t.Errorf("top directory of %d:%d, mode %o", top.Uid, top.Gid, top.Mode)
		}
		if names, err := os.ReadDir(formatFD(k.root)); err != nil || len(names) != 0 {
			t.Errorf("a new file system holds %v, %v", names, err)
		}
	}
}

func formatFD(fd int) string { return "/proc/self/fd/" + itoa(fd) }

// TestTemplatesOfManySizes: neither memory nor disk has one for each size that was ever asked for.
func TestTemplatesOfManySizes(t *testing.T) {
	m := open(t, 0)
	if m.noDisks != nil {
		t.Skip(m.noDisks)
	}
	d := newDisks(t.TempDir(), m.log)
	for n := range mostTemplates {
		size := 1000 + n
		d.templates[size] = &template{used: time.Unix(int64(n), 0)}
		if err := os.WriteFile(d.path(size), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []int{1000, 8} { // the first is used, the last is one more
		if _, err := d.template(context.Background(), size); err != nil {
			t.Fatal(err)
		}
	}
	_, err := os.Stat(d.path(1001))
	if d.templates[1001] != nil || d.templates[1000] == nil || len(d.templates) != mostTemplates || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%d templates; of the one that was used longest ago: %v", len(d.templates), err)
	}
}

// TestTemplateOfAnEarlierRun is used as it is, not formatted anew.
func TestTemplateOfAnEarlierRun(t *testing.T) {
	m := open(t, 0)
	if m.noDisks != nil {
		t.Skip(m.noDisks)
	}
	if _, err := m.disks.template(context.Background(), 8); err != nil {
		t.Fatal(err)
	}
	later := newDisks(m.dir, m.log)
	t.Setenv("PATH", "/nowhere") // no mkfs
	got, err := later.template(context.Background(), 8)
	if err != nil {
		t.Fatal(err)
	}
	if want := m.disks.templates[8]; got.size != want.size || len(got.extents) != len(want.extents) {
		t.Errorf("template of %d bytes in %d parts, was %d in %d", got.size, len(got.extents), want.size, len(want.extents))
	}
}
