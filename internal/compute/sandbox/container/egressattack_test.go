package container

import (
	"io"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/sandbox/netstack"
	"artesian/internal/compute/sandbox/sandboxtest"
)

// TestForbidden tries every way to where a function may not go, each with what it must meet.
func TestForbidden(t *testing.T) {
	m := connected(t, netstack.Config{})
	o := sandboxtest.NewOutside(t)
	everywhere, err := net.Listen("tcp", ":0") // all addresses of this machine, as a daemon that listens on 0.0.0.0
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = everywhere.Close() })
	greet(everywhere, "the host's own")
	port := ":" + strconv.Itoa(everywhere.Addr().(*net.TCPAddr).Port)
	spoofed := o.ListenPacket(sandboxtest.Addr4 + ":99")
	reflect(o.ListenPacket("[" + sandboxtest.Addr6 + "]:7"))
	start(t, m, true, "wait") // a neighbour with the same addresses inside

	want := map[string]string{
		"tcp 127.0.0.1" + port:                            "ECONNREFUSED", // its own loopback
		"tcp 0.0.0.0" + port:                              "ECONNREFUSED",
		"tcp [::1]" + port:                                "ECONNREFUSED",
		"tcp [::]" + port:                                 "ECONNREFUSED",
		"tcp [::ffff:127.0.0.1]" + port:                   "ECONNREFUSED",
		"tcp [::ffff:169.254.169.254]" + port:             "EHOSTUNREACH",
		"tcp 169.254.169.254:80":                          "EHOSTUNREACH",
		"tcp [fd00:ec2::254]:80":                          "EACCES",
		"tcp 10.0.0.1:80":                                 "EHOSTUNREACH",
		"tcp 172.16.0.1:80":                               "EHOSTUNREACH",
		"tcp 192.168.0.1:80":                              "EHOSTUNREACH",
		"tcp 100.64.0.1:80":                               "EHOSTUNREACH",
		"tcp 198.18.78.1:80":                              "EHOSTUNREACH", // beside what is opened
		"tcp 240.0.0.1:80":                                "EHOSTUNREACH",
		"tcp 192.0.0.1" + port:                            "EHOSTUNREACH", // the gateway
		"tcp 192.0.0.3" + port:                            "EHOSTUNREACH",
		"tcp 192.0.0.2" + port:                            "ECONNREFUSED", // itself, not the neighbour
		"tcp [fe80::1]:80":                                "EINVAL",
		"tcp [64:ff9b::7f00:1]" + port:                    "EACCES",
		"tcp [64:ff9b::a9fe:a9fe]:80":                     "EACCES",
		"tcp [2002:7f00:1::1]" + port:                     "EACCES",
		"tcp [::7f00:1]" + port:                           "EACCES",
		"udp 169.254.169.254:53":                          "EHOSTUNREACH",
		"udp 10.0.0.1:53":                                 "EHOSTUNREACH",
		"tcp " + sandboxtest.HostAddr4 + port:             "ECONNREFUSED", // open, but for this machine's own address in it
		"tcp [" + sandboxtest.HostAddr6 + "]" + port:      "ECONNREFUSED",
		"bindto 198.18.77.9 " + sandboxtest.Addr4 + " 99": "ENETUNREACH",
		"fragments [" + sandboxtest.Addr6 + "]:7":         "timeout",
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range own {
		p, err := netip.ParsePrefix(a.String())
		if what := "tcp " + netip.AddrPortFrom(p.Addr(), 0).String(); err == nil && !p.Addr().IsLinkLocalUnicast() {
			want[strings.TrimSuffix(what, ":0")+port] += "" // refused in one way or another
		}
	}
	var do []string
	for what := range want {
		do = append(do, what)
	}
	met := meets(t, m, true, do...)
	for what, w := range want {
		switch {
		case strings.Contains(met[what], "own") || met[what] == "":
			t.Errorf("%s met %q", what, met[what])
		case w != "":
			expect(t, met, what, w)
		}
	}
	if err := spoofed.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, from, err := spoofed.ReadFrom(make([]byte, 100)); err == nil {
		t.Errorf("a datagram of %d bytes from an address of the function's choice arrived from %v", n, from)
	}
}

