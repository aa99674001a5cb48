package output

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// records collects what a reader emits.
type records struct {
	mu  sync.Mutex
	all []string
	got chan struct{}
}

func (r *records) emit(_ time.Time, m string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, m)
	select {
	case r.got <- struct{}{}:
	default:
	}
}

func (r *records) joined() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.all, "|")
}

func open(t testing.TB) (*Reader, *records, *os.File) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	rec := &records{got: make(chan struct{}, 1)}
	r, err := New(in, time.Now, rec.emit)
	if err != nil {
		t.Fatal(err)
	}
	_ = in.Close() // the reader has its own
	return r, rec, out
}

func write(t testing.TB, f *os.File, s string) {
	t.Helper()
	if _, err := f.WriteString(s); err != nil {
		t.Fatal(err)
	}
}

func TestDrainSeesAllThatWasPrinted(t *testing.T) {
	defer goleak.VerifyNone(t)
	r, rec, out := open(t)
	for range 100 {
		write(t, out, "a\nopen")
		r.Drain()
	}
	if got, want := rec.joined(), strings.TrimSuffix(strings.Repeat("a|open|", 100), "|"); got != want {
		t.Fatalf("%q", got)
	}
	_ = out.Close()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestBackgroundReads(t *testing.T) {
	defer goleak.VerifyNone(t)
	r, rec, out := open(t)
	write(t, out, "live\n")
	<-rec.got
	write(t, out, strings.Repeat("x", 200<<10)+"\ntail")
	_ = out.Close()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if got := rec.joined(); got != "live|"+strings.Repeat("x", 200<<10)+"|tail" {
		t.Fatalf("%d bytes: %.40q", len(got), got)
	}
}

func TestCloseWhileThePipeIsHeld(t *testing.T) {
	defer goleak.VerifyNone(t)
	r, rec, out := open(t)
	defer out.Close()
	write(t, out, "last words")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if rec.joined() != "last words" {
		t.Fatal(rec.joined())
	}
}

// TestFloodIsHeldBack: a writer that never stops keeps neither Drain nor memory, while emit blocks it waits.
func TestFloodIsHeldBack(t *testing.T) {
	defer goleak.VerifyNone(t)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	gate := make(chan struct{})
	emitted := make(chan struct{}, 1<<20)
	r, err := New(in, time.Now, func(time.Time, string) { <-gate; emitted <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan int, 1)
	go func() {
		total := 0
		line := []byte(strings.Repeat("y", 99) + "\n")
		for {
			n, err := out.Write(line)
			total += n
			if err != nil {
				written <- total
				return
			}
		}
	}()
	gate <- struct{}{} // something came through, and then no more
	<-emitted
	_ = out.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	if total := <-written; total > 256<<10 {
		t.Errorf("%d bytes were taken while nobody received", total)
	}
	close(gate)
	r.Drain()
	_ = out.Close()
	_ = r.Close()
}

func BenchmarkOneLinePerCall(b *testing.B) {
	r, _, out := open(b)
	line := []byte("one line of some length, as a function prints it\n")
	b.ReportAllocs()
	for b.Loop() {
		_, _ = out.Write(line)
		r.Drain()
	}
	_ = out.Close()
	_ = r.Close()
}
