package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"artesian/internal/faas"
)

// Record is one fact in a journal. Kind says how to read Data; its values belong to the journal's owner.
type Record struct {
	Kind uint16
	Data []byte
}

// A group of records is one frame:
//
//	version 1 | record … | CRC-32C of all before, 4 bytes big-endian
//	record: kind uvarint | length of data uvarint | data
const (
	frameVersion = 1
	checksum     = 4
	recordRoom   = 3 + 5 // the most that kind and length take: frames are far below 2^35 bytes
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errDamaged = errors.New("damaged group")

// appendRecord adds one record to an unfinished frame.
func appendRecord(b []byte, r Record) []byte {
	b = binary.AppendUvarint(b, uint64(r.Kind))
	b = binary.AppendUvarint(b, uint64(len(r.Data)))
	return append(b, r.Data...)
}

// finish makes a frame of the version byte and the records after it.
func finish(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decode calls fn for each record of a frame, having checked all of it first. Data points into b.
func decode(b []byte, fn func(Record) error) error {
	if len(b) > 0 && b[0] != frameVersion {
		return fmt.Errorf("%w: format %d, this version reads only format %d", errDamaged, b[0], frameVersion)
	}
	if len(b) < 1+checksum {
		return fmt.Errorf("%w: %d bytes are too few", errDamaged, len(b))
	}
	body := b[:len(b)-checksum]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[len(body):]) {
		return fmt.Errorf("%w: wrong checksum", errDamaged)
	}
	var recs []Record
	for rest := body[1:]; len(rest) > 0; {
		r, n, err := cut(rest)
		if err != nil {
			return err
		}
		recs, rest = append(recs, r), rest[n:]
	}
	for _, r := range recs {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// cut reads the record at the beginning of b, which takes n bytes.
func cut(b []byte) (r Record, n int, err error) {
	kind, k := binary.Uvarint(b)
	if k <= 0 || kind > 1<<16-1 {
		return Record{}, 0, fmt.Errorf("%w: bad kind of record", errDamaged)
	}
	size, s := binary.Uvarint(b[k:])
	if s <= 0 || size > uint64(len(b)-k-s) {
		return Record{}, 0, fmt.Errorf("%w: bad length of record", errDamaged)
	}
	n = k + s + int(size)
	return Record{Kind: uint16(kind), Data: b[k+s : n : n]}, n, nil
}

// encode makes the frame of recs, of at most limit bytes.
func encode(recs []Record, limit int) ([]byte, error) {
	if len(recs) == 0 {
		return nil, faas.Errorf(faas.Invalid, "there are no records to append")
	}
	size := 1 + checksum
	for _, r := range recs {
		size += recordRoom + len(r.Data)
	}
	if size > limit {
		return nil, faas.Errorf(faas.TooLarge, "the records take %d bytes; at most %d can be appended at once", size, limit)
	}
	b := append(make([]byte, 0, size), frameVersion)
	for _, r := range recs {
		b = appendRecord(b, r)
	}
	return b, nil
}
