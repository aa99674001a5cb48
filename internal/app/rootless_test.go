package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"artesian/internal/door/gateway/admin"
)

// ordinary is a user without an account and without any privilege.
const ordinary = 1_900_000_201

// TestWithoutRoot is the whole product as an ordinary user's: a call, kill -9 with a call under way, and another daemon.
func TestWithoutRoot(t *testing.T) {
	home := ordinaryHome(t)
	data := filepath.Join(home, "data")
	c := launchAs(t, ordinary, data)
	c.role()
	python := map[string]string{"app.py": `import os, time
def handler(e, c):
  time.sleep(e)
  with open("/tmp/x", "w") as f: f.write("x" * 1000000)
  return [os.getuid(), os.getgid(), sorted(p for p in os.listdir("/proc") if p.isdigit()) == [str(os.getpid())], os.listdir("/tmp")]
`}
	if resp, body := c.tryCreate("f", zipOf(t, python), spec{"Timeout": 30}); resp.StatusCode == http.StatusBadRequest && strings.Contains(body, "on this machine") {
		t.Skip("no Python here that an ordinary user can read: " + body)
	}
	const want = `[993, 990, true, ["x"]]`
	for range 2 {
		if a := c.invoke("f", "0"); a.body != want {
			t.Fatalf("%+v; the daemon said: %s", a, c.said(t))
		}
	}
	var doctor admin.Doctor
	if status := c.get(admin.DoctorPath, &doctor); status != http.StatusOK {
		t.Fatalf("doctor: %d", status)
	}
	said := strings.Join(c.missing, "\n")
	for _, g := range doctor.Guarantees {
		if told := strings.Contains(said, g.Name+": "+g.How); told == g.Enforced {
			t.Errorf("%+v, and told at the start: %v", g, told)
		}
	}
	if len(doctor.Guarantees) < 10 {
		t.Errorf("guarantees: %+v", doctor.Guarantees)
	}
	go func() {
		_, _, _, _ = c.try("POST", "lambda", "/2015-03-31/functions/f/invocations", []byte("20"))
	}()
	c.busy("f")
	ours := func() []process { return having("status", fmt.Sprintf("\t%d\t", ordinary)) }
	if n := len(ours()); n < 6 { // daemon, launcher, mounter, spawner, first process, function
		t.Errorf("%d processes of the user, want 6 at least, else this test shows nothing", n)
	}
	c.kill()
	within(t, 2*time.Second, "processes are left", func() string {
		if left := ours(); len(left) > 0 {
			return fmt.Sprint(left)
		}
		return ""
	})
	c = launchAs(t, ordinary, data)
	if a := c.invoke("f", "0"); a.body != want {
		t.Errorf("after kill -9: %+v", a)
	}
	c.terminate()
	if code := c.ended(10 * time.Second); code != 0 {
		t.Errorf("the daemon ended with %d", code)
	}
	if left, err := os.ReadDir(filepath.Join(data, "sandbox")); err != nil || len(left) > 0 {
		t.Errorf("left in the sandboxes' folder: %v, %v", left, err)
	}
}

// ordinaryHome is a folder of the user's, with the program in it. t.TempDir is behind folders of root only.
func ordinaryHome(t *testing.T) string {
	t.Helper()
	from := program(t)
	home, err := os.MkdirTemp("", "artesian-ordinary-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	b, err := os.ReadFile(from)
	err = errors.Join(err, os.WriteFile(filepath.Join(home, "artesian"), b, 0o755), os.Mkdir(filepath.Join(home, "data"), 0o700), os.Chmod(home, 0o755),
		os.Chown(home, ordinary, ordinary))
	if err != nil {
		t.Fatal(err)
	}
	offline(t, filepath.Join(home, "data"))
	for _, path := range []string{"data", "data/config.json"} {
		if err := os.Chown(filepath.Join(home, path), ordinary, ordinary); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

// launchAs is launch as another user, whose home is above the data directory.
func launchAs(t *testing.T, user int, data string) *child {
	t.Helper()
	home := filepath.Dir(data)
	return launchBy(t, data, func(c *child) {
		c.cmd.Path = filepath.Join(home, "artesian")
		c.cmd.Dir = home
		c.cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + home, "USER=" + strconv.Itoa(user)}
		c.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}}
	})
}
