package output

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// framed is a record as a bootstrap writes it.
func framed(at time.Time, text string) string {
	b := []byte{0xA5, 0x5A, 0x00, 0x03}
	b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
	b = binary.BigEndian.AppendUint64(b, uint64(at.UnixMicro()))
	return string(b) + text
}

// decode writes input in pieces of the given size.
func decode(input string, piece int) []string {
	var got []string
	d := decoder{emit: func(_ time.Time, m string) { got = append(got, m) }}
	for len(input) > 0 {
		n := min(piece, len(input))
		d.write([]byte(input[:n]), noon)
		input = input[n:]
	}
	d.flush(noon, true)
	return got
}

func TestDecode(t *testing.T) {
	long := strings.Repeat("é", MaxRecord/2)
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"lines", "a\nb\r\n\nc", []string{"a", "b", "c"}},
		{"frame", framed(noon, "x\ny\n") + "z\n", []string{"x\ny", "z"}},
		{"frame after an open line", "open" + framed(noon, "x\ny"), []string{"open", "x\ny"}},
		{"frames", framed(noon, "1") + framed(noon, "2"), []string{"1", "2"}},
		{"not UTF-8", "a\xffb\n", []string{"a\uFFFDb"}},
		{"half a frame", framed(noon, "abcdef")[:20], []string{"abcd"}},
		{"empty frame", "\xa5\x5a\x00\x03\x00\x00\x00\x00rest\n", []string{"\uFFFDZ\x00\x03\x00\x00\x00\x00rest"}},
		{"frame too large", "\xa5\x5a\x00\x03\xff\xff\xff\xff rest\n", []string{"\uFFFDZ\x00\x03\uFFFD rest"}},
		{"long", long + "e\n", []string{long, "e"}},
		{"long without end", long + "é", []string{long, "é"}},
	} {
		for _, piece := range []int{1, 3, 17, 4096, len(c.in)} {
			if piece < 17 && len(c.in) > 1000 {
				continue
			}
			if got := decode(c.in, piece); !slices.Equal(got, c.want) {
				t.Errorf("%s in pieces of %d: %.100q, want %.100q", c.name, piece, got, c.want)
			}
		}
	}
}

// TestRecordsKeepTheirOrder has a frame claim an earlier time than the line before it.
func TestRecordsKeepTheirOrder(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := decoder{emit: func(at time.Time, m string) {
		if !at.Equal(now) {
			t.Errorf("%q is of %v, not of its arrival", m, at)
		}
	}}
	d.write([]byte("line\n"+framed(now.Add(-time.Second), "frame")), now)
}

func FuzzDecode(f *testing.F) {
	f.Add("a\nb\n", uint8(1))
	f.Add(framed(noon, "x\ny")+"z", uint8(3))
	f.Add("\xa5\x5a", uint8(1))
	f.Add("open"+framed(noon, "x")[:9], uint8(2))
	f.Fuzz(func(t *testing.T, in string, piece uint8) {
		got := decode(in, int(piece)+1)
		for _, m := range got {
			if m == "" || len(m) > MaxRecord*3 || !utf8.ValidString(m) {
				t.Fatalf("record %q", m)
			}
		}
		if whole := decode(in, len(in)+1); !slices.Equal(got, whole) {
			t.Fatalf("in pieces of %d: %q, whole: %q", int(piece)+1, got, whole)
		}
	})
}
