package sandboxtest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// Addresses of the network that a test makes beside this machine's: this machine's own in it, and the other side's. They
// are reserved, so a policy has to open them.
const (
	OutsideNet4, OutsideNet6 = "198.18.77.0/24", "fd5e:77::/64"
	HostAddr4, HostAddr6     = "198.18.77.1", "fd5e:77::1"
	Addr4, Addr6             = "198.18.77.2", "fd5e:77::2"
)

// Outside is a network namespace that this machine reaches over a pair of devices: a test's internet.
type Outside struct {
	t    testing.TB
	name string
	ns   int
}

var outsides atomic.Int32

// NewOutside makes one, for the time of the test. It skips where that cannot be.
func NewOutside(t testing.TB) *Outside {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network of its own")
	}
	for _, tool := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs the command %s", tool)
		}
	}
	o := &Outside{t: t, name: fmt.Sprintf("at%d-%d", os.Getpid()%100000, outsides.Add(1)), ns: newNamespace(t)}
	t.Cleanup(func() { _ = unix.Close(o.ns) })
	path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), o.ns)
	o.run("ip", "link", "add", o.name, "type", "veth", "peer", "name", "eth0", "netns", path)
	t.Cleanup(func() { _ = exec.Command("ip", "link", "delete", o.name).Run() }) // with the namespace, if not before
	for _, a := range []string{HostAddr4 + "/24", HostAddr6 + "/64"} {
		o.run("ip", "addr", "add", a, "dev", o.name, "nodad")
	}
	o.run("ip", "link", "set", o.name, "up")
	for _, c := range [][]string{
		{"addr", "add", Addr4 + "/24", "dev", "eth0"}, {"addr", "add", Addr6 + "/64", "dev", "eth0", "nodad"},
		{"link", "set", "eth0", "up"}, {"link", "set", "lo", "up"},
	} {
		o.run("nsenter", append([]string{"--net=" + path, "ip"}, c...)...)
	}
	return o
}

func newNamespace(t testing.TB) int {
	t.Helper()
	type result struct {
		fd  int
		err error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- result{-1, err}
			return
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		made <- result{fd, err}
	}()
	r := <-made
	if r.err != nil {
		t.Skipf("needs a network namespace: %v", r.err)
	}
	return r.fd
}

func (o *Outside) run(name string, args ...string) {
	o.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		o.t.Skipf("needs a network beside this machine's: %s %v: %v\n%s", name, args, err, out)
	}
}

// Do calls f on a thread that is in the namespace: what f opens belongs there.
func (o *Outside) Do(f func() error) {
	o.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(o.ns, unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	if err := <-done; err != nil {
		o.t.Fatal(err)
	}
}

// Listen opens a listener there, for the time of the test.
func (o *Outside) Listen(address string) net.Listener {
	o.t.Helper()
	var l net.Listener
	o.Do(func() (err error) { l, err = net.Listen("tcp", address); return err })
	o.t.Cleanup(func() { _ = l.Close() })
	return l
}

// ListenPacket opens a UDP socket there, for the time of the test.
func (o *Outside) ListenPacket(address string) net.PacketConn {
	o.t.Helper()
	var c net.PacketConn
	o.Do(func() (err error) { c, err = net.ListenPacket("udp", address); return err })
	o.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Serve answers every connection of a listener with f.
func Serve(l net.Listener, f func(net.Conn)) {
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				f(c)
			}()
		}
	}()
}
