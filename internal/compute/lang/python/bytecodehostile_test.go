package python_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"artesian/internal/compute/lang/python"
)

// TestBytecodeOfAHostilePackage: links, names that are no text and sources that the compiler gives up on do not keep the rest from
// being compiled.
func TestBytecodeOfAHostilePackage(t *testing.T) {
	code := t.TempDir()
	writeAll(t, code, map[string]string{"app.py": "def handler(e, c): return __cached__\n",
		"deep.py":  "x = " + strings.Repeat("(", 150000) + strings.Repeat(")", 150000) + "\n",
		"minus.py": "x = " + strings.Repeat("-", 500000) + "1\n",
		"nul.py":   "x = '\x00'\n"})
	for name, to := range map[string]string{"passwd.py": "/etc/passwd", "loop.py": "loop.py", "up": ".."} {
		if err := os.Symlink(to, filepath.Join(code, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(code, "b\xff\xfe.py"), []byte("x = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := newCompiling(t, filepath.Join(t.TempDir(), "bytecode"))
	c.runtime.(*python.Runtime).Publish(code, "")
	c.Wait()
	if got, want := c.run(t, code, ""), `"/var/lang/compiled/task/app.cpython-311.pyc"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
