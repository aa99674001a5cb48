package stage0

import (
	"syscall"
	"unsafe"
)

const (
	cwd         = ^uintptr(99) // AT_FDCWD
	sysClone3   = 435
	clonePidfd  = 0x1000
	cloneVfork  = 0x4000
	cloneInto   = 0x200000000
	same        = ^uintptr(0) // an id that setresuid leaves as it is, also in 32 bits
	killSignal  = uintptr(syscall.SIGKILL)
	pPID        = 1 // P_PID
	childSignal = uint64(syscall.SIGCHLD)
)

type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// ioVector and messageHeader are the kernel's iovec and msghdr without Go pointers.
type ioVector struct{ base, length uintptr }

type messageHeader struct {
	name       uintptr
	namelen    uint64
	iov        uintptr
	iovlen     uintptr
	control    uintptr
	controllen uintptr
	flags      uint64
}

// All state is static: a forked child must not allocate, and addresses given to the kernel must not move.
var (
	program [MaxSize / 8]uint64
	reg     [regs]uint64
	clone   cloneArgs
	pidfd   int32
	header  syscall.Msghdr
	vector  syscall.Iovec
	rights  [(syscall.SizeofCmsghdr + 4*(MaxFDs+4)) / 8]uint64
	message Message

	outHeader messageHeader
	outVector ioVector
	inHeader  messageHeader
	inVector  ioVector

	forked int64
	main   uintptr
	aside  [MaxAside]uintptr
	path   [64]byte
	status int32
	signal uint64 // a set of signals
	pause  syscall.Timespec
	stay   bool // a first process does not end with the others
	text   [256]byte
	info   [16]uint64 // a siginfo_t
)

// serve carries out programs until the daemon closes its end or dies.
func serve() {
	for {
		size, fds := receive()
		if size <= 0 {
			exit(0)
		}
		if execute(size) {
			fds = regs // what the program has opened here goes, too
		}
		clear(program[:(size+7)/8]) // with a function's environment; what is forked next has a copy of all that is here
		for i := range fds {
			if reg[i] != ^uint64(0) {
				syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(reg[i]), 0, 0)
			}
		}
	}
}

// receive blocks outside the Go scheduler's sight of this thread, so that an idle spawner costs nothing.
func receive() (size int, fds int) {
	for {
		vector.Base, vector.Len = (*byte)(unsafe.Pointer(&program)), MaxSize
		header = syscall.Msghdr{Iov: &vector, Iovlen: 1, Control: (*byte)(unsafe.Pointer(&rights)), Controllen: uint64(unsafe.Sizeof(rights))}
		n, _, errno := syscall.Syscall(syscall.SYS_RECVMSG, Control, uintptr(unsafe.Pointer(&header)), syscall.MSG_CMSG_CLOEXEC)
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 || n == 0 {
			return 0, 0
		}
		return int(n), loadRights(0, uint64(header.Controllen))
	}
}

// loadRights puts the descriptors that came with a program into the registers from first on; those below stay.
//
//go:norace
//go:nosplit
func loadRights(first int, length uint64) int {
	for i := first; i < regs; i++ {
		reg[i] = ^uint64(0)
	}
	if length < syscall.SizeofCmsghdr {
		return 0
	}
	h := (*syscall.Cmsghdr)(unsafe.Pointer(&rights))
	if h.Level != syscall.SOL_SOCKET || h.Type != syscall.SCM_RIGHTS {
		return 0
	}
	n := int(h.Len-syscall.SizeofCmsghdr) / 4
	for i := 0; i < n && first+i < regs; i++ {
		reg[first+i] = uint64(*(*int32)(unsafe.Add(unsafe.Pointer(&rights), syscall.SizeofCmsghdr+4*i)))
	}
	return n
}

// execute runs the program that was received, and says so, or forks the process that does.
func execute(size int) (here bool) {
	h := (*Header)(unsafe.Pointer(&program))
	if size < int(unsafe.Sizeof(*h)) || !relocate(h, size) {
		report(Failed, OpFormat, int64(syscall.EINVAL), 0, 0)
		return false
	}
	if h.Clone == 0 {
		if run(h) {
			report(Finished, 0, 0, 0, 0)
		}
		return true
	}
	spawn(h)
	return false
}

// relocate turns the offsets in a program into addresses, and reports whether it is one.
//
//go:norace
//go:nosplit
func relocate(h *Header, size int) bool {
	at := int(unsafe.Sizeof(*h)) + int(h.Ops)*int(unsafe.Sizeof(Op{}))
	if at+int(h.Relocs)*4 > size {
		return false
	}
	base := uint64(uintptr(unsafe.Pointer(&program)))
	for i := range int(h.Relocs) {
		off := *(*uint32)(unsafe.Add(unsafe.Pointer(&program), at+4*i))
		if off%8 != 0 || int(off)+8 > size {
			return false
		}
		program[off/8] += base
	}
	return int(h.UIDMap) < size && int(h.GIDMap) < size
}

