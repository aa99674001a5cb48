package netstack

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func TestNameservers(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                  {"127.0.0.1:53"},
		"search a\nnameserver 1.2.3.4\n":    {"1.2.3.4:53"},
		"nameserver\t::1 # x\nnameserver x": {"[::1]:53"},
		"#nameserver 1.2.3.4":               {"127.0.0.1:53"},
		"nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4\n": {"1.1.1.1:53", "1.1.1.2:53", "1.1.1.3:53"},
	} {
		if got := nameservers(text); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func FuzzNameservers(f *testing.F) {
	f.Add("nameserver 1.2.3.4\n")
	f.Fuzz(func(t *testing.T, text string) {
		if n := len(nameservers(text)); n < 1 || n > maxResolvers {
			t.Errorf("%d resolvers", n)
		}
	})
}

// TestResolversFollow reads the file anew once it has changed, and keeps what it knew while there is none.
func TestResolversFollow(t *testing.T) {
	r := resolvers{file: filepath.Join(t.TempDir(), "resolv.conf")}
	for _, text := range []string{"nameserver 1.1.1.1\n", "nameserver 10.10.10.10\n"} {
		if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := r.list(); !slices.Equal(got, nameservers(text)) {
			t.Errorf("%v after %q", got, text)
		}
	}
	if err := os.Remove(r.file); err != nil {
		t.Fatal(err)
	}
	if got := r.list(); !slices.Equal(got, []string{"10.10.10.10:53"}) {
		t.Errorf("%v without a file", got)
	}
}

// failing is a listener whose first Accept fails as when this process has no descriptors left.
type failing struct {
	net.Listener
	failed bool
}

func (f *failing) Accept() (net.Conn, error) {
	if !f.failed {
		f.failed = true
		return nil, errors.New("accept: too many open files")
	}
	return f.Listener.Accept()
}

// TestAskingBesideOthers: when others have all places, a sandbox still gets answers; over TCP also after an Accept that failed.
func TestAskingBesideOthers(t *testing.T) {
	listen := func() (net.PacketConn, net.Listener) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c, l
	}
	n, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	resolver, resolverTCP := listen()
	n.resolvers = &resolvers{file: filepath.Join(t.TempDir(), "none"), known: []string{resolver.LocalAddr().String()}, slots: make(chan struct{})} // none is free
	ends := n.ServeNames(resolver, resolverTCP, false)                                                                                             // every name is none there
	defer ends.Close()
	datagrams, streams := listen()
	names := n.ServeNames(datagrams, &failing{Listener: streams}, true)
	defer names.Close()
	q := ask(t, "example.com.", dnsmessage.TypeA)
	want, _ := ends.answer(q)
	for _, protocol := range []string{"udp", "tcp"} {
		c, err := net.Dial(protocol, datagrams.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 512)
		if protocol == "tcp" {
			err = writeFramed(c, q)
			if err == nil {
				answer, err = readFramed(c, 512)
			}
		} else if _, err = c.Write(q); err == nil {
			var size int
			size, err = c.Read(answer)
			answer = answer[:size]
		}
		if err != nil || !bytes.Equal(answer, want) {
			t.Errorf("%s: %x, %v; want %x", protocol, answer, err, want)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	q := ask(f, "example.com.", dnsmessage.TypeA)
	f.Add(q)
	parsed, _ := parse(q)
	f.Add(parsed.reply(dnsmessage.RCodeSuccess))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if answers(answer, q) && (answer[0] != q[0] || answer[1] != q[1] || answer[2]&0x80 == 0) {
			t.Errorf("%x answers %x", answer, q)
		}
	})
}
