package container

import (
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
		if got := inMemory(text, devices); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}
