package container

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// judge runs a filter on one system call.
func judge(t *testing.T, f filter, id uint32, number int, args ...uint64) uint32 {
	t.Helper()
	var raw []bpf.RawInstruction
	for i := 0; i < len(f); i += 8 {
		raw = append(raw, bpf.RawInstruction{Op: binary.NativeEndian.Uint16(f[i:]), Jt: f[i+2], Jf: f[i+3], K: binary.NativeEndian.Uint32(f[i+4:])})
	}
	code, all := bpf.Disassemble(raw)
	if !all {
		t.Fatal("filter does not disassemble")
	}
	vm, err := bpf.NewVM(code)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 64) // the VM reads big-endian words, the kernel native ones
	binary.BigEndian.PutUint32(data[offNumber:], uint32(number))
	binary.BigEndian.PutUint32(data[offArch:], id)
	for i, a := range args {
		binary.BigEndian.PutUint32(data[offArgs+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[offArgs+8*i+4:], uint32(a>>32))
	}
	got, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(got)
}

func TestFunctionFilter(t *testing.T) {
	f, err := functionFilter()
	if err != nil {
		t.Fatal(err)
	}
	a := arches()
	for _, c := range []struct {
		name string
		args []uint64
		want uint32
	}{
		{"read", nil, permit},
		{"execve", nil, permit},
		{"futex", nil, permit},
		{"mount", nil, refuse},
		{"ptrace", nil, refuse},
		{"bpf", nil, refuse},
		{"setns", nil, refuse},
		{"keyctl", nil, refuse},
		{"userfaultfd", nil, refuse},
		{"reboot", nil, kill},
		{"init_module", nil, kill},
		{"clone3", nil, unsupported},
		{"io_uring_setup", nil, unsupported},
		{"io_setup", nil, unsupported},
		{"io_submit", nil, unsupported},
		{"io_getevents", nil, unsupported},
		{"sync", nil, skip},
		{"syncfs", nil, skip},
		{"fsync", nil, permit},
		{"fdatasync", nil, permit},
		{"clone", []uint64{unix.CLONE_VM | unix.CLONE_THREAD}, permit},
		{"clone", []uint64{unix.CLONE_NEWUSER}, refuse},
		{"clone", []uint64{unix.CLONE_VM | unix.CLONE_NEWNET}, refuse},
		{"socket", []uint64{unix.AF_UNIX, unix.SOCK_STREAM, 0}, permit},
		{"socket", []uint64{unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_CLOEXEC, 0}, permit},
		{"socket", []uint64{unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP}, refuse},
		{"socket", []uint64{unix.AF_INET6, unix.SOCK_RAW | unix.SOCK_NONBLOCK, 0}, refuse},
		{"socket", []uint64{1<<32 | unix.AF_INET, 1<<32 | unix.SOCK_RAW, 0}, refuse},
		{"socket", []uint64{unix.AF_INET, unix.SOCK_PACKET, 0}, refuse},
		{"socket", []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}, permit},
		{"socket", []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT}, refuse},
		{"socket", []uint64{unix.AF_PACKET, unix.SOCK_DGRAM, 0}, refuse},
		{"socket", []uint64{unix.AF_VSOCK, unix.SOCK_STREAM, 0}, refuse},
		{"socket", []uint64{unix.AF_UNIX, unix.SOCK_SEQPACKET | unix.SOCK_NONBLOCK, 0}, permit},
		{"socket", []uint64{unix.AF_UNIX, unix.SOCK_RAW, 0}, refuse},
		{"socket", []uint64{unix.AF_INET6, unix.SOCK_STREAM | unix.SOCK_NONBLOCK, unix.IPPROTO_TCP}, permit},
		{"socket", []uint64{unix.AF_INET, unix.SOCK_DGRAM | unix.SOCK_CLOEXEC, unix.IPPROTO_UDP}, permit},
		{"socket", []uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_UDP}, refuse},
		{"socket", []uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP}, refuse},
		{"socket", []uint64{unix.AF_INET, unix.SOCK_SEQPACKET, 0}, refuse},
		{"socket", []uint64{unix.AF_INET, unix.SOCK_DCCP, 0}, refuse},
		{"socket", []uint64{unix.AF_INET6, unix.SOCK_RDM, 0}, refuse},
		{"socket", []uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP}, refuse},
		{"socket", []uint64{unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP}, refuse},
		{"socket", []uint64{unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE}, refuse},
		{"socketpair", []uint64{unix.AF_UNIX, unix.SOCK_STREAM | unix.SOCK_CLOEXEC, 0}, permit},
		{"socketpair", []uint64{unix.AF_UNIX, unix.SOCK_DGRAM, 0}, permit},
		{"socketpair", []uint64{unix.AF_TIPC, unix.SOCK_STREAM, 0}, refuse},
		{"socketpair", []uint64{unix.AF_RDS, unix.SOCK_SEQPACKET, 0}, refuse},
		{"ioctl", []uint64{0, unix.TIOCGWINSZ}, permit},
		{"ioctl", []uint64{0, unix.TIOCSTI}, refuse},
		{"ioctl", []uint64{0, 1<<32 | unix.TIOCSTI}, refuse},
		{"personality", []uint64{0xffffffff}, permit},
		{"personality", []uint64{0x0040000}, refuse},
	} {
		if got := judge(t, f, uint32(a.ID), a.SyscallNames[c.name], c.args...); got != c.want {
			t.Errorf("%s%v = %#x, want %#x", c.name, c.args, got, c.want)
		}
	}
	if got := judge(t, f, uint32(a.ID), 5000); got != unsupported {
		t.Errorf("a system call of the future = %#x", got)
	}
	if got := judge(t, f, uint32(arch.I386.ID), 1); got != unsupported {
		t.Errorf("another architecture's call = %#x", got)
	}
	if a.ID == arch.X86_64.ID {
		if got := judge(t, f, uint32(a.ID), x32|1); got != unsupported {
			t.Errorf("an x32 call = %#x", got)
		}
	}
}

