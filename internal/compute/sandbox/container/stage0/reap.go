package stage0

import (
	"syscall"
	"unsafe"
)

// Reaper is argv[0] of a process that only reaps: the first one of a kernel that has no first process of its own.
const Reaper = "artesian-reaper"

// reap takes in orphans, for ever. The signal that one has ended wakes it, for the runtime handles all.
func reap() {
	for {
		for {
			pid, _, errno := syscall.RawSyscall6(syscall.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&status)), syscall.WNOHANG, 0, 0, 0)
			if pid == 0 || errno != 0 {
				break
			}
		}
		syscall.Syscall6(syscall.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
}
