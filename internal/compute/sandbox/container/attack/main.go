// Command attack tries to get out of a sandbox, one way at a time, and prints what each attempt met: "name<TAB>outcome".
// The outcome is an errno's name, or words for what was achieved.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// target is what the attacker knows of the world outside: more than it ever would.
type target struct {
	secret   string // a host file that anybody may read
	code     string // another function's code on the host
	tcp      string // a listener on the host's loopback
	abstract string // the daemon's abstract socket
	pid      int    // the daemon
	victim   int    // another function's process on the host
}

func main() {
	var t target
	if alone := map[string]func(){"hold": hold, "leave": leave, "find": find}; len(os.Args) == 2 && alone[os.Args[1]] != nil {
		alone[os.Args[1]]()
	}
	if len(os.Args) < 8 {
		fmt.Println("usage: attack hold|leave|find, or attack NAME|all|all-but-NAME SECRET CODE TCP ABSTRACT PID VICTIM")
		os.Exit(2)
	}
	t.secret, t.code, t.tcp, t.abstract = os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	if _, err := fmt.Sscan(os.Args[6]+" "+os.Args[7], &t.pid, &t.victim); err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	all := map[string]func(target) string{}
	for _, group := range []map[string]func(target) string{files, processes, network, privileges, kernel} {
		for name, f := range group {
			all[name] = f
		}
	}
	if os.Args[1] == zygoteMode {
		asZygote()
	}
	but, most := strings.CutPrefix(os.Args[1], "all but ")
	if os.Args[1] != "all" && !most {
		fmt.Print(all[os.Args[1]](t))
		return
	}
	var names []string
	for name := range all {
		names = append(names, name)
	}
	sort.Strings(names)
	out := bufio.NewWriter(os.Stdout)
	for _, name := range names {
		if name == but {
			continue
		}
		fmt.Fprintf(out, "%s\t%s\n", name, attempt(name))
		if err := out.Flush(); err != nil {
			os.Exit(1)
		}
	}
}

// patience bounds an attack that waits for ever.
const patience = 5 * time.Second

// attempt makes one attack in a process of its own, since some end it.
func attempt(name string) string {
	args := append([]string{name}, os.Args[2:]...)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "/proc/self/exe", args...).CombinedOutput()
	if ctx.Err() != nil {
		return "waits"
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() {
		return "killed: " + exit.Sys().(syscall.WaitStatus).Signal().String()
	}
	if err != nil {
		return "error: " + err.Error() + strings.ReplaceAll(string(out), "\n", " ")
	}
	return strings.TrimSpace(string(out))
}

// outcome names an error.
func outcome(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

// try makes a system call that no library wraps.
func try(number uintptr, args ...uintptr) string {
	var a [6]uintptr
	copy(a[:], args)
	child, _, errno := unix.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	if (number == unix.SYS_CLONE || number == unix.SYS_CLONE3) && errno == 0 && child == 0 { // without threads, it could do no more than hang
		_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	if errno != 0 {
		return outcome(errno)
	}
	return "done"
}

// read says what a file gives.
func read(path string) string {
	b, err := os.ReadFile(path)
	switch {
	case err != nil:
		return outcome(err)
	case len(b) == 0:
		return "empty"
	}
	return "read: " + strings.ReplaceAll(string(b[:min(len(b), 60)]), "\n", " ")
}

// write says how writing to an existing file ends.
func write(path, text string) string {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return outcome(err)
	}
	_, err = f.WriteString(text)
	return outcome(errors.Join(err, f.Close()))
}
