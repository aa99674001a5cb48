package app

import (
	"testing"
	"time"
)

func TestCollectAt(t *testing.T) {
	for _, c := range []struct {
		name    string
		live    uint64
		since   time.Duration
		percent int
		want    int
	}{
		{"at rest", 16 << 20, time.Minute, 100, 100},
		{"calls come fast", 16 << 20, 100 * time.Millisecond, 100, 400},
		{"they go on", 16 << 20, 2 * time.Second, 400, 400},
		{"they have ended", 16 << 20, time.Minute, 400, 100},
		{"much is live", 200 << 20, 100 * time.Millisecond, 100, 100},
		{"nothing is live", 0, 100 * time.Millisecond, 100, 1000},
	} {
		if got := collectAt(c.live, c.since, c.percent); got != c.want {
			t.Errorf("%s: %d %%, want %d", c.name, got, c.want)
		}
	}
}
