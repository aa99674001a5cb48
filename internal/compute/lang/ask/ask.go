// Package ask has interpreters of the host tell about themselves.
package ask

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// nobody is the user that interpreters are asked as when the daemon is root.
const nobody = 65534

// maxAnswer bounds in bytes what an interpreter may say.
const maxAnswer = 4 << 20

var errTalkative = errors.New("it says too much")

// Answer is what an interpreter has printed.
type Answer struct{ Stdout, Stderr []byte }

// Run runs the interpreter at host path with arguments and returns what it prints, at most 4 MiB each. It reads input and
// nothing else, has no environment, and dies with the daemon, or with ctx, its children included. When the daemon is root it
// runs as a user without rights, unless that one can't execute the file.
func Run(ctx context.Context, path string, input []byte, args ...string) (Answer, error) {
	// A signal for the parent's death is one for its thread's.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if os.Geteuid() == 0 {
		attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if out, started, err := run(ctx, attr, path, input, args); started || ctx.Err() != nil {
			return out, err
		}
	}
	out, _, err := run(ctx, &syscall.SysProcAttr{}, path, input, args)
	return out, err
}

// run is Run with attr; started is false when nothing of the interpreter has run.
func run(ctx context.Context, attr *syscall.SysProcAttr, path string, input []byte, args []string) (out Answer, started bool, err error) {
	attr.Setpgid, attr.Pdeathsig = true, syscall.SIGKILL
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}, "/", attr
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if input != nil {
		cmd.Stdin = bytes.NewReader(input)
	}
	stdout, stderr := &bounded{left: maxAnswer}, &bounded{left: maxAnswer}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		return out, false, fmt.Errorf("ask %s: %w", path, err)
	}
	err = cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it has left behind; mostly nothing
	switch {
	case ctx.Err() != nil:
		return out, true, fmt.Errorf("ask %s: %w", path, context.Cause(ctx))
	case err != nil:
		return out, true, fmt.Errorf("ask %s: %w: %.200s", path, err, strings.TrimSpace(stderr.text.String()))
	}
	return Answer{stdout.text.Bytes(), stderr.text.Bytes()}, true, nil
}

// bounded keeps a limited text; more is an error, which ends who writes it.
type bounded struct {
	text bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(p) > b.left {
		return 0, errTalkative
	}
	b.left -= len(p)
	return b.text.Write(p)
}
