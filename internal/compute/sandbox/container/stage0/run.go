package stage0

import (
	"syscall"
	"unsafe"
)

// What a forked child runs is nosplit throughout: the check at the beginning of every other function is where the Go
// scheduler takes a goroutine off its thread, at the request of a monitor that the child does not have any more; the
// child would wait for ever. And it writes no Go pointer, so that no write barrier of a garbage collection that was
// under way in the spawner runs in it.

// child is the first process of a sandbox. It never returns.
//
//go:norace
//go:nosplit
func child(h *Header, gate, far uintptr) {
	syscall.RawSyscall(syscall.SYS_CLOSE, far, 0, 0)
	syscall.RawSyscall(syscall.SYS_CLOSE, Control, 0, 0)
	syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, killSignal, 0)
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, gate, uintptr(unsafe.Pointer(&path)), 1)
	if n != 1 || errno != 0 {
		exit(1) // the spawner died, or could not write the maps and has said so
	}
	syscall.RawSyscall(syscall.SYS_CLOSE, gate, 0, 0)
	run(h)
	exit(1)
}

// run carries out the program's steps. It reports the first that fails and returns false then.
//
//go:norace
//go:nosplit
func run(h *Header) bool {
	base := unsafe.Add(unsafe.Pointer(&program), unsafe.Sizeof(*h)) // that of a program received later, too
	for pc := uint32(0); pc < h.Ops; {
		op := (*Op)(unsafe.Add(base, uintptr(pc)*unsafe.Sizeof(Op{})))
		pc++
		var result uintptr
		var errno syscall.Errno
		switch op.Kind {
		case Call:
			result, errno = call(op)
		case Fork:
			result, errno = fork(cloneVfork &^ op.Args[1])
			if result != 0 && errno == 0 {
				if op.Nr == 0 {
					main = result
				} else {
					aside[op.Nr%MaxAside] = result
				}
				result, pc = uintptr(pidfd), uint32(op.Args[0])
			}
		case Send:
			errno = report(uint32(op.Args[0]), 0, 0, int(op.Args[1]), int(op.Args[2]))
		case Wait:
			stay = op.Nr == 1
			wait()
		case Tend:
			tend()
		case Adopt:
			errno = adopt(uintptr(op.Args[0]))
		case More:
			more(h)
			pc = 0
			continue
		}
		if errno != 0 && errno != syscall.Errno(op.Allow) {
			report(Failed, pc-1, int64(errno), 0, 0)
			return false
		}
		if op.Dst != NoReg {
			reg[op.Dst] = uint64(result)
		}
	}
	return true
}

//go:norace
//go:nosplit
func call(op *Op) (uintptr, syscall.Errno) {
	a := &op.Args
	for i := range a {
		if op.Regs>>i&1 != 0 {
			a[i] = reg[a[i]&(regs-1)]
		}
	}
	r, _, errno := syscall.RawSyscall6(uintptr(op.Nr), uintptr(a[0]), uintptr(a[1]), uintptr(a[2]), uintptr(a[3]), uintptr(a[4]), uintptr(a[5]))
	return r, errno
}

// fork starts a process; with the flag vfork, the caller goes on when that has executed its program or has ended.
//
//go:norace
//go:nosplit
func fork(vfork uint64) (uintptr, syscall.Errno) {
	forked = now()
	clone = cloneArgs{flags: clonePidfd | vfork, pidfd: uint64(uintptr(unsafe.Pointer(&pidfd))), exitSignal: childSignal}
	pid, _, errno := syscall.RawSyscall(sysClone3, uintptr(unsafe.Pointer(&clone)), unsafe.Sizeof(clone), 0)
	return pid, errno
}

// adopt makes a process the main one. The one that forked it has come from outside and is about to end: then it is ours, even if
// it has ended already.
//
//go:norace
//go:nosplit
func adopt(pid uintptr) syscall.Errno {
	pause = syscall.Timespec{Nsec: 20_000}
	for {
		_, _, errno := syscall.RawSyscall6(syscall.SYS_WAITID, pPID, pid, uintptr(unsafe.Pointer(&info)), syscall.WNOHANG|syscall.WNOWAIT|syscall.WEXITED, 0, 0)
		switch errno {
		case 0:
			main = pid
			return 0
		case syscall.ECHILD:
			syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&pause)), 0, 0)
		case syscall.EINTR:
		default:
			return errno
		}
	}
}

