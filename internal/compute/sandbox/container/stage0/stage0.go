// Package stage0 is what a re-executed daemon becomes before anything else of it is initialised: the spawner, from which
// every sandbox is forked.
//
// The spawner receives programs over an inherited socket. A program is a flat list of system calls that the daemon has
// planned; this package only carries it out, in a fresh process with namespaces of its own or, to set itself up, in the
// spawner. It imports nothing but syscall and unsafe, so that it initialises first and that a forked child, which has
// one thread and no working Go scheduler, never needs the runtime: no allocation, no goroutine, no lock.
package stage0

import (
	"syscall"
	"unsafe"
)

// Name is argv[0] of a spawner; Control is its file descriptor for the socket to the daemon.
const (
	Name    = "artesian-spawner"
	Control = 3
)

// Limits of one program.
const (
	MaxSize  = 192 << 10 // bytes, also the socket's buffer
	MaxFDs   = 250       // descriptors that travel with it; the kernel's own bound is 253
	NoReg    = 0xff
	Same     = 0xffffffff // as an Owner: whoever the spawner is
	MaxAside = 16         // processes beside the main one
	regs     = 256
)

// Kinds of Op.
const (
	Call  = iota // Args are those of system call Nr
	Fork         // start a process: it goes on with the next Op, its parent with Op number Args[0]; Dst gets a pidfd. Nr is 0 for the main one, else it counts those beside. The parent waits for its execution, unless Args[1] is Aside
	Send         // report Args[0] with Args[2] descriptors from the registers that begin at Args[1]
	Wait         // reap until the main process and those beside have ended, report how each did, and exit; with Nr 1, do not exit
	Tend         // Wait that also stops all other processes and lets them go on at StopSignal and GoOnSignal
	More         // wait for another program on the socket for reports, and go on with that; the end of the socket is the process's
	Adopt        // the main process is Args[0], which a zygote has forked in here; wait until it is this one's child
)

// Aside, in a Fork, has the parent go on at once.
const Aside = 0x4000

// Signals for a first process that tends.
const (
	StopSignal = syscall.SIGUSR1
	GoOnSignal = syscall.SIGUSR2
)

// Op is one step. Registers hold the received descriptors first; a result goes to Dst unless it is NoReg.
type Op struct {
	Kind  uint8
	Dst   uint8
	Regs  uint8 // bit i: Args[i] is a register's number
	Allow uint8 // this errno counts as success
	Nr    uint32
	Args  [6]uint64
}

// Header begins a program. Ops, relocations (each the offset of a word to which the program's address is added) and data
// follow. Register 0 is always the socket for reports.
type Header struct {
	Ops    uint32
	Relocs uint32
	Clone  uint64 // flags of the process that runs it; 0 runs it in the spawner
	Cgroup uint8  // register of a cgroup2 directory to be born in, or NoReg
	Within uint8  // register of the pidfd of a process in whose user and pid namespaces those of this one are made; 0: in the spawner's
	First  uint16 // the register of the first descriptor that comes with it; those below stay as an earlier program left them
	UIDMap uint32 // offset of the text for uid_map, NUL-terminated; an empty one leaves the maps to the daemon
	GIDMap uint32
	Owner  uint32 // who makes the user namespace: what its processes take of the kernel's limits by user is this user's; or Same. With Within, by its number there
}

// Kinds of Message.
const (
	Spawned  = iota // Value is the process id; carries its pidfd and, if the maps are left to the daemon, what a byte is written to then
	Failed          // Value is the errno, Op the step
	Running         // the main process is executed; carries what the program sends
	Exited          // Value is the main process's wait status
	Finished        // a program for the spawner itself is done
	Stopped         // all other processes are stopped
	GoneOn          // they are not any more
	Left            // Value is the wait status of a process beside the main one, Op its number, from 1
	Ready           // the program has come to More; carries what it sends
)

// Steps outside a program that can fail.
const (
	OpClone  = 0xffff0000 + iota // making the process
	OpUIDMap                     // writing its user map
	OpGIDMap                     // writing its group map
	OpPipe                       // making the pipe that holds it back
	OpFormat                     // reading the program
	OpOwner                      // becoming the owner of the user namespace, and root again
	OpEnter                      // a zygote's: entering the pid namespace in which its child is born
)

// Message is a report. Times are CLOCK_MONOTONIC nanoseconds.
type Message struct {
	Kind   uint32
	Op     uint32
	Value  int64
	Forked int64 // when everything was isolated and the main process was forked
	Now    int64
}

func init() {
	switch {
	case named(Name):
		serve()
	case named(Reaper):
		reap()
	}
}

// named compares argv[0]; os.Args is not there yet.
func named(name string) bool {
	path := [...]byte{'/', 'p', 'r', 'o', 'c', '/', 's', 'e', 'l', 'f', '/', 'c', 'm', 'd', 'l', 'i', 'n', 'e', 0}
	fd, _, errno := syscall.RawSyscall6(syscall.SYS_OPENAT, cwd, uintptr(unsafe.Pointer(&path)), syscall.O_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return false
	}
	var got [32]byte
	n, _, _ := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&got)), uintptr(len(got)))
	syscall.RawSyscall(syscall.SYS_CLOSE, fd, 0, 0)
	return int(n) > len(name) && int(n) <= len(got) && string(got[:len(name)]) == name && got[len(name)] == 0
}
