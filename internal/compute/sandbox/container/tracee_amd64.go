package container

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tracee is a process that is held by ptrace, by the thread that calls its methods and by no other.
type tracee struct {
	pid    int
	regs   unix.PtraceRegs // as it was stopped, in a system call
	call   uint64          // where there is an instruction that makes one
	signal syscall.Signal  // that it was stopped by, on its way to it; 0: none
	leash  *leash
	over   bool // it has ended and is reaped: its id is nobody's, or another's
}

// traced are the options of all that is held: the end of the thread that holds is its end, its filter is not looked at meanwhile,
// its children are held from their birth, and a system call's stops are no signal's.
const traced = unix.PTRACE_O_EXITKILL | unix.PTRACE_O_SUSPEND_SECCOMP | unix.PTRACE_O_TRACESYSGOOD |
	unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK

const (
	trapEvent = syscall.SIGTRAP        // the signal number that comes with an event of ptrace
	trapCall  = syscall.SIGTRAP | 0x80 // and with a system call's beginning or end, as no signal's does
	callSize  = 2                      // bytes of the instruction
	codeUser  = 0x33                   // the code segment of 64-bit programs
)

// canHold says that this file is built for the processor.
const canHold = true

// seize has a process stand still that waits in a read of descriptor 3. Whether pid is the right one, same says once it can't be
// another's any more. Its filter is in force as long as it, or one of its other threads, might run: see arm.
func seize(pid int, l *leash, same func() error) (*tracee, error) {
	if _, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, 0, 0, 0); errno != 0 {
		return nil, fmt.Errorf("ptrace: %w", errno)
	}
	t := &tracee{pid: pid, leash: l}
	err := unix.PtraceInterrupt(pid)
	if err == nil {
		_, err = t.wait()
	}
	if err == nil {
		err = same()
	}
	if err == nil {
		err = unix.PtraceGetRegs(pid, &t.regs)
	}
	var code [callSize]byte
	if err == nil {
		t.call = t.regs.Rip - callSize
		err = t.read(t.call, code[:])
	}
	switch r := int64(t.regs.Rax); {
	case err != nil:
	case t.regs.Orig_rax != unix.SYS_READ || t.regs.Rdi != channelFD || r != -restartSys && r != -restartNoHand ||
		code != [callSize]byte{0x0f, 0x05} || t.regs.Cs != codeUser:
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

// arm makes a process that stands still, and is alone, ready for do.
func (t *tracee) arm() error {
	if err := unix.PtraceSetOptions(t.pid, traced); err != nil {
		return os.NewSyscallError("ptrace", err)
	}
	t.leash.add(t.pid)
	return nil
}

// detour says if the process has told the kernel where it is to go on in place of the instruction that it was stopped at: a
// restartable sequence, https://docs.kernel.org/userspace-api/rseq.html. Nothing but its own code could tell it anew.
func (t *tracee) detour() error {
	var c struct {
		address           uint64
		size, mark, flags uint32
		_                 uint32
	}
	if _, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GET_RSEQ_CONFIGURATION, uintptr(t.pid), unsafe.Sizeof(c), uintptr(unsafe.Pointer(&c)), 0, 0); errno != 0 {
		return fmt.Errorf("find its restartable sequences: %w", errno)
	}
	if c.address == 0 {
		return nil
	}
	var area [16]byte // two numbers of processors, the address of what is under way
	if err := t.read(c.address, area[:]); err != nil {
		return fmt.Errorf("read its restartable sequences: %w", err)
	}
	if [8]byte(area[8:]) != [8]byte{} {
		return errors.New("it is in a restartable sequence")
	}
	return nil
}

// letGo lets a process go on that has not been made to do anything.
func (t *tracee) letGo() error {
	t.leash.remove(t.pid)
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(t.pid), 0, uintptr(t.signal), 0, 0)
	if errno != 0 && errno != unix.ESRCH {
		return os.NewSyscallError("ptrace", errno)
	}
	return nil
}

