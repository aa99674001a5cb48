package stage0

import (
	"syscall"
	"unsafe"
)

const (
	cloneParent = 0x8000
	cloneNewPID = 0x20000000
	newUser     = 0x10000000
	dumpable    = 4 // PR_SET_DUMPABLE
)

// nest is spawn for a sandbox whose user and pid namespaces are to be below those of another's first process. A pid namespace
// can be made only by who is in the one above it, so one process enters that and forks the one that makes the first process.
// All three are the spawner's children, and nothing of the spawner changes.
func nest(h *Header, gate, far uintptr) syscall.Errno {
	clone.flags &= cloneInto // the control group, which is this side's to choose: the others inherit it
	clone.pidfd = 0
	pid, _, errno := syscall.RawSyscall(sysClone3, uintptr(unsafe.Pointer(&clone)), unsafe.Sizeof(clone), 0)
	if errno == 0 && pid == 0 {
		outer(h, gate, far)
	}
	return errno
}

//go:norace
//go:nosplit
func outer(h *Header, gate, far uintptr) {
	syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, killSignal, 0)
	op := uint32(OpEnter)
	_, _, errno := syscall.RawSyscall(sysSetns, uintptr(reg[h.Within]), cloneNewPID, 0)
	if errno == 0 {
		op = OpClone
		clone = cloneArgs{flags: cloneParent}
		var pid uintptr
		pid, _, errno = syscall.RawSyscall(sysClone3, uintptr(unsafe.Pointer(&clone)), unsafe.Sizeof(clone), 0)
		if errno == 0 && pid == 0 {
			inner(h, gate, far)
		}
	}
	if errno != 0 {
		report(Failed, op, int64(errno), 0, 0)
	}
	exit(0)
}

// inner enters the user namespace above, as its owner to be, and makes the first process, whose maps it writes: nobody outside
// these two namespaces could.
//
//go:norace
//go:nosplit
func inner(h *Header, gate, far uintptr) {
	syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, killSignal, 0)
	op := uint32(OpEnter)
	_, _, errno := syscall.RawSyscall(sysSetns, uintptr(reg[h.Within]), newUser, 0)
	if errno == 0 {
		op = OpOwner
		_, _, errno = syscall.RawSyscall(syscall.SYS_SETRESGID, same, 0, same)
	}
	if errno == 0 {
		_, _, errno = syscall.RawSyscall(syscall.SYS_SETRESUID, same, uintptr(h.Owner), same)
	}
	syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, killSignal, 0)
	syscall.RawSyscall(syscall.SYS_PRCTL, dumpable, 1, 0) // else the maps are files of the host's root
	if errno == 0 {
		op = OpClone
		clone = cloneArgs{flags: h.Clone | clonePidfd | cloneParent, pidfd: uint64(uintptr(unsafe.Pointer(&pidfd)))}
		var pid uintptr
		pid, _, errno = syscall.RawSyscall(sysClone3, uintptr(unsafe.Pointer(&clone)), unsafe.Sizeof(clone), 0)
		if errno == 0 && pid == 0 {
			child(h, gate, far)
		}
		if errno == 0 {
			release(h, numberOutside(uintptr(pidfd)), far)
		}
	}
	if errno != 0 {
		report(Failed, op, int64(errno), 0, 0)
	}
	exit(0)
}

// numberOutside is the process id of a pidfd's process where /proc is from; 0 if it can't be had.
//
//go:norace
//go:nosplit
func numberOutside(fd uintptr) (pid uintptr) {
	n := copy(path[:], "/proc/self/fdinfo/")
	at := n
	for v := fd; v > 0 || at == n; v /= 10 {
		at++
	}
	for v, i := fd, at; i > n; i-- {
		path[i-1] = '0' + byte(v%10)
		v /= 10
	}
	path[at] = 0
	file, _, errno := syscall.RawSyscall6(syscall.SYS_OPENAT, cwd, uintptr(unsafe.Pointer(&path)), syscall.O_RDONLY|syscall.O_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return 0
	}
	got, _, errno := syscall.RawSyscall(syscall.SYS_READ, file, uintptr(unsafe.Pointer(&text)), uintptr(len(text)))
	syscall.RawSyscall(syscall.SYS_CLOSE, file, 0, 0)
	if errno != 0 {
		return 0
	}
	for i := 0; i+5 < int(got); i++ { // a line "Pid:", a tabulator, the number
		if text[i] == '\n' && text[i+1] == 'P' && text[i+2] == 'i' && text[i+3] == 'd' && text[i+4] == ':' {
			for i += 5; i < int(got) && text[i] != '\n'; i++ {
				if d := text[i]; d >= '0' && d <= '9' {
					pid = pid*10 + uintptr(d-'0')
				}
			}
			return pid
		}
	}
	return 0
}
