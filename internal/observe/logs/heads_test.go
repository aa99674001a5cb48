package logs_test

import (
	"fmt"
	"testing"
	"time"

	"artesian/internal/observe/logs"
)

// TestEndsAreRemembered: each next writer of a group, as each new instance of a function is, has nothing read; and a group that was
// deleted meanwhile, or has lost all it had to its retention, goes on where it is.
func TestEndsAreRemembered(t *testing.T) {
	now := time.Now()
	h := open(t, t.TempDir(), logs.Config{Now: func() time.Time { return now }})
	write := func(i int) (sent uint64) {
		t.Helper()
		before := h.eng.Conn().Stats().OutMsgs
		w, err := h.Writer(group("g"), fmt.Sprint("stream", i))
		if err != nil {
			t.Fatal(err)
		}
		w.Write(now, fmt.Sprint("m", i))
		w.Close()
		h.flush(t, "g")
		return h.eng.Conn().Stats().OutMsgs - before
	}
	write(0)
	for i := range 5 {
		if sent := write(i + 1); sent != 1 {
			t.Errorf("writer %d has %d messages sent", i+2, sent)
		}
	}
	if got := messages(h.all(t, "g", logs.Query{Limit: 10})); got != "m0 m1 m2 m3 m4 m5" {
		t.Error(got)
	}
	if err := h.DeleteGroup(t.Context(), group("g")); err != nil {
		t.Fatal(err)
	}
	write(6)
	if got := messages(h.all(t, "g", logs.Query{Limit: 10})); got != "m6" {
		t.Error("after it was deleted:", got)
	}
	if err := h.SetRetention(t.Context(), group("g"), 1); err != nil {
		t.Fatal(err)
	}
	now = now.Add(72 * time.Hour)
	if err := h.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(7)
	if got := messages(h.all(t, "g", logs.Query{Limit: 10})); got != "m7" {
		t.Error("after a sweep:", got)
	}
}
