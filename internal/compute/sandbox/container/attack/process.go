package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

var processes = map[string]func(target) string{
	"who am i": func(target) string {
		return fmt.Sprintf("uid %d %d gid %d %d", os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid())
	},
	"capabilities":                 capabilities,
	"descriptors":                  descriptors,
	"see processes":                seeProcesses,
	"read the daemon's memory":     func(t target) string { return read(fmt.Sprintf("/proc/%d/mem", t.pid)) },
	"read the daemon's environ":    func(t target) string { return read(fmt.Sprintf("/proc/%d/environ", t.pid)) },
	"read a victim's environ":      func(t target) string { return read(fmt.Sprintf("/proc/%d/environ", t.victim)) },
	"read process 1's environ":     func(target) string { return read("/proc/1/environ") },
	"read process 1's memory":      func(target) string { return read("/proc/1/mem") },
	"read process 1's maps":        func(target) string { return read("/proc/1/maps") },
	"open process 1's descriptors": func(target) string { return list("/proc/1/fd") },
	"open process 1's namespaces":  func(target) string { return read("/proc/1/ns/user") },
	"run process 1's program":      func(target) string { return read("/proc/1/exe") },
	"kill process 1":               func(target) string { return outcome(unix.Kill(1, unix.SIGKILL)) },
	"kill the daemon":              func(t target) string { return outcome(unix.Kill(t.pid, unix.SIGKILL)) },
	"kill a victim":                func(t target) string { return outcome(unix.Kill(t.victim, unix.SIGKILL)) },
	"trace myself":                 func(target) string { return try(unix.SYS_PTRACE, unix.PTRACE_TRACEME) },
	"trace process 1":              func(target) string { return try(unix.SYS_PTRACE, unix.PTRACE_ATTACH, 1) },
	"trace the daemon":             func(t target) string { return try(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(t.pid)) },
	"read memory of process 1":     func(target) string { return try(unix.SYS_PROCESS_VM_READV, 1) },
	"write memory of the daemon":   func(t target) string { return try(unix.SYS_PROCESS_VM_WRITEV, uintptr(t.pid)) },
	"steal a descriptor":           func(target) string { return try(unix.SYS_PIDFD_GETFD, 0, 0, 0) },
	"compare processes":            func(target) string { return try(unix.SYS_KCMP, 1, 1, 0, 0, 0) },
	"lower the oom score":          func(target) string { return write("/proc/self/oom_score_adj", "-1000") },
	"raise the priority":           func(target) string { return outcome(unix.Setpriority(unix.PRIO_PROCESS, 0, -20)) },
	"run in real time":             realTime,
	"raise the open files":         func(target) string { return raise(unix.RLIMIT_NOFILE) },
	"raise the locked memory":      func(target) string { return raise(unix.RLIMIT_MEMLOCK) },
	"raise the core size":          func(target) string { return raise(unix.RLIMIT_CORE) },
	"insert terminal input":        func(target) string { return try(unix.SYS_IOCTL, 0, unix.TIOCSTI, 0) },
}

// capabilities reads what the kernel says about this process.
func capabilities(target) string {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return outcome(err)
	}
	var found []string
	for _, line := range strings.Split(string(b), "\n") {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.HasPrefix(name, "Cap") && strings.Trim(value, "0") != "":
			found = append(found, name+"="+value)
		case name == "NoNewPrivs" || name == "Seccomp" || name == "Groups":
			found = append(found, name+"="+value)
		}
	}
	return strings.Join(found, " ")
}

// descriptors lists what was inherited: the parent's output pipe stands at 1 and 2.
func descriptors(target) string {
	var open []string
	for fd := range 1024 {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			open = append(open, strconv.Itoa(fd))
		}
	}
	return strings.Join(open, " ")
}

// seeProcesses says whether any process is visible that this attack did not start: its parent is the main process.
func seeProcesses(target) string {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err.Error()
	}
	own := map[string]bool{strconv.Itoa(os.Getpid()): true, strconv.Itoa(os.Getppid()): true}
	var others []string
	for _, d := range dirs {
		if !own[filepath.Base(d)] {
			others = append(others, filepath.Base(d))
		}
	}
	return fmt.Sprintf("others: %v", others)
}

