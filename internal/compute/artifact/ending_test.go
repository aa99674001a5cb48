package artifact

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"artesian/internal/faas"
)

// flood is an archive of n records without names, with whatever end.
func flood(n int, end func(dir int) []byte) []byte {
	record := binary.LittleEndian.AppendUint32(nil, recordSig)
	record = append(record, make([]byte, recordSize-4)...)
	record[28] = 1 // a name of one byte
	record = append(record, 'a')
	b := bytes.Repeat(record, n)
	return append(b, end(len(b))...)
}

func end32(records, dir int) []byte {
	le := binary.LittleEndian
	b := append(le.AppendUint32(nil, endSig), 0, 0, 0, 0)
	b = le.AppendUint16(le.AppendUint16(b, uint16(records)), uint16(records))
	b = le.AppendUint32(b, uint32(dir))
	return append(le.AppendUint32(b, 0), 0, 0)
}

func end64(records, dir int) []byte {
	v := (&ending{records: uint64(records), dirSize: int64(dir)}).view(bytes.NewReader(nil))
	binary.LittleEndian.PutUint64(v.end[end64Size+8:], uint64(dir))
	return v.end
}

// A package of 50 MB can hold a million records, for each of which the standard reader keeps some hundred bytes. They are
// refused before that.
func TestRecordsAreCountedBeforeTheyAreKept(t *testing.T) {
	const n = faas.MaxZipBytes / (recordSize + 2)
	for name, b := range map[string][]byte{
		"said":                  flood(n, func(dir int) []byte { return end64(n, dir) }),
		"said few":              flood(n, func(dir int) []byte { return end64(3, dir) }),
		"said modulo 65536":     flood(n, func(dir int) []byte { return end32(n%65536, dir) }),
		"directory said short":  flood(n, func(int) []byte { return end64(n%65536, n%65536*(recordSize+1)) }),
		"directory said empty":  flood(n, func(int) []byte { return end64(n%65536, 0) }),
		"said more than 65,536": flood(10, func(dir int) []byte { return end64(1<<40, dir) }),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := check(b)
			runtime.ReadMemStats(&after)
			if faas.KindOf(err) != faas.Invalid {
				t.Errorf("not refused: %v", err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
				t.Errorf("%d bytes were used to refuse it", used)
			}
		})
	}
}

// What common tools write besides the plain form is read all the same.
func TestEndingsAreRead(t *testing.T) {
	plain := pack(t, item{name: "a", body: "x"}, item{name: "b/c", body: "yz"})
	end := bytes.LastIndex(plain, []byte("PK\x05\x06"))
	dir := int(u32(plain[end+12:]))
	commented := bytes.Clone(plain)
	commented[len(commented)-2] = 5
	wrongSize := bytes.Clone(plain)
	binary.LittleEndian.PutUint32(wrongSize[end+12:], uint32(dir-recordSize))
	sixtyFour := (&ending{records: 2, dirSize: int64(dir), offset: uint64(u32(plain[end+16:]))}).view(bytes.NewReader(nil)).end
	for name, b := range map[string][]byte{
		"plain":           plain,
		"comment":         append(commented, "hello"...),
		"something first": append([]byte("#!/bin/sh\nexec unzip $0\n"), plain...),
		"something after": append(bytes.Clone(plain), "\n\n"...),
		"wrong size":      wrongSize,
		"zip64":           append(bytes.Clone(plain[:end]), sixtyFour...),
	} {
		if info, err := check(b); err != nil || info.Files != 2 || info.Unpacked != 3 {
			t.Errorf("%s: %+v, %v", name, info, errors.Unwrap(err))
		}
	}
}
