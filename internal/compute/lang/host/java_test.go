package host

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"artesian/internal/compute/sandbox"
)

func TestJavaFacts(t *testing.T) {
	for version, want := range map[string][]int{"17.0.15": {17, 0, 15}, "25": {25, 0, 0}, "1.8.0_392": {8, 0, 392}, "26-ea": {26, 0, 0}, "11.0.2.1": {11, 0, 2}, "x": nil, "-1": nil, "": {0, 0, 0}} {
		f, err := javaFacts("Property settings:\n    java.home = /opt/a b\n    java.version = " + version + "\n    java.version.date = 2025\n\nopenjdk")
		if (err != nil) != (want == nil) {
			t.Errorf("%q: %v", version, err)
		} else if err == nil && (!slices.Equal(f.Version, want) || f.Prefix != "/opt/a b") {
			t.Errorf("%q: %+v", version, f)
		}
	}
	for want, f := range map[string]facts{"or newer is needed": {Version: []int{7, 0, 0}, Prefix: "/x"}, "its own place": {Version: []int{8, 0, 0}}, "is incomplete": {Version: []int{8, 0, 0}, Prefix: "/nowhere"}} {
		if err := checkJava(&f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

// FuzzJavaFacts: whatever a program prints, it is three numbers or an error.
func FuzzJavaFacts(f *testing.F) {
	f.Add("    java.home = /usr/lib/jvm/x\n    java.version = 1.8.0_392\n")
	f.Fuzz(func(t *testing.T, said string) {
		if got, err := javaFacts(said); err == nil && (len(got.Version) != 3 || slices.Min(got.Version) < 0) {
			t.Errorf("%q: %+v", said, got)
		}
	})
}

// TestOutside: of what an installation links to, the folders of Java's settings are shown, and nothing that isn't there.
func TestOutside(t *testing.T) {
	home, other := t.TempDir(), filepath.Join(t.TempDir(), "cacerts")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(home, "lib", "security"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"lib/security/cacerts": other, "lib/a": "security/cacerts", "lib/b": "/nowhere/x", "lib/c": home + "/lib"} {
		if err := os.Symlink(to, filepath.Join(home, link)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := outside(home)
	if err != nil || !slices.Equal(got, []sandbox.Mount{{Source: other, Target: other}}) {
		t.Errorf("%v %v", got, err)
	}
	if got := javaFolder.FindString("/etc/java-17-openjdk/security/x"); got != "/etc/java-17-openjdk" {
		t.Error(got)
	}
	if got := javaFolder.FindString("/etc/ssl/certs/java/cacerts"); got != "" {
		t.Error(got)
	}
}
