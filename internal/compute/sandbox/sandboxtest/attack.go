package sandboxtest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Target is what an attacker is set on, on this machine.
type Target struct {
	Code     string // the attacker's own, with a program `attack` and the same one set-uid
	Secret   string // a file that everybody may read
	Loopback string // the address of a listener
	Abstract string // the name of an abstract one
}

// Arm makes what is to be attacked, and the program that does it: that of a package, or a ready-made one that the environment names.
func Arm(t testing.TB, pkg, env string) Target {
	t.Helper()
	program := Build(t, pkg, env)
	g := Target{Code: t.TempDir(), Secret: filepath.Join(t.TempDir(), "secret"), Abstract: fmt.Sprintf("artesian-attack-%d", os.Getpid())}
	b, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"attack": 0o777, "setuid": 0o777 | os.ModeSetuid | os.ModeSetgid} {
		file := filepath.Join(g.Code, name)
		if err := errors.Join(os.WriteFile(file, b, 0o700), os.Chmod(file, mode)); err != nil { // root's, so set-uid means root
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile(g.Secret, []byte("secret"), 0o644), os.Chmod(g.Code, 0o777)); err != nil {
		t.Fatal(err)
	}
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": "@" + g.Abstract} {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		if network == "tcp" {
			g.Loopback = l.Addr().String()
		}
	}
	return g
}

// Outcomes are what an attacker has printed, by attack.
func Outcomes(out string) map[string]string {
	met := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		name, result, _ := strings.Cut(lines.Text(), "\t")
		met[name] = result
	}
	return met
}
