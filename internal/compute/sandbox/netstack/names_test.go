package netstack

import (
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func ask(t testing.TB, name string, kind dnsmessage.Type) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// answer is what a question gets at once.
func (s *Names) answer(raw []byte) ([]byte, bool) {
	q, ok := parse(raw)
	if !ok {
		return nil, false
	}
	return s.own(q)
}

func offline(t testing.TB) *Names {
	t.Helper()
	n, err := New(Config{Hosts: []string{"platform.example"}})
	if err != nil {
		t.Fatal(err)
	}
	return &Names{net: n}
}

func TestAnswer(t *testing.T) {
	off := offline(t)
	for _, c := range []struct {
		name    string
		kind    dnsmessage.Type
		code    dnsmessage.RCode
		answers int
	}{
		{"localhost.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, 1},
		{"abc.lambda-url.us-east-1.LOCALHOST.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, 1},
		{"abc.localhost.", dnsmessage.TypeAAAA, dnsmessage.RCodeSuccess, 0},
		{"example.com.", dnsmessage.TypeA, dnsmessage.RCodeNameError, 0},
		{"notlocalhost.", dnsmessage.TypeA, dnsmessage.RCodeNameError, 0},
		{"Platform.Example.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, 1},
		{"below.platform.example.", dnsmessage.TypeA, dnsmessage.RCodeNameError, 0},
	} {
		var m dnsmessage.Message
		reply, _ := off.answer(ask(t, c.name, c.kind))
		if err := m.Unpack(reply); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if m.ID != 7 || !m.Response || m.RCode != c.code || len(m.Answers) != c.answers {
			t.Errorf("%s %v: %+v", c.name, c.kind, m)
		}
		for _, a := range m.Answers {
			if got, ok := a.Body.(*dnsmessage.AResource); !ok || got.A != [4]byte{127, 0, 0, 1} {
				t.Errorf("%s: %v", c.name, a)
			}
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(ask(f, "a.localhost.", dnsmessage.TypeA))
	f.Add(ask(f, "example.com.", dnsmessage.TypeAAAA))
	f.Add([]byte{0, 7, 0x81, 0, 0, 1})
	off := offline(f)
	f.Fuzz(func(t *testing.T, question []byte) {
		reply, _ := off.answer(question)
		if reply == nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(reply); err != nil || !m.Response {
			t.Fatalf("%x: reply %x: %v", question, reply, err)
		}
	})
}