// TestOpenedOwnAddress opens one address of this machine by its name.
func TestOpenedOwnAddress(t *testing.T) {
	own, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var address string
	for _, a := range own {
		p, err := netip.ParsePrefix(a.String())
		if _, refused := netstack.NewPolicy([]string{p.Addr().String()}); err == nil && p.Addr().Is4() && refused == nil {
			address = p.Addr().String()
		}
	}
	if address == "" {
		t.Skip("needs a private address of this machine")
	}
	m := connected(t, netstack.Config{Allow: []string{address}})
	t.Log(m.reportInternet().How)
	l, err := net.Listen("tcp", address+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	greet(l, "a service beside")
	what := "tcp " + l.Addr().String()
	expect(t, meets(t, m, true, what), what, "a service beside")
}

// TestForbiddenOnTheWire is the most of that where the uplink is an Ethernet device.
func TestForbiddenOnTheWire(t *testing.T) {
	m := connected(t, netstack.Config{})
	wired(t, m)
	for what, want := range meets(t, m, true, "tcp 169.254.169.254:80", "tcp 10.0.0.1:80", "tcp [fd00::1]:80", "tcp 192.0.0.1:80") {
		if want != "EHOSTUNREACH" && want != "EACCES" {
			t.Errorf("%s met %s", what, want)
		}
	}
}

// inUse is what this process's heap and stacks take.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// TestFlood has one sandbox do its worst while another works, and nothing of it is left afterwards.
func TestFlood(t *testing.T) {
	m := connected(t, netstack.Config{})
	o := sandboxtest.NewOutside(t)
	greet(o.Listen(sandboxtest.Addr4+":80"), "hello")
	sandboxtest.Serve(o.Listen(sandboxtest.Addr4+":81"), func(c net.Conn) { _, _ = io.Copy(c, zeros{}) }) // more than anybody reads
	reflect(o.ListenPacket(sandboxtest.Addr4 + ":7"))
	before, memory := runtime.NumGoroutine(), inUse()
	s := start(t, m, true, "hold "+sandboxtest.Addr4+":81 600", "datagrams "+sandboxtest.Addr4+":7 20000", "flood "+sandboxtest.Addr4+":80 10000", "wait")
	done := make(chan string)
	go func() {
		out := ""
		b := make([]byte, 4096)
		for !strings.Contains(out, "waiting") {
			n, err := s.Output().Read(b)
			out += string(b[:n])
			if err != nil {
				break
			}
		}
		done <- out
	}()
	most := 0
	var out string
	for out == "" {
		select {
		case out = <-done:
		case <-time.After(10 * time.Millisecond):
			most = max(most, runtime.NumGoroutine())
		}
	}
	if !strings.Contains(out, "512 open, then ECONNREFUSED") {
		t.Errorf("the sandbox held other than it may: %s", out)
	}
	// Of each connection outside: the test's server, the accepter, the relay, its other half.
	if limit := before + 6*700; most > limit {
		t.Errorf("%d goroutines, want at most %d", most, limit)
	}
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	if grown := inUse() - memory; grown > 128<<20 {
		t.Errorf("%d MB are in use for one sandbox, those of the test's servers among them", grown>>20)
	}
	program := sandboxtest.Build(t, "artesian/internal/compute/sandbox/container/egress", egressEnv)
	spec := sandboxtest.Spec("neighbour", program, "tcp "+sandboxtest.Addr4+":80")
	spec.Internet = true
	n, err := m.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if out := sandboxtest.ReadAll(t, n); !strings.HasSuffix(out, "hello\n") {
		t.Errorf("a neighbour met %q", out)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	usage, err := s.Usage()
	if err != nil || usage.Sent == 0 || usage.Received == 0 {
		t.Errorf("usage %+v, %v", usage, err)
	}
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("closing took %v", took)
	}
	for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before+20; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			b := make([]byte, 1<<20)
			t.Fatalf("%d goroutines are left of %d:\n%s", runtime.NumGoroutine(), before, b[:runtime.Stack(b, true)])
		}
	}
}
