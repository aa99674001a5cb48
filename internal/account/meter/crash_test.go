package meter_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"artesian/internal/account/meter"
)

const childDir = "ARTESIAN_TEST_METER_DIR"

// calls returns how many invocations the ledger knows.
func calls(tb testing.TB, l *meter.Ledger) int {
	tb.Helper()
	rows, err := l.Sums(context.Background(), meter.Filter{})
	if err != nil || len(rows) > 1 {
		tb.Fatal(rows, err)
	}
	if len(rows) == 0 {
		return 0
	}
	return int(rows[0].Calls())
}

// TestChild is the process that TestKill kills: it records calls as fast as it may, the last ones of its predecessor once
// more, and prints those that are known to be durable.
func TestChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("this is the child of TestKill")
	}
	l := openLedger(t, openEngine(t, dir), meter.Config{Every: 5 * time.Millisecond, Checkpoint: 700, Now: func() time.Time { return noon }})
	first := calls(t, l)
	for i := max(0, first-50); ; i++ {
		l.Record(call(i))
		if i%100 == 0 && i > first {
			if err := l.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
			fmt.Println("durable", i)
		}
	}
}

// TestKill kills a ledger at any moment, again and again: what was durable is counted, all of it once, however often it is
// recorded.
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
		for n := 0; n < 5+round*10 && lines.Scan(); {
			if s, ok := strings.CutPrefix(lines.Text(), "durable "); ok {
				fmt.Sscan(s, &durable)
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
			t.Fatalf("the child recorded nothing: %s", strings.Join(said, "\n"))
		}
		checkKilled(t, dir, durable)
	}
}

func checkKilled(t *testing.T, dir string, durable int) {
	t.Helper()
	e := openEngine(t, dir)
	l := openLedger(t, e, meter.Config{})
	defer closeAll(t, l, e)
	n := calls(t, l)
	if n <= durable {
		t.Fatalf("%d were durable, %d are counted", durable+1, n)
	}
	for _, i := range []int{0, durable / 2, durable, n - 1} {
		if _, err := l.Receipt(t.Context(), call(i).RequestID); err != nil {
			t.Fatalf("receipt %d of %d: %v", i, n, err)
		}
	}
	if _, err := l.Receipt(t.Context(), call(n).RequestID); err == nil {
		t.Fatalf("%d is there, but only %d are counted", n, n)
	}
	t.Logf("%d durable, %d counted", durable+1, n)
}

// BenchmarkOpen opens a ledger of a million calls.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	e := openEngine(b, dir)
	l := openLedger(b, e, meter.Config{Queue: 1_000_000, Now: func() time.Time { return noon }})
	for i := range 1_000_000 {
		l.Record(call(i))
	}
	if err := l.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	if err := l.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		l = openLedger(b, e, meter.Config{Now: func() time.Time { return noon }})
		if n := calls(b, l); n != 1_000_000 {
			b.Fatal(n)
		}
		if err := l.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
