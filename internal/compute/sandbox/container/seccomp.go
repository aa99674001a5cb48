package container

import (
	"encoding/binary"
	"fmt"
	"slices"
	"syscall"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The assembler below is our own although the library has one: in its filters a system call whose arguments do not match
// goes on to be compared by argument instead of by number, so that socket(AF_VSOCK) passes as sendfile. Its tables are
// what is used of it.

// verdicts of a filter.
const (
	permit      = uint32(unix.SECCOMP_RET_ALLOW)
	skip        = uint32(unix.SECCOMP_RET_ERRNO) // not made, and returns 0
	kill        = uint32(unix.SECCOMP_RET_KILL_PROCESS)
	refuse      = uint32(unix.SECCOMP_RET_ERRNO) | uint32(syscall.EPERM)
	unsupported = uint32(unix.SECCOMP_RET_ERRNO) | uint32(syscall.ENOSYS)
)

// Offsets in struct seccomp_data.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

// x32 is set in the numbers of amd64's second ABI, under which every call has another number.
const x32 = 0x40000000

// condition allows a system call if, in one of its alternatives, every test holds. Tests look at the low half of an
// argument only, which is all that the kernel looks at in these.
type condition struct {
	name         string
	alternatives [][]test
}

// test compares argument arg, masked, with a value; no value at all with want false.
type test struct {
	arg   uint32
	mask  uint32
	value uint32
	want  bool
}

const (
	whole      = ^uint32(0)
	typeMask   = 0xf // of socket types, beside SOCK_CLOEXEC and SOCK_NONBLOCK
	namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP
)

// functionFilter is the allow-list for functions. What it does not know does not exist (ENOSYS): C libraries then take an
// older way. What is known to be dangerous is refused (EPERM), and what no function ever does kills it.
func functionFilter() (filter, error) {
	return assemble(arches(), conditions(), []group{{permit, allowed}, {skip, skipped}, {refuse, refused}, {kill, killed}}, unsupported)
}

// zygoteFilter is the allow-list for zygotes, which have a capability in the spawner's user namespace: what functions may, and what
// enters a sandbox. What namespaces there are they may not ask, nor anything that with the capability reaches the machine: a file system as
// a whole can be stopped by whoever has opened a file of it to read, and memory be taken out of use.
func zygoteFilter() (filter, error) {
	all := conditions()
	for i, c := range all {
		if c.name == "ioctl" {
			for _, kind := range []uint32{nsfsRequests, anyFSRequests, btrfsRequests, randomRequests} {
				all[i].alternatives[0] = append(all[i].alternatives[0], test{arg: 1, mask: 0xff00, value: kind})
			}
			all[i].alternatives[0] = append(all[i].alternatives[0], test{arg: 1, mask: 0xffff, value: ext4Checkpoint})
		}
	}
	all = append(all, condition{"madvise", [][]test{{{arg: 2, mask: whole, value: unix.MADV_HWPOISON}, {arg: 2, mask: whole, value: softOffline}}}})
	rest := slices.DeleteFunc(slices.Clone(refused), func(name string) bool { return name == "setns" })
	return assemble(arches(), all, []group{{permit, append(slices.Clone(allowed), "setns", "clone3")}, {skip, skipped}, {refuse, rest}, {kill, killed}}, unsupported)
}

// Types of ioctls, and one of them.
const (
	nsfsRequests   = 0xb700
	anyFSRequests  = 'X' << 8 // FIFREEZE, FITRIM, EXT4_IOC_SHUTDOWN and the like, XFS's own
	btrfsRequests  = 0x9400
	randomRequests = 'R' << 8 // of /dev/random
	ext4Checkpoint = 'f'<<8 | 43
)

// softOffline is MADV_SOFT_OFFLINE.
const softOffline = 101

func conditions() []condition {
	return []condition{
		{"clone", [][]test{{{arg: 0, mask: namespaces, value: 0, want: true}}}},
		{"socket", sockets()},
		{"socketpair", unixSockets()},
		{"ioctl", [][]test{{{arg: 1, mask: whole, value: unix.TIOCSTI}, {arg: 1, mask: whole, value: unix.TIOCLINUX}}}},
		{"personality", [][]test{{{arg: 0, mask: whole, value: 0, want: true}}, {{arg: 0, mask: whole, value: whole, want: true}}}},
	}
}

// sockets are those that a function may open. A protocol is given with its type: for any other pair the kernel would look
// for a module to load.
func sockets() [][]test {
	all := append(unixSockets(), socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE), socket(unix.AF_NETLINK, unix.SOCK_DGRAM, unix.NETLINK_ROUTE))
	for _, domain := range []uint32{unix.AF_INET, unix.AF_INET6} {
		all = append(all, socket(domain, unix.SOCK_STREAM, 0), socket(domain, unix.SOCK_STREAM, unix.IPPROTO_TCP),
			socket(domain, unix.SOCK_DGRAM, 0), socket(domain, unix.SOCK_DGRAM, unix.IPPROTO_UDP))
	}
	return all
}

