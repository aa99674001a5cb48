package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// interpreter settles the Python runtime, by default the newest that the daemon has, and returns an interpreter of that
// version on this machine to install dependencies with.
func (d *deployment) interpreter() (string, error) {
	all, err := d.runtimes("python")
	if err != nil {
		return "", err
	}
	usable := pythons.usable(all.Runtimes)
	if len(usable) == 0 {
		return "", errors.New("the daemon has no Python; install one (Debian: apt install python3) or add it: artesian runtime add PATH")
	}
	if d.p.Runtime == "" {
		d.p.Runtime = fmt.Sprintf("python3.%d", pythons.newest(usable))
	}
	serves, err := pythons.server(usable, d.p.Runtime, all.Nearest)
	if err != nil {
		return "", err
	}
	d.done.Served = fmt.Sprintf("python %s (%s)", serves.Version, serves.Path)
	if _, err := os.Stat(serves.Path); err == nil {
		return serves.Path, nil
	}
	path, err := exec.LookPath(serves.Name)
	if err != nil && d.p.Requires != "" {
		return "", fmt.Errorf("%s needs %s on this machine to be installed for the daemon's; it is not on the PATH",
			filepath.Base(d.p.Requires), serves.Name)
	}
	return path, nil
}

// minor returns 12 of python3.12, and -1 of what has no such form.
func minor(runtime string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(runtime, "python3."))
	if err != nil {
		return -1
	}
	return n
}
