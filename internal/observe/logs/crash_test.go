package logs_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"artesian/internal/observe/logs"
)

const childDir = "ARTESIAN_TEST_LOGS_DIR"

// TestChild is the process that TestKill kills: it writes numbers to two streams, as fast as it may, and prints those that
// are known to be durable.
func TestChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("this is the child of TestKill")
	}
	h := open(t, dir, logs.Config{GroupBytes: 4 << 20, TotalBytes: 64 << 20})
	first := 0
	if _, err := h.Group(group("g")); err == nil {
		first = len(h.all(t, "g", logs.Query{Limit: 10_000}))
	}
	ws := []*logs.Writer{h.writer(t, "g", "even"), h.writer(t, "g", "odd")}
	for i := first; ; i++ {
		ws[i%2].Write(time.Now(), strconv.Itoa(i))
		if i%100 == 0 {
			h.flush(t, "g")
			fmt.Println("durable", i)
		}
	}
}

// TestKill kills a writer at any moment, again and again: what was durable is there, in order, without a hole and once.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	for round := range 4 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		durable, lines := -1, bufio.NewScanner(out)
		var said []string
		for n := 0; n < 5+round*7 && lines.Scan(); {
			if s, ok := strings.CutPrefix(lines.Text(), "durable "); ok {
				durable = atoi(s)
				n++
			} else {
				said = append(said, lines.Text())
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		if durable < 0 {
			t.Fatalf("the child wrote nothing: %s", strings.Join(said, "\n"))
		}
		checkKilled(t, dir, durable)
	}
}

func checkKilled(t *testing.T, dir string, durable int) {
	t.Helper()
	h := open(t, dir, logs.Config{})
	defer h.close(t)
	got := map[string]bool{}
	events := h.all(t, "g", logs.Query{Limit: 10_000})
	for _, e := range events {
		if got[e.Message] {
			t.Fatalf("%s is there twice", e.Message)
		}
		got[e.Message] = true
	}
	for i := range events {
		if !got[strconv.Itoa(i)] {
			t.Fatalf("%d is missing among %d", i, len(events))
		}
	}
	if len(events) <= durable {
		t.Fatalf("%d were durable, %d are there", durable+1, len(events))
	}
	t.Logf("%d durable, %d there", durable+1, len(events))
}
