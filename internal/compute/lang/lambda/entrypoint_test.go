package lambda

import (
	"os"
	"path/filepath"
	"testing"

	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

func TestFindEntry(t *testing.T) {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	other := append([]byte{}, self[:4096]...)
	other[18] = 8 // e_machine: MIPS
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "sh"), self, 0o755); err != nil {
		t.Fatal(err)
	}
	const missing = "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
	for _, c := range []struct {
		name  string
		make  func(path string) error
		wants string
	}{
		{"none", func(string) error { return nil }, missing},
		{"a folder", func(p string) error { return os.Mkdir(p, 0o755) }, missing},
		{"a program", file(self, 0o755), ""},
		{"not executable", file(self, 0o644), "fork/exec /var/task/bootstrap: permission denied"},
		{"of another machine", file(other, 0o755), "fork/exec /var/task/bootstrap: exec format error"},
		{"text", file([]byte("echo hello\n"), 0o755), "fork/exec /var/task/bootstrap: exec format error"},
		{"empty", file(nil, 0o755), "fork/exec /var/task/bootstrap: exec format error"},
		{"a script", file([]byte("#! /bin/sh -e\n"), 0o755), ""},
		{"a script by /usr/bin", file([]byte("#!/usr/bin/sh"), 0o755), ""},
		{"a script from Windows", file([]byte("#!/bin/sh\r\n"), 0o755), "fork/exec /var/task/bootstrap: no such file or directory"},
		{"without interpreter", file([]byte("#!/usr/bin/python9\n"), 0o755), "fork/exec /var/task/bootstrap: no such file or directory"},
		{"its own interpreter", file([]byte("#!/var/task/bootstrap\n"), 0o755), "fork/exec /var/task/bootstrap: no such file or directory"},
		{"a link", link("real", self), ""},
		{"an absolute link", link("/var/task/real", self), ""},
		{"a link to nothing", func(p string) error { return os.Symlink("/etc/passwd", p) }, missing},
		{"a link to itself", func(p string) error { return os.Symlink("bootstrap", p) }, missing},
	} {
		code := t.TempDir()
		if err := c.make(filepath.Join(code, "bootstrap")); err != nil {
			t.Fatal(err)
		}
		v := view{{Source: bin, Target: "/usr/bin"}, {Source: code, Target: TaskRoot}}
		for _, loader := range []string{"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"} {
			if real, err := filepath.EvalSymlinks(loader); err == nil {
				v = append(v, sandbox.Mount{Source: real, Target: loader})
			}
		}
		e := findEntry(v)
		if e.problem != c.wants {
			t.Errorf("%s: %q, want %q", c.name, e.problem, c.wants)
		}
		if e.problem == "" && e.path != TaskRoot+"/bootstrap" {
			t.Errorf("%s: %s", c.name, e.path)
		}
	}
}

func file(text []byte, mode os.FileMode) func(string) error {
	return func(p string) error { return os.WriteFile(p, text, mode) }
}

func link(to string, text []byte) func(string) error {
	return func(p string) error {
		if err := os.WriteFile(filepath.Join(filepath.Dir(p), "real"), text, 0o755); err != nil {
			return err
		}
		return os.Symlink(to, p)
	}
}

func TestCustomPrepare(t *testing.T) {
	c := NewCustom("provided.al2023", []sandbox.Mount{{Source: "/tools", Target: "/usr/bin"}})
	layer := t.TempDir()
	if err := os.WriteFile(filepath.Join(layer, "bootstrap"), []byte("#!/opt/bootstrap2"), 0o755); err != nil {
		t.Fatal(err)
	}
	spec := sandbox.Spec{ID: "a", Listen: []string{"127.0.0.1:4566"}, Mounts: []sandbox.Mount{{Source: layer, Target: LayerDir}}}
	c.Prepare(&spec, faas.Version{}, t.TempDir(), "stream")
	if spec.Argv[0] != "/usr/bin/false" || len(spec.Listen) != 2 || spec.Dir != TaskRoot || spec.Channel {
		t.Errorf("%+v", spec)
	}
	a, b := apiAddress("a"), apiAddress("b")
	if a == b || spec.Listen[1] != a {
		t.Error(a, b, spec.Listen)
	}
}
