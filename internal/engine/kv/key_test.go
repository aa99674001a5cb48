package kv

import (
	"strings"
	"testing"

	"artesian/internal/faas"
)

func TestSubject(t *testing.T) {
	k := Key{Scope: faas.Scope{Account: "000000000000", Region: "us-east-1"}, Kind: "log group", Name: "/aws/λ *.>="}
	const want = "kv.000000000000.us-east-1.log=20group.=2Faws=2F=CE=BB=20=2A=2E=3E=3D"
	if got := k.subject(); got != want {
		t.Fatal(got)
	}
	if back, err := parseSubject(want); err != nil || back != k {
		t.Fatal(back, err)
	}
	for _, bad := range []string{"", "kv", "kv.a.b.c", "kv.a.b.c.d.e", "kx.a.b.c.d", "kv.a.b.c.", "kv.a.b.c.=", "kv.a.b.c.=4", "kv.a.b.c.=41",
		"kv.a.b.c.=2f", "kv.a.b.c. ", "kv.a.b.c.=FF", "kv.a.b.c.=GG", "kv.a.b.c." + strings.Repeat("n", 513)} {
		if got, err := parseSubject(bad); err == nil {
			t.Errorf("%q is taken for %v", bad, got)
		}
	}
}

func FuzzSubject(f *testing.F) {
	for _, s := range []string{"kv.1.us-east-1.function.hello", "kv.1.global.role.=2Fpath=2Fname", "kv.a.b.c.=", "kv..."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := parseSubject(s); err == nil && k.subject() != s {
			t.Fatalf("%q is taken for %v, which is %q", s, k, k.subject())
		}
		k := Key{Scope: faas.Scope{Account: "1", Region: "r"}, Kind: "k", Name: s}
		if k.check() != nil {
			return
		}
		if back, err := parseSubject(k.subject()); err != nil || back != k {
			t.Fatalf("%v came back as %v, %v", k, back, err)
		}
	})
}
