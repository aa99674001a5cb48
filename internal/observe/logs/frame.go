package logs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// A frame is one message of the log: a batch of events of one group, whatever their streams.
//
//	version 1
//	ingested varint           ms since 1970; never less than that of the frame before
//	bytes, events uvarint     of all frames of the group before this one, trimmed ones included
//	ahead, behind uvarint     the most, in ms, that an event of the group so far was later or earlier than its ingestion
//	streams uvarint, and for each:
//	  name text | events uvarint | first, last varint (ms relative to ingested, of the earliest and latest event) | size uvarint
//	for each stream its body of that size, and in it for each event:
//	  time varint (ms relative to the event before, the first to ingested) | message text
//
// Text has its length before it as a uvarint. The running totals let a reader find a place by bytes or by time with a
// binary search over messages, so nothing has to be kept in memory for it.
const frameVersion = 1

var errFrame = errors.New("damaged log frame")

// totals are the running totals of a group.
type totals struct {
	ingested      int64
	bytes, events uint64
	ahead, behind uint64
}

type frame struct {
	totals
	streams []streamPart
}

// streamPart is what a frame has of one stream.
type streamPart struct {
	name        string
	count       int
	first, last int64 // ms since 1970, of the earliest and the latest event
	base        int   // index of the first event in the frame
	body        []byte
}

// record is an event on its way into a frame.
type record struct {
	stream  string
	time    int64 // ms since 1970
	message string
}

// encodeFrame makes the frame of recs, which is not empty, and returns it as a reader would see it, with the totals for
// the frame after it. prev are the totals before, but that ingested is this frame's own.
func encodeFrame(prev totals, recs []record) (b []byte, f *frame, next totals) {
	parts := split(recs, prev.ingested)
	f = &frame{totals: prev}
	for _, p := range parts {
		f.ahead = max(f.ahead, uint64(max(0, p.last-prev.ingested)))
		f.behind = max(f.behind, uint64(max(0, prev.ingested-p.first)))
		f.streams = append(f.streams, *p)
	}
	b = appendFrame(f.totals, parts)
	return b, f, f.next(len(b))
}

func appendFrame(t totals, parts []*streamPart) []byte {
	size := 64
	for _, p := range parts {
		size += len(p.name) + len(p.body) + 40
	}
	b := append(make([]byte, 0, size), frameVersion)
	b = binary.AppendVarint(b, t.ingested)
	for _, v := range [...]uint64{t.bytes, t.events, t.ahead, t.behind, uint64(len(parts))} {
		b = binary.AppendUvarint(b, v)
	}
	for _, p := range parts {
		b = appendText(b, p.name)
		b = binary.AppendUvarint(b, uint64(p.count))
		b = binary.AppendVarint(b, p.first-t.ingested)
		b = binary.AppendVarint(b, p.last-t.ingested)
		b = binary.AppendUvarint(b, uint64(len(p.body)))
	}
	for _, p := range parts {
		b = append(b, p.body...)
	}
	return b
}

// split sorts records by stream, keeping their order in each, and encodes the bodies.
func split(recs []record, ingested int64) []*streamPart {
	var parts []*streamPart
	byName := map[string]*streamPart{}
	prev := map[string]int64{}
	for _, r := range recs {
		p := byName[r.stream]
		if p == nil {
			p = &streamPart{name: r.stream, first: r.time, last: r.time}
			byName[r.stream], prev[r.stream] = p, ingested
			parts = append(parts, p)
		}
		p.body = appendText(binary.AppendVarint(p.body, r.time-prev[r.stream]), r.message)
		prev[r.stream] = r.time
		p.first, p.last = min(p.first, r.time), max(p.last, r.time)
		p.count++
	}
	return parts
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

type frameReader struct {
	b   []byte
	bad bool
}

func (r *frameReader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *frameReader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > math.MaxInt64 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *frameReader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// decodeFrame reads a frame up to its bodies, which events reads.
func decodeFrame(b []byte) (*frame, error) {
	if len(b) == 0 {
		return nil, errFrame
	}
	if b[0] != frameVersion {
		return nil, fmt.Errorf("%w: format %d, this version reads only format %d", errFrame, b[0], frameVersion)
	}
	r := &frameReader{b: b[1:]}
	f := &frame{totals: totals{ingested: r.int(), bytes: r.uint(), events: r.uint(), ahead: r.uint(), behind: r.uint()}}
	n := r.uint()
	if r.bad || n > uint64(len(r.b)) {
		return nil, errFrame
	}
	f.streams = make([]streamPart, n)
	sizes := make([]uint64, n)
	base := 0
	for i := range f.streams {
		p := &f.streams[i]
		p.name = string(r.bytes(r.uint()))
		count := r.uint()
		p.first, p.last = f.ingested+r.int(), f.ingested+r.int()
		sizes[i] = r.uint()
		if r.bad || count == 0 || count > math.MaxInt32 {
			return nil, errFrame
		}
		p.count, p.base = int(count), base
		base += p.count
	}
	for i := range f.streams {
		f.streams[i].body = r.bytes(sizes[i])
	}
	if r.bad || len(r.b) > 0 {
		return nil, errFrame
	}
	return f, nil
}

// events calls fn for each event of a part, in order, until fn returns false. index is the event's place in the frame.
func (f *frame) events(p *streamPart, fn func(index int, at int64, message []byte) bool) error {
	r := &frameReader{b: p.body}
	at := f.ingested
	for i := range p.count {
		at += r.int()
		message := r.bytes(r.uint())
		if r.bad {
			return errFrame
		}
		if !fn(p.base+i, at, message) {
			return nil
		}
	}
	if len(r.b) > 0 {
		return errFrame
	}
	return nil
}

// next returns the totals for the frame after one of so many bytes.
func (f *frame) next(size int) totals {
	t := f.totals
	t.bytes += uint64(size)
	for i := range f.streams {
		t.events += uint64(f.streams[i].count)
	}
	return t
}

// size is about what the frame takes.
func (f *frame) size() int {
	n := 0
	for i := range f.streams {
		n += len(f.streams[i].name) + len(f.streams[i].body)
	}
	return n
}