// unixSockets may have any protocol: the kernel itself refuses all but one.
func unixSockets() [][]test {
	var all [][]test
	for _, kind := range []uint32{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET} {
		all = append(all, []test{{arg: 0, mask: whole, value: unix.AF_UNIX, want: true}, {arg: 1, mask: typeMask, value: kind, want: true}})
	}
	return all
}

func socket(domain, kind, protocol uint32) []test {
	return []test{{arg: 0, mask: whole, value: domain, want: true}, {arg: 1, mask: typeMask, value: kind, want: true},
		{arg: 2, mask: whole, value: protocol, want: true}}
}

// guardFilter leaves to a sandbox's first process what it needs to reap and, if it tends, to stop the others.
func guardFilter(tend bool) (filter, error) {
	needs := []string{"wait4", "sendmsg", "clock_gettime", "exit_group", "rt_sigreturn", "ppoll"}
	var conditions []condition
	if tend {
		needs = append(needs, "rt_sigtimedwait")
		everybody := test{arg: 0, mask: whole, value: whole, want: true}
		conditions = []condition{{"kill", [][]test{
			{everybody, {arg: 1, mask: whole, value: uint32(syscall.SIGSTOP), want: true}},
			{everybody, {arg: 1, mask: whole, value: uint32(syscall.SIGCONT), want: true}}}}}
	}
	return assemble(arches(), conditions, []group{{permit, needs}}, kill)
}

// group gives one verdict to system calls by name.
type group struct {
	verdict uint32
	names   []string
}

func arches() *arch.Info {
	info, err := arch.GetInfo("")
	if err != nil {
		panic(err) // a program for an unknown architecture
	}
	return info
}

// assemble makes a filter. Names that an architecture does not have are left out.
func assemble(a *arch.Info, conditions []condition, groups []group, otherwise uint32) (filter, error) {
	code := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(a.ID), SkipTrue: 1},
		bpf.RetConstant{Val: unsupported},
		bpf.LoadAbsolute{Off: offNumber, Size: 4},
	}
	if a.ID == arch.X86_64.ID {
		code = append(code, bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: x32, SkipFalse: 1}, bpf.RetConstant{Val: unsupported})
	}
	for _, c := range conditions {
		number, ok := a.SyscallNames[c.name]
		if !ok {
			continue
		}
		block := c.assemble()
		if len(block) > 255 {
			return nil, fmt.Errorf("filter for %s has %d instructions", c.name, len(block))
		}
		code = append(code, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(number), SkipFalse: uint8(len(block))})
		code = append(code, block...)
	}
	for _, r := range ranges(a, groups) {
		code = append(code, bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: r.first, SkipFalse: 2},
			bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: r.last, SkipTrue: 1}, bpf.RetConstant{Val: r.verdict})
	}
	raw, err := bpf.Assemble(append(code, bpf.RetConstant{Val: otherwise}))
	if err != nil {
		return nil, err
	}
	var out filter
	for _, i := range raw { // struct sock_filter
		out = binary.NativeEndian.AppendUint16(out, i.Op)
		out = append(out, i.Jt, i.Jf)
		out = binary.NativeEndian.AppendUint32(out, i.K)
	}
	return out, nil
}

// assemble ends in a verdict in every case: what follows compares numbers again.
func (c condition) assemble() []bpf.Instruction {
	var code []bpf.Instruction
	for _, tests := range c.alternatives {
		const size = 3 // instructions of a test
		for i, t := range tests {
			over := uint8(size*(len(tests)-1-i) + 1) // to after this alternative's verdict
			jump := bpf.JumpIf{Cond: bpf.JumpEqual, Val: t.value}
			if t.want {
				jump.SkipFalse = over
			} else {
				jump.SkipTrue = over
			}
			code = append(code, bpf.LoadAbsolute{Off: offArgs + 8*t.arg, Size: 4}, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: t.mask}, jump)
		}
		code = append(code, bpf.RetConstant{Val: permit})
	}
	return append(code, bpf.RetConstant{Val: refuse})
}

// span is a run of system call numbers with the same verdict.
type span struct {
	first, last uint32
	verdict     uint32
}

func ranges(a *arch.Info, groups []group) []span {
	var all []span
	for _, g := range groups {
		for _, name := range g.names {
			if n, ok := a.SyscallNames[name]; ok {
				all = append(all, span{uint32(n), uint32(n), g.verdict})
			}
		}
	}
	slices.SortFunc(all, func(x, y span) int { return int(x.first) - int(y.first) })
	var merged []span
	for _, s := range all {
		if last := len(merged) - 1; last >= 0 && merged[last].verdict == s.verdict && merged[last].last+1 == s.first {
			merged[last].last = s.last
		} else {
			merged = append(merged, s)
		}
	}
	return merged
}
