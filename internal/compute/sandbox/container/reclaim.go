package container

import (
	"os"
	"path/filepath"
	"strings"
)

// Reclaims reports whether the memory of frozen sandboxes may be pushed out of RAM: there is swap, and all of it is compressed memory
// (zram). To a disk it does not go: what functions hold in memory would lie there in clear.
func (m *Maker) Reclaims() bool {
	swaps, err := os.ReadFile("/proc/swaps")
	return err == nil && m.standing.root && m.tree.Reclaims() && inMemory(string(swaps), "/sys/block")
}

// inMemory reports whether there is swap and none of it ends on a disk.
func inMemory(swaps, devices string) bool {
	lines := strings.Split(strings.TrimSpace(swaps), "\n")[1:]
	for _, line := range lines {
		name, _, _ := strings.Cut(line, " ")
		name, zram := strings.CutPrefix(name, "/dev/zram")
		if !zram {
			return false
		}
		if disk, err := os.ReadFile(filepath.Join(devices, "zram"+name, "backing_dev")); err == nil && strings.TrimSpace(string(disk)) != "none" {
			return false // what is long unused is written there
		}
	}
	return len(lines) > 0
}

// Reclaim implements sandbox.Reclaimer.
func (i *instance) Reclaim() error {
	return i.use(func() error {
		if g, ok := i.group.(interface{ Reclaim() error }); ok {
			return g.Reclaim()
		}
		return nil
	})
}
