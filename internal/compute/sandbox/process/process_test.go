package process

import (
	"log/slog"
	"slices"
	"testing"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/sandboxtest"
)

func TestConformance(t *testing.T) {
	m, err := New(Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	sandboxtest.Conformance(t, m, nil)
}

func TestRewrite(t *testing.T) {
	mounts := []sandbox.Mount{{Source: "/data/code", Target: "/var/task"}, {Source: "/usr/python", Target: "/var/lang"}, {Source: "/data/layer", Target: "/var/task/lib"}}
	for in, want := range map[string]string{
		"/var/task":                       "/data/code",
		"/var/task/app.py":                "/data/code/app.py",
		"/var/taskforce":                  "/var/taskforce",
		"/var/task/lib/x":                 "/data/layer/x",
		"/var/task:/opt:/var/lang/bin":    "/data/code:/opt:/usr/python/bin",
		"app.handler":                     "app.handler",
		"http://127.0.0.1:4566/var/task/": "http://127.0.0.1:4566/var/task/",
	} {
		if got := rewrite(in, mounts); got != want {
			t.Errorf("rewrite(%q) = %q, want %q", in, got, want)
		}
	}
	if got := rewriteEnv([]string{"PATH=/var/lang/bin:/bin", "EMPTY="}, mounts); !slices.Equal(got, []string{"PATH=/usr/python/bin:/bin", "EMPTY="}) {
		t.Errorf("environment = %q", got)
	}
}
