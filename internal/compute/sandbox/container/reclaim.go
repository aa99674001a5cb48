package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Where the kernel says what swap there is, and what block devices are.
const (
	procSwaps = "/proc/swaps"
	sysBlock  = "/sys/block"
)

var errOnDisk = errors.New("there is swap now that is not compressed memory")

// Reclaims reports whether the memory of frozen sandboxes may be pushed out of RAM: there is swap, and all of it is compressed memory
// (zram). To a disk it does not go: what functions hold in memory would lie there in clear.
func (m *Maker) Reclaims() bool {
	swaps, err := os.ReadFile(procSwaps)
	if err != nil || !m.standing.root || !m.tree.Reclaims() {
		return false
	}
	memory, disk := swapped(string(swaps), sysBlock)
	return memory && !disk
}

// swapped says whether some of the swap is compressed memory, and whether some of it ends on a disk.
func swapped(swaps, devices string) (memory, disk bool) {
	for _, line := range strings.Split(strings.TrimSpace(swaps), "\n")[1:] {
		name, _, _ := strings.Cut(line, " ")
		name, zram := strings.CutPrefix(name, "/dev/zram")
		behind, err := os.ReadFile(filepath.Join(devices, "zram"+name, "backing_dev"))
		if !zram || err == nil && strings.TrimSpace(string(behind)) != "none" { // what is long unused is written there
			disk = true
		} else {
			memory = true
		}
	}
	return memory, disk
}

// Reclaim implements sandbox.Reclaimer.
func (i *instance) Reclaim() error { return i.reclaim(procSwaps, sysBlock) }

// reclaim looks again where memory would go: swap may have been added since the daemon started.
func (i *instance) reclaim(swaps, devices string) error {
	text, err := os.ReadFile(swaps)
	if err != nil {
		return fmt.Errorf("reclaim: %w", err)
	}
	if _, disk := swapped(string(text), devices); disk {
		return errOnDisk
	}
	return i.use(func() error {
		if g, ok := i.group.(interface{ Reclaim() error }); ok {
			return g.Reclaim()
		}
		return nil
	})
}
