package python

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
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

// interpreter is a program in the place of one that every user may execute.
func interpreter(t *testing.T, script string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "artesian-ask-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "python")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAsked(t *testing.T) {
	t.Setenv("SECRET", "x")
	path := interpreter(t, `echo "$(id -u) $(id -G) $SECRET$HOME $(pwd) $(cat)"`)
	want := "65534 65534  / in"
	if os.Geteuid() != 0 {
		want = " / in"
	}
	if out, err := Ask(t.Context(), path, []byte("in"), ""); err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), want) {
		t.Errorf("%q %v", out, err)
	}
	if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := Ask(t.Context(), path, nil, ""); err != nil || len(out) == 0 {
		t.Error("where only its owner can execute it:", err)
	}
	if _, err := Ask(t.Context(), interpreter(t, "yes"), nil, ""); err == nil {
		t.Error("one that never stops talking")
	}
	if _, err := Ask(t.Context(), interpreter(t, "echo bad >&2; exit 3"), nil, ""); err == nil || !strings.Contains(err.Error(), "exit status 3: bad") {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if _, err := Ask(ctx, interpreter(t, "sleep 1000; true"), nil, ""); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 10*time.Second {
		t.Error("one that hangs:", err, time.Since(begun))
	}
}
