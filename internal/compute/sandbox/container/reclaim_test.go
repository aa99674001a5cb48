package container

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestOnlyToMemory(t *testing.T) {
	devices := t.TempDir()
	for name, backing := range map[string]string{"zram0": "none\n", "zram1": "/dev/sdb1\n"} {
		if err := os.Mkdir(filepath.Join(devices, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(devices, name, "backing_dev"), []byte(backing), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
	const zram0, zram1, zram2 = "/dev/zram0                              partition\t524284\t\t0\t\t-2\n", "/dev/zram1 partition\t1\t0\t-3\n", "/dev/zram2 partition\t1\t0\t-3\n"
	const disk, file = "/dev/sda2                               partition\t524284\t\t0\t\t-2\n", "/swapfile file\t1\t0\t-4\n"
	for text, want := range map[string]bool{
		head: false, "": false, head + zram0: true, head + zram0 + disk: false, head + file: false, head + zram1: false, head + zram0 + zram1: false,
		head + zram2: true, // a kernel without a way to the disk
	} {
		if memory, disk := swapped(text, devices); (memory && !disk) != want {
			t.Errorf("%q: memory %t, disk %t", text, memory, disk)
		}
	}
}

// reclaimed is a group that counts how often its memory was pushed out.
type reclaimed struct {
	bounds
	times int
}

func (r *reclaimed) Reclaim() error { r.times++; return nil }

// TestNeverToADisk: swap on a disk that was added after the start is noticed.
func TestNeverToADisk(t *testing.T) {
	swaps := filepath.Join(t.TempDir(), "swaps")
	g := new(reclaimed)
	i := &instance{group: g}
	const head, zram, disk = "Filename Type Size Used Priority\n", "/dev/zram0 partition 1 0 -2\n", "/swapfile file 1 0 -3\n"
	for n, c := range []struct {
		text  string
		err   error
		times int
	}{{head + zram, nil, 1}, {head + zram + disk, errOnDisk, 1}, {head + zram, nil, 2}} {
		if err := os.WriteFile(swaps, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := i.reclaim(swaps, t.TempDir()); !errors.Is(err, c.err) || g.times != c.times {
			t.Errorf("%d: %v after %d times", n, err, g.times)
		}
	}
	if err := i.reclaim(swaps+"-", t.TempDir()); err == nil || g.times != 2 {
		t.Errorf("where the swap is not known: %v after %d times", err, g.times)
	}
}
