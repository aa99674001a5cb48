package logs

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func drawRecords(t *rapid.T) []record {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) record {
		return record{rapid.SampledFrom([]string{"a", "b", "2026/11/23/[$LATEST]x"}).Draw(t, "stream"),
			rapid.Int64Range(-1e6, 2e12).Draw(t, "time"), rapid.String().Draw(t, "message")}
	}), 1, 40).Draw(t, "records")
}

func TestFrameHoldsWhatWasPutIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prev := totals{ingested: rapid.Int64Range(0, 2e12).Draw(t, "ingested"), bytes: 7, events: 3, ahead: 5, behind: 6}
		recs := drawRecords(t)
		b, written, next := encodeFrame(prev, recs)
		f, err := decodeFrame(b)
		if err != nil {
			t.Fatal(err)
		}
		if f.totals != written.totals || len(f.streams) != len(written.streams) || f.next(len(b)) != next {
			t.Fatalf("read %+v, wrote %+v", f, written)
		}
		if next.bytes != prev.bytes+uint64(len(b)) || next.events != prev.events+uint64(len(recs)) || f.ahead < prev.ahead || f.behind < prev.behind {
			t.Fatalf("totals %+v after %+v", next, prev)
		}
		seen := map[int]bool{}
		for i := range f.streams {
			p := &f.streams[i]
			var want []record
			for _, r := range recs {
				if r.stream == p.name {
					want = append(want, r)
				}
			}
			n := 0
			err := f.events(p, func(index int, at int64, message []byte) bool {
				if seen[index] || at != want[n].time || string(message) != want[n].message || at < p.first || at > p.last {
					t.Fatalf("event %d of %s: %d %q, want %+v", index, p.name, at, message, want[n])
				}
				if at > f.ingested+int64(f.ahead) || at < f.ingested-int64(f.behind) {
					t.Fatalf("event at %d is outside of what the totals say: %+v", at, f.totals)
				}
				seen[index] = true
				n++
				return true
			})
			if err != nil || n != len(want) {
				t.Fatal(n, err)
			}
		}
		if len(seen) != len(recs) {
			t.Fatal("events are missing")
		}
	})
}

func TestDamagedFramesAreRefused(t *testing.T) {
	b, _, _ := encodeFrame(totals{ingested: 1000}, []record{{"s", 1000, "one"}, {"t", 1001, "two"}})
	for n := range len(b) {
		if f, err := decodeFrame(b[:n]); err == nil {
			for i := range f.streams {
				err = f.events(&f.streams[i], func(int, int64, []byte) bool { return true })
			}
			if err == nil {
				t.Errorf("the first %d of %d bytes pass for a frame", n, len(b))
			}
		}
	}
	newer := append([]byte{frameVersion + 1}, b[1:]...)
	if _, err := decodeFrame(newer); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Error(err)
	}
	if _, err := decodeFrame(append(b, 0)); err == nil {
		t.Error("a byte too many passes")
	}
}

func FuzzDecodeFrame(f *testing.F) {
	b, _, _ := encodeFrame(totals{ingested: 1_700_000_000_000}, []record{{"s", 1_700_000_000_001, "one"}, {"t", 1_699_999_999_999, "zwei\n"}})
	f.Add(b)
	f.Add([]byte{frameVersion, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{frameVersion, 0, 0, 0, 0, 0, 1, 1, 's', 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := decodeFrame(bytes.Clone(b))
		if err != nil {
			return
		}
		for i := range frame.streams {
			n := 0
			err := frame.events(&frame.streams[i], func(_ int, _ int64, m []byte) bool { n += len(m) + 1; return true })
			if err == nil && n > 2*len(b) {
				t.Fatal("more came out than went in")
			}
		}
	})
}

func FuzzParseToken(f *testing.F) {
	f.Add("e/1/2")
	f.Add("b/18446744073709551615/0")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := parseToken(s, filterToken); err == nil {
			if again, err := parseToken(p.token(filterToken), filterToken); err != nil || again != p {
				t.Fatal(again, p, err)
			}
		}
	})
}
