package app

import (
	"strings"
	"testing"
)

func TestHostsThatCanMatch(t *testing.T) {
	for _, h := range []string{"a.example", "A-1.Example.org", "localhost", "my_host", "10.1.2.3", "::1", "fd00::1", "xn--bcher-kva.example"} {
		if err := checkHost(h); err != nil {
			t.Errorf("%s: %v", h, err)
		}
	}
}

// FuzzConfig: what is decoded is one value and nothing more, and hosts that pass have no port, scheme or path.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{`{"hosts":["a.example"]}`, `{"memory_mb":500} x`, `{"hosts":["a:1"]}`, `null`, ``, `{}` + "\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := DefaultConfig("")
		if decodeOnly(b, &c) != nil {
			return
		}
		if again := DefaultConfig(""); decodeOnly(append(b, "{}"...), &again) == nil {
			t.Errorf("%q may be followed by another", b)
		}
		for _, h := range c.Hosts {
			if checkHost(h) == nil && strings.ContainsAny(h, "/[]@? ") {
				t.Errorf("%q passed", h)
			}
		}
	})
}
