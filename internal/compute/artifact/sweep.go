package artifact

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// Names in the store's directory, beside the hashes of what is whole.
const (
	bootFile = "boot"      // holds the boot during which the rest was written
	partial  = ".partial-" // being unpacked
	doomed   = ".doomed-"  // being removed
)

// bootID names the running kernel's boot; empty when it cannot be told.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func sweep(dir, boot string) error {
	last, err := os.ReadFile(filepath.Join(dir, bootFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	keep := boot != "" && string(last) == boot
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if keep && (shaPattern.MatchString(e.Name()) || e.Name() == bootFile) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, bootFile), []byte(boot), 0o600)
}
