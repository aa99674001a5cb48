package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"artesian/internal/door/gateway/admin"
)

// TestHabitsSurvive: after a restart, and after a kill, a function that was called shortly before has an instance without a call; with a
// file that was torn the daemon comes up all the same, and learns anew.
func TestHabitsSurvive(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	file := filepath.Join(data, "habits")
	c := launch(t, data)
	c.role()
	c.create("often", map[string]string{"app.py": "def handler(e, c):\n  return 1\n"}, nil)
	for range 5 {
		c.invoke("often", `{}`)
	}
	stop := func() {
		t.Helper()
		c.terminate()
		if status := c.ended(15 * time.Second); status != 0 {
			t.Fatalf("status %d; the daemon said: %s", status, c.said(t))
		}
	}
	stop()
	b, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(b), "often") {
		t.Fatalf("%v; or its name stands in the file", err)
	}
	ready := func(how string) {
		t.Helper()
		eventually(t, "there is an instance "+how, func() bool {
			var ps admin.PS
			c.get(admin.PSPath, &ps)
			return len(ps.Instances) == 1 && ps.Instances[0].Function == "often" && ps.Instances[0].Calls == 0
		})
	}
	c = launch(t, data)
	ready("after a restart")
	c.kill()
	c = launch(t, data)
	ready("after a kill")
	c.kill()

	if err := os.WriteFile(file, b[:len(b)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	c = launch(t, data)
	if said := c.said(t); !strings.Contains(said, "learned anew") {
		t.Errorf("of a torn file it says %q", said)
	}
	c.invoke("often", `{}`)
	stop()
	c = launch(t, data)
	ready("after what was torn was written anew")
	c.cleanUp()
}
