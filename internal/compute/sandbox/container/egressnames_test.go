package container

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"artesian/internal/compute/sandbox/netstack"
	"artesian/internal/compute/sandbox/sandboxtest"
)

// zone is a test's name server: what it answers for each name, and how often each was asked.
type zone struct {
	addresses map[string][]string // each question gets the next, or all of them if the name begins with "all"
	asked     atomic.Int64
}

// answer gives addresses over UDP only if there are few.
func (z *zone) answer(raw []byte, udp bool) []byte {
	var p dnsmessage.Parser
	head, err := p.Start(raw)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: head.ID, Response: true, RecursionAvailable: true}, Questions: []dnsmessage.Question{q}}
	list, known := z.addresses[name]
	switch {
	case !known:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type != dnsmessage.TypeA:
	case udp && len(list) > 20:
		m.Truncated = true
	default:
		if !strings.HasPrefix(name, "all") {
			n := int(z.asked.Add(1)-1) % len(list)
			list = list[n : n+1]
		}
		for _, a := range list {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}, Body: &dnsmessage.AResource{A: [4]byte(net.ParseIP(a).To4())}})
		}
	}
	b, _ := m.Pack()
	return b
}

func (z *zone) serve(o *sandboxtest.Outside) {
	c := o.ListenPacket(sandboxtest.Addr4 + ":53")
	go func() {
		b := make([]byte, 2048)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(z.answer(b[:n], true), from)
		}
	}()
	sandboxtest.Serve(o.Listen(sandboxtest.Addr4+":53"), func(c net.Conn) {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		reply := z.answer(b, false)
		_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
	})
}

// resolvConf writes a configuration that names servers.
func resolvConf(t *testing.T, servers ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver "+strings.Join(servers, "\nnameserver ")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestNames asks this machine's resolvers, the first of which is not there, over UDP and TCP; names that lead to where a
// function may not go lead nowhere, also when they led elsewhere at first.
func TestNames(t *testing.T) {
	m := connected(t, netstack.Config{Hosts: []string{"platform.example"}, Resolvers: resolvConf(t, "127.0.0.77", sandboxtest.Addr4)})
	o := sandboxtest.NewOutside(t)
	host, err := net.Listen("tcp", sandboxtest.HostAddr4+":8080")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = host.Close() })
	greet(host, "the host's own")
	greet(o.Listen(sandboxtest.Addr4+":8080"), "hello")
	many := []string{}
	for i := range 200 {
		many = append(many, fmt.Sprintf("198.18.0.%d", i))
	}
	z := &zone{addresses: map[string][]string{
		"www.example.org": {sandboxtest.Addr4}, "all.example.org": many, "own.example.org": {sandboxtest.HostAddr4},
		"meta.example.org": {"169.254.169.254"}, "loop.example.org": {"127.0.0.1"},
		"platform.example": {sandboxtest.Addr4},
	}}
	z.serve(o)
	met := meets(t, m, true, "resolve www.example.org", "tcp www.example.org:8080", "resolve all.example.org", "resolve gone.example.org",
		"resolve platform.example", "resolve a.b.localhost", "tcp own.example.org:8080", "tcp meta.example.org:80", "tcp loop.example.org:8080", "tcp 0x7f.1:8080")
	expect(t, met, "resolve www.example.org", sandboxtest.Addr4)
	expect(t, met, "tcp www.example.org:8080", "hello")
	if got := len(strings.Fields(met["resolve all.example.org"])); got != len(many) {
		t.Errorf("%d of %d addresses: %s", got, len(many), met["resolve all.example.org"])
	}
	expect(t, met, "resolve gone.example.org", "no such name")
	expect(t, met, "resolve platform.example", "127.0.0.1")
	expect(t, met, "resolve a.b.localhost", "127.0.0.1")
	expect(t, met, "tcp own.example.org:8080", "ECONNREFUSED")
	expect(t, met, "tcp meta.example.org:80", "EHOSTUNREACH")
	expect(t, met, "tcp loop.example.org:8080", "ECONNREFUSED")
	expect(t, met, "tcp 0x7f.1:8080", "no such name")
}

// TestRebinding connects to a name whose address changes between two questions to one of this machine's own.
func TestRebinding(t *testing.T) {
	m := connected(t, netstack.Config{Resolvers: resolvConf(t, sandboxtest.Addr4)})
	o := sandboxtest.NewOutside(t)
	host, err := net.Listen("tcp", sandboxtest.HostAddr4+":8080")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = host.Close() })
	greet(host, "the host's own")
	greet(o.Listen(sandboxtest.Addr4+":8080"), "hello")
	z := &zone{addresses: map[string][]string{"rebind.example.org": {sandboxtest.Addr4, sandboxtest.HostAddr4}}}
	z.serve(o)
	s := start(t, m, true, "tcp rebind.example.org:8080", "tcp rebind.example.org:8080", "tcp rebind.example.org:8080")
	out := sandboxtest.ReadAll(t, s)
	if want := "hello ECONNREFUSED hello"; strings.Join(strings.Fields(strings.ReplaceAll(out, "tcp rebind.example.org:8080", "")), " ") != want {
		t.Errorf("met %q, want %s", out, want)
	}
}
