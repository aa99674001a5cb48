package cli

import (
	"errors"
	"fmt"

	"artesian/internal/door/cli/project"
)

// java settles the Java runtime: by default the newest that the daemon has, or the oldest that the folder's code runs on when
// that is newer.
func (d *deployment) java() error {
	all, err := d.runtimes("java")
	if err != nil {
		return err
	}
	usable := javas.usable(all.Runtimes)
	if len(usable) == 0 {
		return errors.New("the daemon has no Java; install one (Debian: apt install default-jdk-headless) or add it: artesian runtime add PATH")
	}
	if d.p.Runtime == "" {
		d.p.Runtime = javaRuntime(max(javas.newest(usable), d.p.Oldest))
	}
	serves, err := javas.server(usable, d.p.Runtime, all.Nearest)
	if err != nil {
		return err
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
