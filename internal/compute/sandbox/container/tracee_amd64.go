package container

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// tracee is a process that is held by ptrace, by the thread that calls its methods and by no other.
type tracee struct {
	pid  int
	regs unix.PtraceRegs // as it was stopped, in a system call
	call uint64          // where there is an instruction that makes one
}

// traced are the options of all that is held: the end of the thread that holds is its end, its filter is not looked at meanwhile,
// and its children are held from their birth.
const traced = unix.PTRACE_O_EXITKILL | unix.PTRACE_O_SUSPEND_SECCOMP | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK

// trapEvent is the signal number that comes with an event of ptrace.
const trapEvent = syscall.SIGTRAP

// canHold says that this file is built for the processor.
const canHold = true

// seize takes hold of a process that waits in a read of descriptor 3.
func seize(pid int) (*tracee, error) {
	if _, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, traced, 0, 0); errno != 0 {
		return nil, fmt.Errorf("ptrace: %w", errno)
	}
	t := &tracee{pid: pid}
	err := unix.PtraceInterrupt(pid)
	if err == nil {
		_, err = t.wait()
	}
	if err == nil {
		err = unix.PtraceGetRegs(pid, &t.regs)
	}
	var code [2]byte
	if err == nil {
		t.call = t.regs.Rip - uint64(len(code))
		err = t.read(t.call, code[:])
	}
	switch r := int64(t.regs.Rax); {
	case err != nil:
	case t.regs.Orig_rax != unix.SYS_READ || t.regs.Rdi != channelFD || r != -restartSys && r != -restartNoHand || code != [2]byte{0x0f, 0x05}:
		err = errNotWaiting
	}
	if err != nil {
		return nil, errors.Join(err, t.letGo())
	}
	return t, nil
}

// The kernel's own errnos of a system call that was interrupted and is to be made again.
const (
	restartSys    = 512
	restartNoHand = 514
)

// letGo lets a process go on that has not been made to do anything.
func (t *tracee) letGo() error {
	if err := unix.PtraceDetach(t.pid); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// resume has it make the system call anew in which it, or its origin, was stopped, and lets it go.
func (t *tracee) resume() error {
	r := t.regs
	r.Rip, r.Rax, r.Orig_rax = t.call, r.Orig_rax, ^uint64(0)
	if err := unix.PtraceSetRegs(t.pid, &r); err != nil {
		return err
	}
	return unix.PtraceDetach(t.pid)
}

// wait returns the event for which the process has stopped, if any.
func (t *tracee) wait() (event int, err error) {
	for {
		var status unix.WaitStatus
		switch _, err := unix.Wait4(t.pid, &status, unix.WALL, nil); {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, os.NewSyscallError("wait4", err)
		case !status.Stopped():
			return 0, os.ErrProcessDone
		}
		if status.StopSignal() != trapEvent {
			return 0, fmt.Errorf("it was stopped by %v", status.StopSignal())
		}
		return int(status) >> 16, nil
	}
}

// do has the process make a system call. A child that it makes is held, too.
func (t *tracee) do(nr int, args ...uint64) (result uint64, born int, err error) {
	r := t.regs
	var a [6]uint64
	copy(a[:], args)
	r.Rip, r.Rax, r.Orig_rax = t.call, uint64(nr), ^uint64(0)
	r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9 = a[0], a[1], a[2], a[3], a[4], a[5]
	if err := unix.PtraceSetRegs(t.pid, &r); err != nil {
		return 0, 0, os.NewSyscallError("ptrace", err)
	}
	for {
		if err := unix.PtraceSingleStep(t.pid); err != nil {
			return 0, born, os.NewSyscallError("ptrace", err)
		}
		event, err := t.wait()
		if err != nil {
			return 0, born, err
		}
		if event == 0 {
			break
		}
		if event == unix.PTRACE_EVENT_CLONE || event == unix.PTRACE_EVENT_FORK {
			if message, err := unix.PtraceGetEventMsg(t.pid); err == nil {
				born = int(message)
			}
		}
	}
	if err := unix.PtraceGetRegs(t.pid, &r); err != nil {
		return 0, born, os.NewSyscallError("ptrace", err)
	}
	if e := int64(r.Rax); e < 0 && e > -4096 {
		return 0, born, syscall.Errno(-e)
	}
	return r.Rax, born, nil
}

// child takes hold of what do says was born.
func (t *tracee) child(pid int) (*tracee, error) {
	c := &tracee{pid: pid, regs: t.regs, call: t.call}
	_, err := c.wait()
	return c, err
}

// end kills the process and waits until it is gone.
func (t *tracee) end() {
	_ = unix.Kill(t.pid, unix.SIGKILL)
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(t.pid, &status, unix.WALL, nil)
		if err != nil && !errors.Is(err, unix.EINTR) || err == nil && !status.Stopped() {
			return
		}
	}
}

// read and write reach into its memory.
func (t *tracee) read(at uint64, into []byte) error {
	n, err := unix.ProcessVMReadv(t.pid, vectors(into), []unix.RemoteIovec{{Base: uintptr(at), Len: len(into)}}, 0)
	if err == nil && n < len(into) {
		err = unix.EFAULT
	}
	return err
}

func (t *tracee) write(at uint64, from []byte) error {
	n, err := unix.ProcessVMWritev(t.pid, vectors(from), []unix.RemoteIovec{{Base: uintptr(at), Len: len(from)}}, 0)
	if err == nil && n < len(from) {
		err = unix.EFAULT
	}
	return err
}

func vectors(b []byte) []unix.Iovec {
	v := []unix.Iovec{{Base: &b[0]}}
	v[0].SetLen(len(b))
	return v
}
