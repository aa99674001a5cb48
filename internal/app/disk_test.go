package app_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"artesian/internal/door/gateway/admin"
)

// smallDisk mounts a file system of so many MB.
func smallDisk(t *testing.T, mb int) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts a small file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("small", dir, "tmpfs", 0, fmt.Sprintf("mode=700,size=%dm", mb)); err != nil {
		t.Skipf("needs to mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		within(t, 5*time.Second, "the small file system is in use", func() string {
			if err := syscall.Unmount(dir, 0); err != nil {
				return err.Error()
			}
			return ""
		})
	})
	return dir
}

// fill writes a file until only so many bytes are free; with 0 until the disk takes no more.
func fill(t *testing.T, dir string, leave int64) {
	t.Helper()
	f := must(os.OpenFile(filepath.Join(dir, "ballast"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600))(t)
	defer f.Close()
	for chunk := make([]byte, 256<<10); ; {
		var st syscall.Statfs_t
		if err := syscall.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		if free := int64(st.Bavail) * st.Bsize; leave > 0 && free <= leave {
			return
		} else if leave > 0 {
			chunk = chunk[:min(int64(len(chunk)), free-leave)]
		}
		if _, err := f.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestFullDisk fills the disk under a daemon: what needs room is refused with a reason, what exists goes on, and all is
// well again when there is room. A daemon does not start without.
func TestFullDisk(t *testing.T) {
	disk := smallDisk(t, 256)
	c := launch(t, filepath.Join(disk, "data"), "--idle", "2s")
	c.role()
	c.create("f", map[string]string{"app.py": "def handler(e, c):\n  print('said ' + e)\n  return e\n"}, nil)
	works := func(when string) answer {
		t.Helper()
		a := c.invoke("f", `"here"`)
		if a.status != http.StatusOK || a.body != `"here"` {
			t.Fatalf("%s: %+v", when, a)
		}
		return a
	}
	works("at first")
	blob := make([]byte, 12<<20)
	_, _ = rand.Read(blob)
	big := zipOf(t, map[string]string{"app.py": "def handler(e, c): pass\n", "blob": string(blob)})

	fill(t, disk, 24<<20)
	resp, body := c.tryCreate("big", big, nil)
	if resp.StatusCode/100 == 2 {
		t.Errorf("a package was taken that does not fit: %s", body)
	}
	mustContain(t, "refusal", body, "full")
	eventually(t, "zero instances", func() bool { return c.instances("f") == 0 })
	works("from zero, with little room")

	fill(t, disk, 0)
	resp, body = c.tryCreate("small", zipOf(t, map[string]string{"app.py": "x = 1\n"}), nil)
	if resp.StatusCode/100 == 2 {
		t.Errorf("a function was taken on a full disk: %s", body)
	}
	mustContain(t, "refusal", body, "full")
	last := works("warm, without room")
	eventually(t, "zero instances", func() bool { return c.instances("f") == 0 })
	if a := c.invoke("f", `"here"`); a.status != http.StatusOK { // its /tmp may still find room
		mustContain(t, "from zero, without room", a.body, "disk is full")
	}

	if err := os.Remove(filepath.Join(disk, "ballast")); err != nil {
		t.Fatal(err)
	}
	works("with room again")
	eventually(t, "the package is taken", func() bool { resp, _ := c.tryCreate("big", big, nil); return resp.StatusCode == http.StatusCreated })
	eventually(t, "the receipt of a call on the full disk", func() bool {
		status, _, _, _ := c.try("GET", admin.Service, admin.ReceiptsPath+last.id, nil)
		return status == http.StatusOK
	})
	c.terminate()
	if code := c.ended(10 * time.Second); code != 0 {
		t.Errorf("exit status %d: %s", code, c.said(t))
	}
	fill(t, disk, 0)
	mustContain(t, "refusal", mustRefuse(t, "--data", c.data, "--listen", "127.0.0.1:0"), disk, "full", "free some space")
	mustContain(t, "first start", mustRefuse(t, "--data", filepath.Join(disk, "other"), "--listen", "127.0.0.1:0"), disk, "full", "free some space")
	if err := os.Remove(filepath.Join(disk, "ballast")); err != nil {
		t.Fatal(err)
	}
	c = launch(t, c.data)
	works("after all")
}