// resume has it make the system call anew in which it, or its origin, was stopped, and lets it go.
func (t *tracee) resume() error {
	r := t.regs
	r.Rip, r.Rax, r.Orig_rax = t.call, r.Orig_rax, ^uint64(0)
	if err := unix.PtraceSetRegs(t.pid, &r); err != nil {
		return errors.Join(err, t.letGo())
	}
	return t.letGo()
}

// wait returns why the process has stopped: for an event, or, with none, at a system call's beginning or end. Whatever else stops
// it is an error, a signal that somebody has sent above all.
func (t *tracee) wait() (event int, err error) {
	for {
		var status unix.WaitStatus
		switch _, err := unix.Wait4(t.pid, &status, unix.WALL, nil); {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, os.NewSyscallError("wait4", err)
		case !status.Stopped():
			t.over = true
			t.leash.remove(t.pid)
			return 0, os.ErrProcessDone
		}
		event, sig := int(status)>>16, status.StopSignal()
		switch {
		case sig == trapCall, sig == trapEvent && event != 0:
			return event, nil
		case event == 0:
			t.signal = sig
		}
		return 0, fmt.Errorf("it was stopped by %v", sig)
	}
}

// goOn lets the process go on to its next stop.
func (t *tracee) goOn() (event int, err error) {
	if err := unix.PtraceSyscall(t.pid, 0); err != nil {
		return 0, os.NewSyscallError("ptrace", err)
	}
	return t.wait()
}

var errAstray = errors.New("it does something else than it was made to")

// do has the process make a system call. A child that it makes is held, too. What is not this call, made by the instruction at
// t.call, is an error: no code of the process's own counts for its result.
func (t *tracee) do(nr int, args ...uint64) (result uint64, born int, err error) {
	want := t.regs
	var a [6]uint64
	copy(a[:], args)
	want.Rip, want.Rax, want.Orig_rax = t.call, uint64(nr), ^uint64(0)
	want.Rdi, want.Rsi, want.Rdx, want.R10, want.R8, want.R9 = a[0], a[1], a[2], a[3], a[4], a[5]
	if err := unix.PtraceSetRegs(t.pid, &want); err != nil {
		return 0, 0, os.NewSyscallError("ptrace", err)
	}
	event, err := t.goOn()
	if err != nil {
		return 0, 0, err
	}
	var r unix.PtraceRegs
	if err := unix.PtraceGetRegs(t.pid, &r); err != nil {
		return 0, 0, os.NewSyscallError("ptrace", err)
	}
	made := [6]uint64{r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9}
	if event != 0 || r.Rip != t.call+callSize || r.Orig_rax != uint64(nr) || made != a || r.Cs != codeUser {
		return 0, 0, errAstray
	}
	for {
		event, err := t.goOn()
		if err != nil {
			return 0, born, err
		}
		if event == 0 {
			break
		}
		if event == unix.PTRACE_EVENT_CLONE || event == unix.PTRACE_EVENT_FORK {
			message, err := unix.PtraceGetEventMsg(t.pid)
			if err != nil {
				return 0, born, os.NewSyscallError("ptrace", err)
			}
			born = int(message)
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

// fork has the process clone itself; its child is held as it is. Without an error there is one.
func (t *tracee) fork(flags uint64) (*tracee, error) {
	_, pid, err := t.do(unix.SYS_CLONE, flags)
	if err == nil && pid <= 0 {
		err = errAstray
	}
	if pid <= 0 {
		return nil, err
	}
	c := &tracee{pid: pid, regs: t.regs, call: t.call, leash: t.leash}
	t.leash.add(pid)
	if err == nil {
		_, err = c.wait()
	}
	if err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

// end kills the process and waits until it is gone.
func (t *tracee) end() {
	t.leash.remove(t.pid)
	if t.over {
		return
	}
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
