package container

import (
	"encoding/binary"
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

// TestNoSocketDomainSlipsThrough tries every domain, since a filter that goes on after a failed test may take a domain
// for a system call's number.
func TestNoSocketDomainSlipsThrough(t *testing.T) {
	f, err := functionFilter()
	if err != nil {
		t.Fatal(err)
	}
	a := arches()
	for domain := range uint64(1024) {
		for _, kind := range []uint64{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET} {
			want := refuse
			switch domain {
			case unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK: // NETLINK_ROUTE is 0
				want = permit
			}
			if got := judge(t, f, uint32(a.ID), a.SyscallNames["socket"], domain, kind, 0); got != want {
				t.Errorf("socket(%d, %d) = %#x, want %#x", domain, kind, got, want)
			}
		}
	}
}

func TestFilterNames(t *testing.T) {
	seen := map[string]bool{}
	for _, list := range [][]string{allowed, refused, killed} {
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
