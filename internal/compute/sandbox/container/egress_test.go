package container

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/netstack"
	"artesian/internal/compute/sandbox/sandboxtest"
)

// egressEnv names a ready-made test program, for machines without a Go tool chain.
const egressEnv = "ARTESIAN_TEST_EGRESS"

var egressCount atomic.Int32

// connected makes a Maker whose sandboxes reach what a test's outside has, and more if wanted.
func connected(t testing.TB, c netstack.Config) *Maker {
	t.Helper()
	c.Allow = append(c.Allow, sandboxtest.OutsideNet4, sandboxtest.OutsideNet6)
	c.Logger = slog.New(slog.DiscardHandler)
	n, err := netstack.New(c)
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(Config{Dir: t.TempDir(), Net: n, Logger: c.Logger})
	if err != nil {
		missing(t, err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close maker: %v", err)
		}
	})
	if m.offline != nil {
		missing(t, m.offline)
	}
	return m
}

// start runs the egress program with something to do.
func start(t testing.TB, m *Maker, internet bool, do ...string) sandbox.Sandbox {
	t.Helper()
	program := sandboxtest.Build(t, "artesian/internal/compute/sandbox/container/egress", egressEnv)
	spec := sandboxtest.Spec(fmt.Sprintf("egress-%d", egressCount.Add(1)), program, do...)
	spec.Internet, spec.Files = internet, 4096
	spec.Listen = []string{"127.0.0.1:4566"}
	s, err := m.Start(context.Background(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// meets runs the egress program and returns what each thing to do met.
func meets(t testing.TB, m *Maker, internet bool, do ...string) map[string]string {
	t.Helper()
	s := start(t, m, internet, do...)
	out := sandboxtest.ReadAll(t, s)
	sandboxtest.Await(t, s)
	if s.Exit() != (sandbox.Exit{}) {
		t.Fatalf("it ended with %+v: %s", s.Exit(), out)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	met := map[string]string{}
	for line := range strings.Lines(out) {
		name, result, _ := strings.Cut(strings.TrimSpace(line), "\t")
		met[name] = result
	}
	return met
}

func expect(t testing.TB, met map[string]string, what, want string) {
	t.Helper()
	if got := met[what]; got != want {
		t.Errorf("%s met %q, want %q", what, got, want)
	}
}

// greet serves a word to everybody who connects.
func greet(l net.Listener, word string) {
	sandboxtest.Serve(l, func(c net.Conn) { _, _ = io.WriteString(c, word) })
}

// reflect sends datagrams back.
func reflect(c net.PacketConn) {
	go func() {
		b := make([]byte, 65536)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(b[:n], from)
		}
	}()
}

func TestInternet(t *testing.T) {
	for _, wire := range []bool{false, true} {
		t.Run(map[bool]string{false: "TUN", true: "Ethernet"}[wire], func(t *testing.T) { internet(t, wire) })
	}
}

// wired has a Maker use pairs of Ethernet devices, as where it may not make TUN devices.
func wired(t testing.TB, m *Maker) {
	t.Helper()
	m.layout.wire = true
	if err := m.probeWire(); err != nil {
		t.Fatal(err)
	}
}

func internet(t *testing.T, wire bool) {
	m := connected(t, netstack.Config{})
	if wire {
		wired(t, m)
	}
	o := sandboxtest.NewOutside(t)
	greet(o.Listen(sandboxtest.Addr4+":80"), "hello")
	greet(o.Listen("["+sandboxtest.Addr6+"]:80"), "hello six")
	sandboxtest.Serve(o.Listen(sandboxtest.Addr4+":7"), func(c net.Conn) { _, _ = io.Copy(c, c) })
	sandboxtest.Serve(o.Listen(sandboxtest.Addr4+":9"), func(c net.Conn) {
		_, _ = io.Copy(io.Discard, c)
		_, _ = io.WriteString(c, "after your end")
	})
	sandboxtest.Serve(o.Listen(sandboxtest.Addr4+":11"), func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		_ = c.(*net.TCPConn).SetLinger(0)
	})
	reflect(o.ListenPacket(sandboxtest.Addr4 + ":7"))
	reflect(o.ListenPacket("[" + sandboxtest.Addr6 + "]:7"))
	four, six := sandboxtest.Addr4, "["+sandboxtest.Addr6+"]"
	want := map[string]string{
		"interfaces":                  "lo[127.0.0.1/8 ::1/128] eth0[192.0.0.2/29 fdfa:6172:7465::2/64]",
		"tcp " + four + ":80":         "hello",
		"tcp " + six + ":80":          "hello six",
		"tcp " + four + ":81":         "ECONNREFUSED",
		"echo " + four + ":11 1":      "ECONNRESET",
		"halfclose " + four + ":9":    "after your end",
		"echo " + four + ":7 9000000": "9000000 bytes",
		"udp " + four + ":7":          "4 bytes",
		"udp " + four + ":7 0":        "0 bytes",
		"udp " + four + ":7 65507":    "65507 bytes",
		"udp " + six + ":7 9000":      "9000 bytes",
		"udp " + four + ":8":          "ECONNREFUSED",
	}
	var do []string
	for what := range want {
		do = append(do, what)
	}
	met := meets(t, m, true, do...)
	for what, w := range want {
		expect(t, met, what, w)
	}
}

// TestNoInternet is a sandbox that has the platform only.
func TestNoInternet(t *testing.T) {
	m := connected(t, netstack.Config{Hosts: []string{"platform.example"}})
	o := sandboxtest.NewOutside(t)
	greet(o.Listen(sandboxtest.Addr4+":80"), "hello")
	want := map[string]string{
		"interfaces":                          "lo[127.0.0.1/8 ::1/128]",
		"tcp " + sandboxtest.Addr4 + ":80":    "ENETUNREACH",
		"udp " + sandboxtest.Addr4 + ":80":    "ENETUNREACH",
		"tcp [" + sandboxtest.Addr6 + "]:80":  "ENETUNREACH",
		"resolve x.lambda-url.eu-1.localhost": "127.0.0.1",
		"resolve platform.example":            "127.0.0.1",
		"resolve www.example.com":             "no such name",
	}
	var do []string
	for what := range want {
		do = append(do, what)
	}
	met := meets(t, m, false, do...)
	for what, w := range want {
		if strings.Contains(what, "["+sandboxtest.Addr6) && met[what] == "EADDRNOTAVAIL" {
			continue // another kernel's word for it
		}
		expect(t, met, what, w)
	}
}
