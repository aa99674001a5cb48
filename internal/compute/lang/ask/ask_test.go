package ask

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// interpreter is a program in the place of one that every user may execute.
func interpreter(t *testing.T, script string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "artesian-ask-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "interpreter")
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
	if out, err := Run(t.Context(), path, []byte("in")); err != nil || !strings.HasSuffix(strings.TrimSpace(string(out.Stdout)), want) {
		t.Errorf("%q %v", out.Stdout, err)
	}
	if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := Run(t.Context(), path, nil); err != nil || len(out.Stdout) == 0 {
		t.Error("where only its owner can execute it:", err)
	}
	if _, err := Run(t.Context(), interpreter(t, "yes"), nil); err == nil {
		t.Error("one that never stops talking")
	}
	if _, err := Run(t.Context(), interpreter(t, "echo bad >&2; exit 3"), nil); err == nil || !strings.Contains(err.Error(), "exit status 3: bad") {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if _, err := Run(ctx, interpreter(t, "sleep 1000; true"), nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 10*time.Second {
		t.Error("one that hangs:", err, time.Since(begun))
	}
}
