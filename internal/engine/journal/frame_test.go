package journal

import (
	"bytes"
	"errors"
	"testing"
)

func FuzzDecode(f *testing.F) {
	for _, recs := range [][]Record{{{Kind: 1, Data: []byte("a")}}, {{Kind: 65535}, {Kind: 300, Data: bytes.Repeat([]byte("x"), 200)}}} {
		b, err := encode(recs, 1<<20)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(finish(b))
	}
	f.Add([]byte{})
	f.Add([]byte("\x02later"))
	f.Add(finish([]byte{1, 0x80, 0x80, 0x80, 0x01, 0}))
	f.Add(finish([]byte{1, 1, 9, 'x'}))
	f.Fuzz(func(t *testing.T, b []byte) {
		// As it is, and with a right checksum, so that the fuzzer gets past it.
		for _, frame := range [][]byte{b, finish(bytes.Clone(b))} {
			var recs []Record
			err := decode(frame, func(r Record) error { recs = append(recs, r); return nil })
			if err != nil {
				if !errors.Is(err, errDamaged) || recs != nil {
					t.Fatalf("%v after %d records", err, len(recs))
				}
				continue
			}
			again := []byte{frameVersion}
			for _, r := range recs {
				again = appendRecord(again, r)
			}
			var back []Record
			if err := decode(finish(again), func(r Record) error { back = append(back, r); return nil }); err != nil || len(back) != len(recs) {
				t.Fatalf("records do not survive: %v, %d of %d", err, len(back), len(recs))
			}
			for i := range recs {
				if recs[i].Kind != back[i].Kind || !bytes.Equal(recs[i].Data, back[i].Data) {
					t.Fatalf("record %d changed", i)
				}
			}
		}
	})
}

func TestEveryBitOfAFrameCounts(t *testing.T) {
	b, err := encode([]Record{{Kind: 7, Data: []byte("some data")}, {Kind: 8, Data: []byte("more")}}, 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	frame := finish(b)
	none := func(Record) error { return nil }
	if err := decode(frame, none); err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(frame) {
		bad := bytes.Clone(frame)
		bad[bit/8] ^= 1 << (bit % 8)
		if err := decode(bad, none); !errors.Is(err, errDamaged) {
			t.Errorf("bit %d flipped: %v", bit, err)
		}
	}
	for n := range frame {
		if err := decode(frame[:n], none); !errors.Is(err, errDamaged) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}
