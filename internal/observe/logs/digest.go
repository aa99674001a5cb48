package logs

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"

	"artesian/internal/engine"
)

// A digest is a frame without bodies on a subject of its own: what the frames of a group since the digest before hold of
// each stream. It lets a reader of one stream pass over the rest, and a listing of streams read a hundredth of the group.
const (
	segmentBytes  = 1 << 20 // of frames, after which a digest is due
	segmentFrames = 1024
)

// segment gathers the digest that is due next.
type segment struct {
	bytes, frames int
	parts         map[string]*streamPart
	lastSeq       uint64 // of the digest before, 0 is none
}

func (g *segment) add(f *frame, size int) {
	if g.parts == nil {
		g.parts = map[string]*streamPart{}
	}
	g.bytes += size
	g.frames++
	for i := range f.streams {
		p := &f.streams[i]
		have := g.parts[p.name]
		if have == nil {
			g.parts[p.name] = &streamPart{name: p.name, count: p.count, first: p.first, last: p.last}
			continue
		}
		have.count += p.count
		have.first, have.last = min(have.first, p.first), max(have.last, p.last)
	}
}

func (g *segment) due() bool { return g.bytes >= segmentBytes || g.frames >= segmentFrames }

// encodeDigest makes the frame of the segment's parts. t are the group's totals after the segment.
func (g *segment) encodeDigest(t totals) []byte {
	parts := make([]*streamPart, 0, len(g.parts))
	for _, p := range g.parts {
		parts = append(parts, p)
	}
	slices.SortFunc(parts, func(a, b *streamPart) int { return cmp.Compare(a.name, b.name) })
	return appendFrame(t, parts)
}

// digest writes the digest of the group's segment when it is due.
func (s *Store) digest(ctx context.Context, h *head, k *known) error {
	if !h.segment.due() {
		return nil
	}
	msg := &nats.Msg{Subject: k.subject(digests), Header: nats.Header{}, Data: h.segment.encodeDigest(h.totals)}
	seq, err := s.eng.Publish(ctx, msg, engine.ExpectSubject(s.stream, msg.Subject, h.segment.lastSeq))
	if err != nil {
		return fmt.Errorf("write digest of log: %w", err)
	}
	h.segment = segment{lastSeq: seq}
	return nil
}

// span is a stretch of a group's log: from ≤ sequence < to.
type span struct{ from, to uint64 }

// spans returns the stretches between two sequences that may hold something of streams that match, in order: each up to a
// digest, and last what has no digest yet.
func (s *Store) spans(ctx context.Context, k *known, whole span, match func(*streamPart) bool) ([]span, error) {
	var out []span
	from := whole.from
	err := s.scan(ctx, k.subject(digests), span{whole.from, ^uint64(0)}, func(seq uint64, f *frame) (bool, error) {
		if from < whole.to && slices.ContainsFunc(f.streams, func(p streamPart) bool { return match(&p) }) {
			out = append(out, span{from, min(seq, whole.to)})
		}
		from = seq
		return from < whole.to, nil
	})
	if from < whole.to {
		out = append(out, span{from, whole.to})
	}
	return out, err
}
