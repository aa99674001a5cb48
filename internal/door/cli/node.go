package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"

	"artesian/internal/door/gateway/admin"
)

// nodeRuntimes are the identifiers that a new function may get, by major version: Lambda's are the even ones.
var nodeRuntimes = []int{24, 22, 20, 18, 16}

// node settles the Node.js runtime, by default the newest that the daemon has, and returns a Node.js on this machine to read
// sources with; empty when there is none.
func (d *deployment) node() (string, error) {
	all, err := d.cl.runtimes(d.s.ctx)
	if err != nil {
		return "", err
	}
	usable := slices.DeleteFunc(all.Runtimes, func(r admin.Runtime) bool { return major(r.Name) < 0 || r.Note != "" })
	if len(usable) == 0 {
		return "", errors.New("the daemon has no Node.js; install one (Debian: apt install nodejs), add it (artesian runtime add PATH) or have it fetched (artesian runtime add node@22)")
	}
	if d.p.Runtime == "" {
		newest := slices.MaxFunc(usable, func(a, b admin.Runtime) int { return major(a.Name) - major(b.Name) })
		d.p.Runtime = nodeRuntime(max(major(newest.Name), d.p.Oldest))
	}
	want := major(d.p.Runtime)
	serves := usable[0]
	for _, r := range usable { // the version asked for, else the next newer one, else an older one
		if m := major(r.Name); m >= want && (major(serves.Name) < want || m < major(serves.Name)) {
			serves = r
		}
	}
	d.done.Served = fmt.Sprintf("node %s (%s)", serves.Version, serves.Path)
	if _, err := os.Stat(serves.Path); err == nil {
		return serves.Path, nil
	}
	path, _ := exec.LookPath("node") // without one, sources aren't read
	return path, nil
}

// nodeRuntime returns the newest identifier that is not beyond a major version; the oldest when all are.
func nodeRuntime(version int) string {
	for _, n := range nodeRuntimes {
		if n <= version {
			return fmt.Sprintf("nodejs%d.x", n)
		}
	}
	return fmt.Sprintf("nodejs%d.x", nodeRuntimes[len(nodeRuntimes)-1])
}

// major returns 22 of nodejs22.x, and -1 of what has no such form.
func major(runtime string) int {
	var n int
	if _, err := fmt.Sscanf(runtime, "nodejs%d.x", &n); err != nil {
		return -1
	}
	return n
}
