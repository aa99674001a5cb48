package container

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// likeness is where the processes of a sandbox are, as the host sees it.
type likeness struct {
	namespaces [len(namespaceFiles)]string
	groups     string
}

// likenessOf reads it from a process.
func likenessOf(pid int) (l likeness, err error) {
	proc := "/proc/" + itoa(pid)
	for i, name := range namespaceFiles {
		if l.namespaces[i], err = os.Readlink(proc + "/ns/" + name); err != nil {
			return l, err
		}
	}
	b, err := os.ReadFile(proc + "/cgroup")
	l.groups = string(b)
	return l, err
}

// powerless is what the status of a function's process says.
var powerless = []string{"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000",
	"CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "Seccomp_filters:\t1", "Threads:\t1"}

// check reports what a held process, which uid is outside, lacks of being one of the function's in that sandbox: however it came
// about that the steps towards that were carried out, it may go on only then.
func (l likeness) check(pid, uid int) error {
	is, err := likenessOf(pid)
	if err != nil {
		return err
	}
	for i, name := range namespaceFiles {
		if is.namespaces[i] != l.namespaces[i] {
			return fmt.Errorf("the copy is in another %s namespace", name)
		}
	}
	if is.groups != l.groups {
		return errors.New("the copy is in other control groups")
	}
	proc := "/proc/" + itoa(pid)
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		return err
	}
	id := itoa(uid)
	for _, line := range append([]string{"Uid:\t" + strings.Join([]string{id, id, id, id}, "\t"), "Gid:\t" + strings.Join([]string{id, id, id, id}, "\t")}, powerless...) {
		if !strings.Contains(string(status), "\n"+line+"\n") {
			return fmt.Errorf("the copy has not %q", line)
		}
	}
	open, err := os.ReadDir(proc + "/fd")
	if err == nil && len(open) != channelFD+1 {
		err = fmt.Errorf("the copy has %d descriptors", len(open))
	}
	return err
}

// unlike reports whether two have anything in common that copies may not share with their template.
func (l likeness) unlike(m likeness) error {
	for i, name := range namespaceFiles {
		if l.namespaces[i] == m.namespaces[i] {
			return fmt.Errorf("the %s namespace is its template's", name)
		}
	}
	if l.groups == m.groups {
		return errors.New("the control groups are its template's")
	}
	return nil
}