func realTime(target) string {
	param := struct{ priority int32 }{1}
	return try(unix.SYS_SCHED_SETSCHEDULER, 0, 1, uintptr(unsafe.Pointer(&param)))
}

func raise(resource int) string {
	var r unix.Rlimit
	if err := unix.Getrlimit(resource, &r); err != nil {
		return outcome(err)
	}
	r.Max++
	return outcome(unix.Prlimit(0, resource, &r, nil))
}

var network = map[string]func(target) string{
	"connect to the host's loopback": func(t target) string { return dial("tcp", t.tcp) },
	"connect to the daemon's socket": func(t target) string { return dial("unix", "@"+t.abstract) },
	"connect to the internet":        func(target) string { return dial("tcp", "192.0.2.1:80") },
	"connect over IPv6":              func(target) string { return dial("tcp", "[2001:db8::1]:80") },
	"see interfaces":                 interfaces,
	"open a raw socket":              func(target) string { return socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP) },
	"open a ping socket":             func(target) string { return socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP) },
	"open an SCTP socket":            func(target) string { return socket(unix.AF_INET, unix.SOCK_SEQPACKET, unix.IPPROTO_SCTP) },
	"open a DCCP socket":             func(target) string { return socket(unix.AF_INET, unix.SOCK_DCCP, 0) },
	"open an MPTCP socket":           func(target) string { return socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP) },
	"open a UDP-Lite socket":         func(target) string { return socket(unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE) },
	"pair TIPC sockets":              func(target) string { return pair(unix.AF_TIPC) },
	"open a packet socket":           func(target) string { return socket(unix.AF_PACKET, unix.SOCK_RAW, 0x300) },
	"open a vsock socket":            func(target) string { return socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0) },
	"open an audit socket":           func(target) string { return socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT) },
	"open a netfilter socket":        func(target) string { return socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER) },
	"open a crypto socket":           func(target) string { return socket(unix.AF_ALG, unix.SOCK_SEQPACKET, 0) },
	"open a bluetooth socket":        func(target) string { return socket(unix.AF_BLUETOOTH, unix.SOCK_STREAM, 0) },
	"open an XDP socket":             func(target) string { return socket(unix.AF_XDP, unix.SOCK_RAW, 0) },
	"take an interface down":         interfaceDown,
	"add a route":                    addInterface,
}

func dial(kind, address string) string {
	c, err := net.DialTimeout(kind, address, 2*time.Second)
	if err != nil {
		return outcome(err)
	}
	_ = c.Close()
	return "connected"
}

func interfaces(target) string {
	list, err := net.Interfaces()
	if err != nil {
		return outcome(err)
	}
	var names []string
	for _, i := range list {
		names = append(names, i.Name)
	}
	return strings.Join(names, " ")
}

func socket(domain, kind, protocol int) string {
	_, err := unix.Socket(domain, kind, protocol)
	return outcome(err)
}

func pair(domain int) string {
	_, err := unix.Socketpair(domain, unix.SOCK_SEQPACKET, 0)
	return outcome(err)
}

func interfaceDown(target) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return outcome(err)
	}
	ifreq, err := unix.NewIfreq("eth0")
	if err != nil {
		return outcome(err)
	}
	ifreq.SetUint16(0)
	return outcome(unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifreq))
}

// addInterface asks over rtnetlink for a new interface.
func addInterface(target) string {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	if err != nil {
		return outcome(err)
	}
	message := make([]byte, 32) // struct nlmsghdr and struct ifinfomsg
	message[0], message[4], message[6] = 32, unix.RTM_NEWLINK, unix.NLM_F_REQUEST|unix.NLM_F_ACK
	message[7] = unix.NLM_F_CREATE >> 8
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return outcome(err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil || n < 20 {
		return outcome(err)
	}
	return outcome(unix.Errno(-*(*int32)(unsafe.Pointer(&answer[16]))))
}