// more waits for another program and takes the place of this one with it. Without one, the daemon is gone or has given this
// sandbox up.
//
//go:norace
//go:nosplit
func more(h *Header) {
	inVector = ioVector{uintptr(unsafe.Pointer(&program)), MaxSize}
	inHeader = messageHeader{iov: uintptr(unsafe.Pointer(&inVector)), iovlen: 1, control: uintptr(unsafe.Pointer(&rights)), controllen: unsafe.Sizeof(rights)}
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_RECVMSG, uintptr(reg[0]), uintptr(unsafe.Pointer(&inHeader)), syscall.MSG_CMSG_CLOEXEC)
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 || n == 0 {
			exit(0)
		}
		if n < unsafe.Sizeof(*h) || h.First == 0 || h.First >= regs || !relocate(h, int(n)) {
			report(Failed, OpFormat, int64(syscall.EINVAL), 0, 0)
			exit(1)
		}
		loadRights(int(h.First), uint64(inHeader.controllen))
		return
	}
}

// spawn forks the sandbox's first process. It waits on a pipe until its user and group maps are written.
func spawn(h *Header) {
	var ends [2]int32
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PIPE2, uintptr(unsafe.Pointer(&ends)), syscall.O_CLOEXEC, 0); errno != 0 {
		report(Failed, OpPipe, int64(errno), 0, 0)
		return
	}
	clone = cloneArgs{flags: h.Clone | clonePidfd, pidfd: uint64(uintptr(unsafe.Pointer(&pidfd))), exitSignal: childSignal}
	if h.Cgroup != NoReg {
		clone.flags |= cloneInto
		clone.cgroup = reg[h.Cgroup]
	}
	op := uint32(OpOwner)
	var errno syscall.Errno
	if h.Within != 0 {
		op, errno = OpClone, nest(h, uintptr(ends[0]), uintptr(ends[1]))
	} else if errno = become(uintptr(h.Owner)); errno == 0 {
		var pid uintptr
		op = OpClone
		pid, _, errno = syscall.RawSyscall(sysClone3, uintptr(unsafe.Pointer(&clone)), unsafe.Sizeof(clone), 0)
		if errno == 0 && pid == 0 {
			child(h, uintptr(ends[0]), uintptr(ends[1]))
		}
		if h.Owner != Same && become(0) != 0 {
			exit(1) // a spawner that is not root any more is of no use; the daemon starts another
		}
		if errno == 0 {
			release(h, pid, uintptr(ends[1]))
			syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(pidfd), 0, 0)
		}
	}
	if errno != 0 {
		report(Failed, op, int64(errno), 0, 0)
	}
	syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(ends[0]), 0, 0)
	syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(ends[1]), 0, 0)
}

// become changes the effective user of this thread, whose privileges stay (see the spawner's secure bits). The kernel
// forgets then that the spawner dies with the daemon.
func become(user uintptr) syscall.Errno {
	_, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, same, user, same)
	syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, killSignal, 0)
	return errno
}

// release tells the daemon of the new process, writes its maps and lets it go on. Without maps for a new user namespace
// the daemon gets the gate: it has them written and opens it.
//
//go:norace
//go:nosplit
func release(h *Header, pid, gate uintptr) {
	reg[regs-2], reg[regs-1] = uint64(pidfd), uint64(gate)
	switch {
	case h.Clone&syscall.CLONE_NEWUSER == 0:
		report(Spawned, 0, int64(pid), regs-2, 1)
		syscall.RawSyscall(syscall.SYS_WRITE, gate, uintptr(unsafe.Pointer(&path)), 1)
		return
	case *(*byte)(unsafe.Add(unsafe.Pointer(&program), h.UIDMap)) == 0:
		report(Spawned, 0, int64(pid), regs-2, 2)
		return
	}
	report(Spawned, 0, int64(pid), regs-2, 1)
	if errno := writeMap(pid, "/gid_map", h.GIDMap); errno != 0 {
		report(Failed, OpGIDMap, int64(errno), 0, 0)
		return
	}
	if errno := writeMap(pid, "/uid_map", h.UIDMap); errno != 0 {
		report(Failed, OpUIDMap, int64(errno), 0, 0)
		return
	}
	syscall.RawSyscall(syscall.SYS_WRITE, gate, uintptr(unsafe.Pointer(&path)), 1)
}

// writeMap writes the text at offset text of the program to /proc/pid/name.
//
//go:norace
//go:nosplit
func writeMap(pid uintptr, name string, text uint32) syscall.Errno {
	n := copy(path[:], "/proc/")
	start := n
	for v := pid; v > 0; v /= 10 {
		path[n] = '0' + byte(v%10)
		n++
	}
	for i, j := start, n-1; i < j; i, j = i+1, j-1 {
		path[i], path[j] = path[j], path[i]
	}
	n += copy(path[n:], name)
	path[n] = 0
	fd, _, errno := syscall.RawSyscall6(syscall.SYS_OPENAT, cwd, uintptr(unsafe.Pointer(&path)), syscall.O_WRONLY|syscall.O_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	from := unsafe.Add(unsafe.Pointer(&program), text)
	length := 0
	for *(*byte)(unsafe.Add(from, length)) != 0 {
		length++
	}
	_, _, errno = syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(from), uintptr(length))
	syscall.RawSyscall(syscall.SYS_CLOSE, fd, 0, 0)
	return errno
}

//go:norace
//go:nosplit
func exit(code uintptr) {
	for {
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, code, 0, 0)
	}
}
