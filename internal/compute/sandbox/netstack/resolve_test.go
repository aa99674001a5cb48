package netstack

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

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
