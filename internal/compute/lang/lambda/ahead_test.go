package lambda

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"artesian/internal/faas"
)

func TestUnsuited(t *testing.T) {
	plain, own, nested := t.TempDir(), t.TempDir(), t.TempDir()
	for _, path := range []string{filepath.Join(own, "libx.so.1"), filepath.Join(nested, "lib", "liby.so"), filepath.Join(plain, "lib", "so.txt")} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mine := func(name string) bool { return name == "START" }
	for _, c := range []struct {
		env          map[string]string
		code, layers string
		want         string
	}{
		{nil, plain, "", ""},
		{map[string]string{"TZ": "Europe/Berlin", "PATH": "/bin", "A": "1"}, plain, plain, ""},
		{map[string]string{wrapperName: "/opt/wrap"}, plain, "", wrapperName + " has another program start the runtime"},
		{map[string]string{"START": "", "LD_PRELOAD": "x", "LC_ALL": "C"}, plain, "", "the runtime reads LC_ALL, LD_PRELOAD, START only when it is executed"},
		{nil, own, "", "such as libx.so.1,"},
		{nil, nested, plain, "such as lib/liby.so,"},
		{nil, plain, nested, "such as lib/liby.so,"},
		{nil, plain, own, ""}, // /opt itself is not on the path
	} {
		got := Unsuited(&faas.Version{Env: c.env}, c.code, c.layers, mine)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%v %s: %q, want %q", c.env, c.code, got, c.want)
		}
	}
	if why := Unsuited(&faas.Version{Fork: faas.Off}, plain, "", mine); why != "its tag artesian:fork is off" {
		t.Error(why)
	}
}
