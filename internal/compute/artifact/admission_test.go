package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"artesian/internal/faas"
)

// slow is a blob store whose Put waits to be let go.
type slow struct {
	*memory
	began chan struct{}
	let   chan struct{}
}

func (s *slow) Put(ctx context.Context, r io.Reader, limit int64) (string, int64, error) {
	s.began <- struct{}{}
	<-s.let
	return s.memory.Put(ctx, r, limit)
}

// Uploads beyond a few wait, beyond a few more they are refused at once, and one that is given up makes room.
func TestUploadsAreBounded(t *testing.T) {
	blobs := &slow{newMemory(), make(chan struct{}, maxPuts+maxWaiting), make(chan struct{})}
	s := open(t, blobs, t.TempDir())
	results := make(chan error, maxPuts+maxWaiting)
	zip := func(i int) []byte { return pack(t, item{name: fmt.Sprint("f", i), body: "x"}) }
	upload := func(ctx context.Context, i int) {
		b := zip(i)
		go func() {
			_, err := s.Put(ctx, b)
			results <- err
		}()
	}
	for i := range maxPuts {
		upload(t.Context(), i)
	}
	for range maxPuts {
		<-blobs.began
	}
	impatient, give := context.WithCancel(t.Context())
	upload(impatient, maxPuts)
	for i := range maxWaiting - 1 {
		upload(t.Context(), maxPuts+1+i)
	}
	waits := func(n int64) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); s.puts.waiting.Load() != n; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d wait, not %d", s.puts.waiting.Load(), n)
			}
		}
	}
	waits(maxWaiting)
	if _, err := s.Put(t.Context(), zip(100)); faas.KindOf(err) != faas.Throttled {
		t.Errorf("one too many: %v", err)
	}
	give()
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Errorf("the impatient one: %v", err)
	}
	waits(maxWaiting - 1)
	upload(t.Context(), 100)
	waits(maxWaiting)
	select {
	case <-blobs.began:
		t.Error("more are stored at once than allowed")
	default:
	}
	close(blobs.let)
	for range maxPuts + maxWaiting {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}
