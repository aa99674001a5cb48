package invoke

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"artesian/internal/faas"
)

func TestFollow(t *testing.T) {
	const root = "Root=1-5759e988-bd862e3fe1be46a994272793"
	made := `Root=1-655bd940-[0-9a-f]{24};Parent=[0-9a-f]{16}`
	for _, c := range []struct{ header, tracing, want string }{
		{"", "PassThrough", made + ";Sampled=0;Lineage=1:67770a3b:0"},
		{"", "Active", made + ";Sampled=1;Lineage=1:67770a3b:0"},
		{root, "Active", root + ";Sampled=1;Lineage=1:67770a3b:0"},
		{root + ";Sampled=?", "PassThrough", root + ";Sampled=0;Lineage=1:67770a3b:0"},
		{root + ";Parent=53995c3f42cd8ad8;Sampled=0", "Active", root + ";Parent=53995c3f42cd8ad8;Sampled=0;Lineage=1:67770a3b:0"},
		{"Sampled=1;" + root + ";Self=x", "PassThrough", root + ";Self=x;Sampled=1;Lineage=1:67770a3b:0"},
		{root + ";Lineage=7:67770a3b:2|00000000:3", "PassThrough", root + ";Sampled=0;Lineage=8:67770a3b:3\\|00000000:3"},
		{root + ";Lineage=7:67770a3b:-2|00000000:3", "PassThrough", root + ";Sampled=0;Lineage=1:67770a3b:0"},
	} {
		v := &faas.Version{ID: faas.VersionID{FunctionID: faas.FunctionID{Scope: faas.Scope{Account: "000000000000", Region: "us-east-1"}, Name: "f"}}, Tracing: c.tracing}
		got, _ := follow(c.header, v, time.Unix(0x655bd940, 0))
		if !regexp.MustCompile("^" + c.want + "$").MatchString(got) {
			t.Errorf("%q, %s:\ngot  %s\nwant %s", c.header, c.tracing, got, c.want)
		}
	}
}

// TestLoopIsSeen follows a call through two functions that call each other, and through more functions than a lineage holds.
func TestLoopIsSeen(t *testing.T) {
	names := []string{"a", "b"}
	header, rounds := "", 0
	for i := range 2 * maxRounds {
		header, rounds = follow(header, &faas.Version{ID: faas.VersionID{FunctionID: faas.FunctionID{Name: names[i%2]}}}, time.Now())
		if rounds != i/2 {
			t.Fatalf("call %d: %d rounds in %s", i, rounds, header)
		}
	}
	for i := range 100 {
		header, _ = follow(header, &faas.Version{ID: faas.VersionID{FunctionID: faas.FunctionID{Name: strings.Repeat("x", i)}}}, time.Now())
	}
	if len(header) > 512 {
		t.Errorf("the header has grown to %d bytes", len(header))
	}
}

func FuzzFollow(f *testing.F) {
	f.Add("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=25:a87bd80c:1|68fd508a:5|c512fbe3:2")
	f.Fuzz(func(t *testing.T, header string) {
		v := &faas.Version{ID: faas.VersionID{FunctionID: faas.FunctionID{Name: "f"}}}
		one, n := follow(header, v, time.Now())
		if two, m := follow(one, v, time.Now()); m != n+1 || strings.Count(";"+two, ";Lineage=") != 1 {
			t.Errorf("%q: %q after %d rounds, then %q after %d", header, one, n, two, m)
		}
	})
}
