package logs_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"artesian/internal/faas"
	"artesian/internal/observe/logs"
)

// Functions whose logs are each as large as all logs may be do not push out those of a quiet one, whether it is of their
// account or of another, was written before or meanwhile, before a restart or after.
func TestQuietLogsOutliveFloods(t *testing.T) {
	const total, floods, lines = 16 << 20, 4, 1600
	dir := t.TempDir()
	cfg := logs.Config{GroupBytes: total, TotalBytes: total}
	h := open(t, dir, cfg)
	foreign := logs.GroupID{Scope: faas.Scope{Account: "111111111111", Region: faas.DefaultRegion}, Name: "foreign"}
	quiet := []logs.GroupID{group("quiet"), foreign}
	say := func(text string) {
		t.Helper()
		for _, id := range quiet {
			w, err := h.Writer(id, "s")
			if err != nil {
				t.Fatal(err)
			}
			w.Write(time.Now(), text)
			if err := h.Flush(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			w.Close()
		}
	}
	line := strings.Repeat("x", 10_000)
	flood := func(from int) {
		var work sync.WaitGroup
		for i := range floods {
			w := h.writer(t, fmt.Sprint("flood", i), "s")
			work.Go(func() {
				for n := range lines / 2 {
					w.Write(time.Now(), fmt.Sprintf("%06d %s", from+n, line))
				}
			})
		}
		work.Wait()
		for i := range floods {
			h.flush(t, fmt.Sprint("flood", i))
		}
	}
	say("first")
	flood(0)
	say("second")
	h.close(t)
	h = open(t, dir, cfg)
	flood(lines / 2)
	var sum int64
	for _, id := range quiet {
		page, err := h.Filter(t.Context(), id, logs.Query{Limit: 10})
		if err != nil || messages(page.Events) != "first second" {
			t.Errorf("%s: %q, %v", id.Name, messages(page.Events), err)
		}
	}
	for i := range floods {
		name := fmt.Sprint("flood", i)
		size, err := h.StoredBytes(t.Context(), group(name))
		if err != nil || size < total/floods/4 {
			t.Errorf("%s has %d bytes, %v", name, size, err)
		}
		sum += size
		got := h.all(t, name, logs.Query{Limit: 1000})
		if len(got) == 0 || atoi(got[len(got)-1].Message[:6]) != lines-1 || atoi(got[0].Message[:6]) != lines-len(got) {
			t.Errorf("%s has %d lines, with a hole or without the newest", name, len(got))
		}
	}
	if sum > total {
		t.Errorf("%d bytes are stored of at most %d", sum, total)
	}
}
