package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

var privileges = map[string]func(target) string{
	"become root":             func(target) string { return try(unix.SYS_SETUID, 0) },
	"become root (setresuid)": func(target) string { return try(unix.SYS_SETRESUID, 0, 0, 0) },
	"become group root":       func(target) string { return try(unix.SYS_SETGID, 0) },
	"become another user":     func(target) string { return try(unix.SYS_SETUID, 1000) },
	"set groups":              func(target) string { return try(unix.SYS_SETGROUPS, 1, uintptr(unsafe.Pointer(new(uint32)))) },
	"gain capabilities":       gain,
	"raise an ambient capability": func(target) string {
		return try(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_SYS_ADMIN)
	},
	"change secure bits":          func(target) string { return try(unix.SYS_PRCTL, unix.PR_SET_SECUREBITS, 0) },
	"clear no_new_privs":          func(target) string { return try(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 0) },
	"create a user namespace":     func(target) string { return try(unix.SYS_UNSHARE, unix.CLONE_NEWUSER) },
	"create a mount namespace":    func(target) string { return try(unix.SYS_UNSHARE, unix.CLONE_NEWNS) },
	"clone into a user namespace": func(target) string { return try(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD)) },
	"clone into a net namespace":  func(target) string { return try(unix.SYS_CLONE, unix.CLONE_NEWNET|uintptr(unix.SIGCHLD)) },
	"clone3 into a user namespace": func(target) string {
		return try(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&[11]uint64{unix.CLONE_NEWUSER})), 88)
	},
	"enter a namespace":             func(target) string { return try(unix.SYS_SETNS, 0, 0) },
	"change the personality":        func(target) string { return try(unix.SYS_PERSONALITY, 0x0400000) },
	"set the host's name":           func(target) string { return outcome(unix.Sethostname([]byte("evil"))) },
	"switch the filter to a lesser": func(target) string { return try(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_STRICT, 1) },
}

func gain(target) string {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Effective: 1 << unix.CAP_SYS_ADMIN, Permitted: 1 << unix.CAP_SYS_ADMIN}}
	return outcome(unix.Capset(&header, &data[0]))
}

var kernel = map[string]func(target) string{
	"load a program into the kernel": func(target) string { return try(unix.SYS_BPF, 0, 0, 0) },
	"watch performance events":       func(target) string { return try(unix.SYS_PERF_EVENT_OPEN) },
	"handle page faults":             func(target) string { return try(unix.SYS_USERFAULTFD) },
	"open an io_uring":               func(target) string { return try(unix.SYS_IO_URING_SETUP, 1, 0) },
	"enter an io_uring":              func(target) string { return try(unix.SYS_IO_URING_ENTER) },
	"take the machine's AIO events":  func(target) string { return try(unix.SYS_IO_SETUP, 65536, uintptr(unsafe.Pointer(new(uint64)))) },
	"submit AIO":                     func(target) string { return try(unix.SYS_IO_SUBMIT) },
	"add a key":                      func(target) string { return try(unix.SYS_ADD_KEY) },
	"request a key":                  func(target) string { return try(unix.SYS_REQUEST_KEY) },
	"use a keyring":                  func(target) string { return try(unix.SYS_KEYCTL, 0) },
	"read the kernel's log":          func(target) string { return try(unix.SYS_SYSLOG, 3, 0, 0) },
	"read /proc/kmsg":                func(target) string { return read("/proc/kmsg") },
	"set the clock":                  func(target) string { return try(unix.SYS_CLOCK_SETTIME, 0, uintptr(unsafe.Pointer(&unix.Timespec{}))) },
	"set the time of day":            func(target) string { return try(unix.SYS_SETTIMEOFDAY, uintptr(unsafe.Pointer(&unix.Timeval{})), 0) },
	"adjust the clock":               func(target) string { return try(unix.SYS_CLOCK_ADJTIME, 0, 0) },
	"watch the file system":          func(target) string { return try(unix.SYS_FANOTIFY_INIT, 0, 0) },
	"set a quota":                    func(target) string { return try(unix.SYS_QUOTACTL, 0, 0, 0, 0) },
	"account processes":              func(target) string { return try(unix.SYS_ACCT, 0) },
	"move memory":                    func(target) string { return try(unix.SYS_MOVE_PAGES, 0, 0, 0, 0, 0, 0) },
	"load a module":                  func(target) string { return try(unix.SYS_INIT_MODULE, 0, 0, 0) },
	"load a module from a file":      func(target) string { return try(unix.SYS_FINIT_MODULE, 0, 0, 0) },
	"load another kernel":            func(target) string { return try(unix.SYS_KEXEC_LOAD, 0, 0, 0, 0) },
	"reboot":                         func(target) string { return try(unix.SYS_REBOOT, 0, 0, 0, 0) },
	"swap to a file":                 func(target) string { return try(unix.SYS_SWAPON, 0, 0) },
}