// TestZygoteFilter: what a capability would allow beyond a function's reach.
func TestZygoteFilter(t *testing.T) {
	f, err := zygoteFilter()
	if err != nil {
		t.Fatal(err)
	}
	a := arches()
	for _, c := range []struct {
		name string
		args []uint64
		want uint32
	}{
		{"setns", nil, permit},
		{"clone3", nil, permit},
		{"mount", nil, refuse},
		{"ioctl", []uint64{0, unix.TIOCGWINSZ}, permit},
		{"ioctl", []uint64{0, 0x5451}, permit}, // FIOCLEX
		{"ioctl", []uint64{0, unix.FS_IOC_GETFLAGS}, permit},
		{"ioctl", []uint64{0, unix.TIOCSTI}, refuse},
		{"ioctl", []uint64{0, 0xb702}, refuse},     // NS_GET_PARENT
		{"ioctl", []uint64{0, 0xc0045877}, refuse}, // FIFREEZE
		{"ioctl", []uint64{0, 0xc0045878}, refuse}, // FITHAW
		{"ioctl", []uint64{0, 0xc0185879}, refuse}, // FITRIM
		{"ioctl", []uint64{0, 0x8004587d}, refuse}, // EXT4_IOC_SHUTDOWN, and XFS's and F2FS's
		{"ioctl", []uint64{0, 0x4004662b}, refuse}, // EXT4_IOC_CHECKPOINT
		{"ioctl", []uint64{0, 0xd0009411}, refuse}, // BTRFS_IOC_TREE_SEARCH
		{"ioctl", []uint64{0, unix.RNDADDTOENTCNT}, refuse},
		{"madvise", []uint64{0, 4096, unix.MADV_DONTNEED}, permit},
		{"madvise", []uint64{0, 4096, unix.MADV_HWPOISON}, refuse},
		{"madvise", []uint64{0, 4096, softOffline}, refuse},
	} {
		if got := judge(t, f, uint32(a.ID), a.SyscallNames[c.name], c.args...); got != c.want {
			t.Errorf("%s%#x = %#x, want %#x", c.name, c.args, got, c.want)
		}
	}
}

// TestNoSocketDomainSlipsThrough tries every domain with every type, since a filter that goes on after a failed test may take
// a domain for a system call's number.
func TestNoSocketDomainSlipsThrough(t *testing.T) {
	f, err := functionFilter()
	if err != nil {
		t.Fatal(err)
	}
	a := arches()
	known := map[uint64][]uint64{
		unix.AF_UNIX:    {unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET},
		unix.AF_INET:    {unix.SOCK_STREAM, unix.SOCK_DGRAM},
		unix.AF_INET6:   {unix.SOCK_STREAM, unix.SOCK_DGRAM},
		unix.AF_NETLINK: {unix.SOCK_RAW, unix.SOCK_DGRAM}, // NETLINK_ROUTE is 0
	}
	for domain := range uint64(1024) {
		for kind := range uint64(16) {
			for _, call := range []string{"socket", "socketpair"} {
				want := refuse
				if slices.Contains(known[domain], kind) && (call == "socket" || domain == unix.AF_UNIX) {
					want = permit
				}
				if got := judge(t, f, uint32(a.ID), a.SyscallNames[call], domain, kind, 0); got != want {
					t.Fatalf("%s(%d, %d) = %#x, want %#x", call, domain, kind, got, want)
				}
			}
		}
	}
}

func TestFilterNames(t *testing.T) {
	seen := map[string]bool{}
	for _, list := range [][]string{allowed, skipped, refused, killed} {
		for _, name := range list {
			_, amd := arch.X86_64.SyscallNames[name]
			_, arm := arch.AARCH64.SyscallNames[name]
			if !amd && !arm {
				t.Errorf("%s is no system call", name)
			}
			if seen[name] {
				t.Errorf("%s is listed twice", name)
			}
			seen[name] = true
		}
	}
	for _, a := range []*arch.Info{arch.X86_64, arch.AARCH64} {
		if _, err := assemble(a, nil, []group{{permit, allowed}}, refuse); err != nil {
			t.Errorf("%s: %v", a.Name, err)
		}
	}
}
