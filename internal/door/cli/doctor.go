package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"artesian/internal/door/gateway/admin"
)

type doctorCmd struct {
	remote
}

// diagnosis is what doctor found, as --json prints it.
type diagnosis struct {
	Machine []admin.Guarantee `json:"machine"`           // what this machine offers, seen from here
	Daemon  *admin.Doctor     `json:"daemon,omitempty"`  // what the daemon says, when one answers
	Account string            `json:"account,omitempty"` // the key's
	Problem string            `json:"problem,omitempty"`
}

func (c *doctorCmd) Run(s *session) error {
	d := diagnosis{Machine: machine(c.Data)}
	cl, err := c.connect()
	if err == nil {
		d.Daemon, d.Account = &admin.Doctor{}, cl.creds.Account
		ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
		defer cancel()
		if err = cl.own(ctx, http.MethodGet, admin.DoctorPath, nil, nil, d.Daemon); err != nil {
			d.Daemon = nil
		}
	}
	var e *exitError
	if err != nil && (!errors.As(err, &e) || e.status != ExitNoDaemon) {
		return err
	}
	if err != nil {
		d.Problem = err.Error()
	}
	if c.JSON {
		return s.json(d)
	}
	return d.print(s)
}

func (d diagnosis) print(s *session) error {
	if err := s.table("MACHINE OK HOW", guaranteeRows(d.Machine)); err != nil {
		return err
	}
	if d.Daemon == nil {
		return s.printf("\n%s\n", d.Problem)
	}
	if err := s.printf("\ndaemon %s at %s, isolation %s%s\n\n", d.Daemon.Version, d.Daemon.Endpoint, d.Daemon.Isolation,
		account(", account ", d.Account)); err != nil {
		return err
	}
	if err := s.table("GUARANTEE OK HOW", guaranteeRows(d.Daemon.Guarantees)); err != nil {
		return err
	}
	if err := s.printf("\n"); err != nil {
		return err
	}
	if err := s.table("RUNTIME VERSION PATH FROM NOTE", runtimeRows(d.Daemon.Runtimes)); err != nil {
		return err
	}
	if err := d.printAhead(s); err != nil {
		return err
	}
	var rows [][]string
	for _, p := range d.Daemon.Paths {
		rows = append(rows, []string{p.Name, p.Path})
	}
	if err := s.printf("\n"); err != nil {
		return err
	}
	return s.table("PLACE PATH", rows)
}

// printAhead says what waits for calls, if anything does.
func (d diagnosis) printAhead(s *session) error {
	var rows [][]string
	for _, a := range d.Daemon.Ahead {
		rows = append(rows, []string{a.Form, cmp.Or(a.Runtime, "any"), strconv.Itoa(a.Ready), strconv.Itoa(a.Making), strconv.Itoa(a.MemoryMB) + " MB"})
	}
	if len(rows) == 0 {
		return nil
	}
	if err := s.printf("\n"); err != nil {
		return err
	}
	return s.table("AHEAD RUNTIME READY MAKING MEMORY", rows)
}

func guaranteeRows(all []admin.Guarantee) (rows [][]string) {
	for _, g := range all {
		ok := "yes"
		if !g.Enforced {
			ok = "NO"
		}
		rows = append(rows, []string{g.Name, ok, g.How})
	}
	return rows
}

// machine looks at what a daemon would need, without one.
func machine(data string) []admin.Guarantee {
	all := []admin.Guarantee{root(), cgroups(), userNamespaces(), tool("python3", "apt install python3")}
	if os.Geteuid() == 0 {
		all = append(all, tool("mkfs.ext4", "apt install e2fsprogs"), loopDevices())
	} else {
		all = append(all, tool("newuidmap", "apt install uidmap, for a host user of each function's own"))
	}
	return append(all, writable(data))
}

func root() admin.Guarantee {
	if os.Geteuid() == 0 {
		return admin.Guarantee{Name: "root", Enforced: true, How: "runs as root"}
	}
	return admin.Guarantee{Name: "root", How: fmt.Sprintf("runs as uid %d: containers by way of user namespaces, with fewer guarantees", os.Geteuid())}
}

func cgroups() admin.Guarantee {
	g := admin.Guarantee{Name: "cgroups"}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		g.How = err.Error()
		return g
	}
	var v1, v2 []string
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		switch {
		case len(f) > 2 && f[2] == "cgroup2":
			v2 = append(v2, f[1])
		case len(f) > 2 && f[2] == "cgroup":
			v1 = append(v1, filepath.Base(f[1]))
		}
	}
	g.Enforced = len(v1)+len(v2) > 0
	switch {
	case len(v1) > 0 && len(v2) > 0:
		g.How = "hybrid: v2 at " + v2[0] + ", v1 with " + strings.Join(v1, " ")
	case len(v2) > 0:
		g.How = "v2 at " + v2[0]
	case len(v1) > 0:
		g.How = "v1 with " + strings.Join(v1, " ")
	default:
		g.How = "none mounted: no limits of memory and CPU"
	}
	return g
}

func userNamespaces() admin.Guarantee {
	b, err := os.ReadFile("/proc/sys/user/max_user_namespaces")
	for file, refuses := range map[string]string{
		"/proc/sys/kernel/unprivileged_userns_clone": "0", "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"} {
		if v, err := os.ReadFile(file); err == nil && os.Geteuid() != 0 && strings.TrimSpace(string(v)) == refuses {
			return admin.Guarantee{Name: "user namespaces", How: "for root only: " + file + " is " + refuses}
		}
	}
	if n := strings.TrimSpace(string(b)); err == nil && n != "0" {
		return admin.Guarantee{Name: "user namespaces", Enforced: true, How: "up to " + n}
	}
	return admin.Guarantee{Name: "user namespaces", How: "not available (user.max_user_namespaces is 0 or missing)"}
}

func tool(name, install string) admin.Guarantee {
	path, err := exec.LookPath(name)
	if err != nil {
		return admin.Guarantee{Name: name, How: "not on the PATH; Debian: " + install}
	}
	return admin.Guarantee{Name: name, Enforced: true, How: path}
}

func loopDevices() admin.Guarantee {
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return admin.Guarantee{Name: "loop devices", How: "no /dev/loop-control"}
	}
	return admin.Guarantee{Name: "loop devices", Enforced: true, How: "/dev/loop-control"}
}

func writable(data string) admin.Guarantee {
	g := admin.Guarantee{Name: "data directory", How: data}
	dir := data
	for {
		fi, err := os.Stat(dir)
		if err == nil && fi.IsDir() {
			break
		}
		if err == nil || dir == filepath.Dir(dir) {
			g.How = data + " cannot be a directory: " + dir + " is in the way"
			return g
		}
		dir = filepath.Dir(dir)
	}
	f, err := os.CreateTemp(dir, ".artesian-doctor-")
	if err != nil {
		g.How = data + " cannot be written to"
		return g
	}
	g.Enforced = f.Close() == nil && os.Remove(f.Name()) == nil
	return g
}
