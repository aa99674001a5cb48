package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// nodeRuntimes are the identifiers that a new function may get, by major version: Lambda's are the even ones.
var nodeRuntimes = []int{24, 22, 20, 18, 16}

// node settles the Node.js runtime, by default the newest that the daemon has, and returns a Node.js on this machine to read
// sources with; empty when there is none.
func (d *deployment) node() (string, error) {
	all, err := d.runtimes("nodejs")
	if err != nil {
		return "", err
	}
	usable := nodes.usable(all.Runtimes)
	if len(usable) == 0 {
		return "", errors.New("the daemon has no Node.js; install one (Debian: apt install nodejs), add it (artesian runtime add PATH) or have it fetched (artesian runtime add node@22)")
	}
	if d.p.Runtime == "" {
		d.p.Runtime = nodeRuntime(max(nodes.newest(usable), d.p.Oldest))
	}
	serves, err := nodes.server(usable, d.p.Runtime, all.Nearest)
	if err != nil {
		return "", err
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
