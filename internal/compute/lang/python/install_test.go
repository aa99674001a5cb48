package python

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestDamageIsMended: whatever a power loss made of an installed file, the next start has it whole.
func TestDamageIsMended(t *testing.T) {
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here:", err)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	install := func() (folder string, content map[string]string) {
		folder, err := Install(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Compile(t.Context(), path, folder, "tag"); err != nil {
			t.Fatal(err)
		}
		content = make(map[string]string)
		for _, pattern := range []string{"*.*", cacheDir + "/*"} {
			files, _ := filepath.Glob(filepath.Join(folder, pattern))
			for _, f := range files {
				text, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				content[f] = string(text)
			}
		}
		return folder, content
	}
	folder, want := install()
	if len(want) < 6 || want[filepath.Join(folder, pycName(bootstrapName, "tag"))] == "" {
		t.Fatal("too few files:", len(want))
	}
	for file, text := range want {
		for name, damage := range map[string]func() error{
			"cut": func() error { return os.Truncate(file, int64(len(text)/2)) }, "empty": func() error { return os.Truncate(file, 0) },
			"zeros": func() error { return os.WriteFile(file, make([]byte, len(text)), 0o644) }, "gone": func() error { return os.Remove(file) },
		} {
			if err := damage(); err != nil {
				t.Fatal(err)
			}
			if _, got := install(); len(got) != len(want) || len(got[file]) != len(text) {
				t.Errorf("%s, %s: %d files, %d bytes of %d", file, name, len(got), len(got[file]), len(text))
			}
		}
	}
}
