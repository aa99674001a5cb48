package cli

import (
	"errors"
	"fmt"
	"slices"

	"artesian/internal/door/cli/project"
	"artesian/internal/door/gateway/admin"
)

// java settles the Java runtime: by default the newest that the daemon has, or the oldest that the folder's code runs on when
// that is newer.
func (d *deployment) java() error {
	all, err := d.cl.runtimes(d.s.ctx)
	if err != nil {
		return err
	}
	usable := slices.DeleteFunc(all.Runtimes, func(r admin.Runtime) bool { return javaMajor(r.Name) < 0 || r.Note != "" })
	if len(usable) == 0 {
		return errors.New("the daemon has no Java; install one (Debian: apt install default-jdk-headless) or add it: artesian runtime add PATH")
	}
	if d.p.Runtime == "" {
		newest := slices.MaxFunc(usable, func(a, b admin.Runtime) int { return javaMajor(a.Name) - javaMajor(b.Name) })
		d.p.Runtime = javaRuntime(max(javaMajor(newest.Name), d.p.Oldest))
	}
	want := javaMajor(d.p.Runtime)
	serves := usable[0]
	for _, r := range usable { // the version asked for, else the next newer one, else an older one
		if m := javaMajor(r.Name); m >= want && (javaMajor(serves.Name) < want || m < javaMajor(serves.Name)) {
			serves = r
		}
	}
	d.done.Served = fmt.Sprintf("java %s (%s)", serves.Version, serves.Path)
	return nil
}

// javaRuntime returns the newest identifier that is not beyond a version; the oldest when all are.
func javaRuntime(version int) string {
	for _, n := range project.JavaVersions {
		if n <= version {
			return project.JavaRuntime(n)
		}
	}
	return project.JavaRuntime(project.JavaVersions[len(project.JavaVersions)-1])
}

// javaMajor returns 21 of java21, and -1 of what has no such form.
func javaMajor(runtime string) int {
	var n int
	if _, err := fmt.Sscanf(runtime, "java%d", &n); err != nil {
		return -1
	}
	return n
}
