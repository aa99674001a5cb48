package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"artesian/internal/door/gateway/admin"
)

// interpreter settles the Python runtime, by default the newest that the daemon has, and returns an interpreter of that
// version on this machine to install dependencies with.
func (d *deployment) interpreter() (string, error) {
	all, err := d.cl.runtimes(d.s.ctx)
	if err != nil {
		return "", err
	}
	var usable []admin.Runtime
	for _, r := range all.Runtimes {
		if strings.HasPrefix(r.Name, "python") && r.Note == "" {
			usable = append(usable, r)
		}
	}
	if len(usable) == 0 {
		return "", errors.New("the daemon has no Python; install one (Debian: apt install python3) or add it: artesian runtime add PATH")
	}
	if d.p.Runtime == "" {
		newest := slices.MaxFunc(usable, func(a, b admin.Runtime) int { return minor(a.Name) - minor(b.Name) })
		d.p.Runtime = newest.Name
	}
	serves := server(usable, minor(d.p.Runtime))
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

// server picks, as the daemon does, the version asked for, else the next newer one, else an older one. All are in the
// daemon's order of preference. Whether an older one may serve is the daemon's to say, when the function is created.
func server(all []admin.Runtime, want int) admin.Runtime {
	best := -1
	for i, r := range all {
		if m := minor(r.Name); m >= want && (best < 0 || m < minor(all[best].Name)) {
			best = i
		}
	}
	return all[max(best, 0)]
}

// minor returns 12 of python3.12, and -1 of what has no such form.
func minor(runtime string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(runtime, "python3."))
	if err != nil {
		return -1
	}
	return n
}
