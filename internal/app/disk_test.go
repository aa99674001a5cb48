package app_test

import (
	"crypto/rand"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
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
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	for _, command := range [][]string{
		{"truncate", "-s", strconv.Itoa(mb) + "M", image}, {"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, dir},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("needs to mount a small file system: %v: %v: %s", command, err, out)
		}
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

// fill takes room until only so many bytes are free.
func fill(t *testing.T, dir string, leave int64) {
	t.Helper()
	f := must(os.OpenFile(filepath.Join(dir, "ballast"), os.O_CREATE|os.O_RDWR, 0o600))(t)
	defer f.Close()
	for chunk := int64(64 << 20); chunk >= 4096; {
		var st syscall.Statfs_t
		if err := syscall.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		at := must(f.Seek(0, io.SeekEnd))(t)
		if int64(st.Bavail)*st.Bsize-chunk < leave || syscall.Fallocate(int(f.Fd()), 0, at, chunk) != nil {
			chunk /= 2
		}
	}
}

// TestFullDisk fills the disk under a daemon: what needs room is refused with a reason, what runs goes on, and all is
// well again when there is room. A daemon does not start without.
func TestFullDisk(t *testing.T) {
	disk := smallDisk(t, 4000)
	c := launch(t, filepath.Join(disk, "data"))
	c.role()
	for _, name := range []string{"f", "cold"} {
		c.create(name, map[string]string{"app.py": "def handler(e, c):\n  print('said ' + e)\n  return e\n"}, nil)
	}
	works := func(when, name string) answer {
		t.Helper()
		a := c.invoke(name, `"here"`)
		if a.status != http.StatusOK || a.body != `"here"` {
			t.Fatalf("%s: %+v", when, a)
		}
		return a
	}
	works("at first", "f")
	blob := make([]byte, 12<<20)
	_, _ = rand.Read(blob)
	big := zipOf(t, map[string]string{"app.py": "def handler(e, c): pass\n", "blob": string(blob)})
	small := zipOf(t, map[string]string{"app.py": "x = 1\n"})
	refused := func(when string, zip []byte) {
		t.Helper()
		resp, body := c.tryCreate("new", zip, nil)
		if resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: %s", when, resp.Status)
		}
		mustContain(t, when, body, "full", "free some space")
	}

	fill(t, disk, 70<<20)
	refused("a package that does not fit", big)
	works("running, with little room", "f")
	eventually(t, "the disk is looked at", func() bool {
		return strings.Contains(c.said(t), "the disk is full: nothing that functions have in /tmp may grow")
	})
	if a := c.invoke("cold", `"here"`); a.status != http.StatusServiceUnavailable {
		t.Errorf("from zero, with little room: %+v", a)
	} else {
		mustContain(t, "from zero, with little room", a.body, "disk is full")
	}
	fill(t, disk, 0)
	refused("a small package on a full disk", small)
	last := works("running, without room", "f")

	if err := os.Remove(filepath.Join(disk, "ballast")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the package is taken", func() bool { resp, _ := c.tryCreate("new", big, nil); return resp.StatusCode == http.StatusCreated })
	works("from zero, with room again", "cold")
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
	works("after all", "f")
}