// wait is the rest of a first process's life: the kernel kills all others when it exits.
//
//go:norace
//go:nosplit
func wait() {
	for {
		pid, _, errno := syscall.RawSyscall6(syscall.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&status)), 0, 0, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 && !stay {
			exit(1)
		}
		if errno != 0 { // those whose namespaces are below are not its children
			syscall.RawSyscall6(syscall.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
			continue
		}
		reaped(pid)
	}
}

// reaped tells how a process ended, if it is one that was forked here; the end of the last of these is that of all.
//
//go:norace
//go:nosplit
func reaped(pid uintptr) {
	if pid == main {
		report(Exited, 0, int64(status), 0, 0)
		main = 0
	}
	left := main
	for i := range aside {
		if pid == aside[i] {
			report(Left, uint32(i), int64(status), 0, 0)
			aside[i] = 0
		}
		left |= aside[i]
	}
	if left == 0 && !stay {
		exit(0)
	}
}

// tend is wait for a sandbox that no control group holds: it also stops and continues all other processes, at once, when
// the daemon sends it a signal, and says when that is done. The program has blocked SIGCHLD and both signals.
//
//go:norace
//go:nosplit
func tend() {
	signal = 1<<(syscall.SIGCHLD-1) | 1<<(StopSignal-1) | 1<<(GoOnSignal-1)
	for {
		for {
			pid, _, errno := syscall.RawSyscall6(syscall.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&status)), syscall.WNOHANG, 0, 0, 0)
			if errno == syscall.ECHILD {
				exit(1)
			}
			if pid == 0 || errno != 0 {
				break
			}
			reaped(pid)
		}
		number, _, _ := syscall.RawSyscall6(syscall.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&signal)), 0, 0, 8, 0, 0)
		switch syscall.Signal(number) {
		case StopSignal:
			syscall.RawSyscall(syscall.SYS_KILL, ^uintptr(0), uintptr(syscall.SIGSTOP), 0)
			report(Stopped, 0, 0, 0, 0)
		case GoOnSignal:
			syscall.RawSyscall(syscall.SYS_KILL, ^uintptr(0), uintptr(syscall.SIGCONT), 0)
			report(GoneOn, 0, 0, 0, 0)
		}
	}
}

// report sends a Message with n descriptors from the registers that begin at first.
//
//go:norace
//go:nosplit
func report(kind, op uint32, value int64, first, n int) syscall.Errno {
	message = Message{Kind: kind, Op: op, Value: value, Forked: forked, Now: now()}
	outVector = ioVector{uintptr(unsafe.Pointer(&message)), unsafe.Sizeof(message)}
	outHeader = messageHeader{iov: uintptr(unsafe.Pointer(&outVector)), iovlen: 1}
	if n > 0 {
		h := (*syscall.Cmsghdr)(unsafe.Pointer(&rights))
		h.Level, h.Type, h.Len = syscall.SOL_SOCKET, syscall.SCM_RIGHTS, uint64(syscall.SizeofCmsghdr+4*n)
		for i := range n {
			*(*int32)(unsafe.Add(unsafe.Pointer(&rights), syscall.SizeofCmsghdr+4*i)) = int32(reg[first+i])
		}
		outHeader.control, outHeader.controllen = uintptr(unsafe.Pointer(&rights)), uintptr(h.Len)
	}
	for {
		_, _, errno := syscall.RawSyscall(syscall.SYS_SENDMSG, uintptr(reg[0]), uintptr(unsafe.Pointer(&outHeader)), syscall.MSG_NOSIGNAL)
		if errno != syscall.EINTR {
			return errno
		}
	}
}

//go:norace
//go:nosplit
func now() int64 {
	var t syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&t)), 0)
	return t.Nano()
}
