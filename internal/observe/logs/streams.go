package logs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// Stream is what is known of a log stream. The times of its events are zero while it has none.
type Stream struct {
	Name     string
	Created  time.Time // for a stream that the platform made: its first event
	First    time.Time // of the earliest event
	Last     time.Time // of the latest event
	Ingested time.Time // when the newest event arrived
}

// A stream that a user made has an entry in the registry until it is deleted. One that the platform writes to has none:
// it exists as long as events of it do. A deleted stream leaves a tombstone while messages hold events of it.
const goneKind = "logstreamgone"

type streamEntry struct {
	Version int    `json:"v"`
	Name    string `json:"name"`
	Created int64  `json:"created,omitempty"` // ms since 1970
	Gone    uint64 `json:"gone,omitempty"`    // of a tombstone: events up to this sequence are not shown
}

// streamKey names a stream within the incarnation of its group. A name that does not fit is hashed.
func (k *known) streamKey(kind, stream string) kv.Key {
	name := k.Incarnation + "/n/" + stream
	if len(name) > kv.MaxName {
		sum := sha256.Sum256([]byte(stream))
		name = k.Incarnation + "/h/" + hex.EncodeToString(sum[:])
	}
	return kv.Key{Scope: k.id.Scope, Kind: kind, Name: name}
}

// CreateStream makes a stream. NotFound: the group does not exist. Conflict: the stream does.
func (s *Store) CreateStream(ctx context.Context, id GroupID, stream string) error {
	if err := checkStream(stream); err != nil {
		return err
	}
	k, err := s.book.find(id)
	if err != nil {
		return err
	}
	exists := &faas.Error{Kind: faas.Conflict, Op: "create log stream", Message: "The specified log stream already exists"}
	if _, err := s.findStream(ctx, k, stream); err == nil {
		return exists
	} else if faas.KindOf(err) != faas.NotFound {
		return err
	}
	b, err := json.Marshal(streamEntry{Version: entryVersion, Name: stream, Created: s.cfg.Now().UnixMilli()})
	if err != nil {
		return fmt.Errorf("encode log stream: %w", err)
	}
	if _, err := s.kv.Create(ctx, k.streamKey(streamKind, stream), b); faas.KindOf(err) == faas.Conflict {
		return exists
	} else {
		return err
	}
}

// DeleteStream removes a stream. Its events are not shown from then on; they leave the disk with the rest of their group's
// log of that time. NotFound: group or stream does not exist.
func (s *Store) DeleteStream(ctx context.Context, id GroupID, stream string) error {
	if err := s.Flush(ctx, id); err != nil {
		return err
	}
	k, err := s.book.find(id)
	if err != nil {
		return err
	}
	if _, err := s.findStream(ctx, k, stream); err != nil {
		return err
	}
	last, err := s.last(ctx, k.subject(data))
	if err != nil {
		return err
	}
	if last != nil {
		if err := s.bury(ctx, k, stream, last.seq); err != nil {
			return err
		}
	}
	key := k.streamKey(streamKind, stream)
	if e, ok := s.kv.Get(key); ok {
		return s.kv.Delete(ctx, key, e.Rev)
	}
	return nil
}

// bury hides the events of a stream up to a sequence.
func (s *Store) bury(ctx context.Context, k *known, stream string, seq uint64) error {
	b, err := json.Marshal(streamEntry{Version: entryVersion, Name: stream, Gone: seq})
	if err != nil {
		return fmt.Errorf("encode log stream: %w", err)
	}
	key := k.streamKey(goneKind, stream)
	if e, ok := s.kv.Get(key); ok {
		_, err = s.kv.Update(ctx, key, b, e.Rev)
	} else {
		_, err = s.kv.Create(ctx, key, b)
	}
	return err
}

// graves returns up to which sequence the events of deleted streams are hidden.
func (s *Store) graves(k *known) (map[string]uint64, error) {
	var out map[string]uint64
	for _, e := range s.kv.List(k.id.Scope, goneKind, k.Incarnation+"/") {
		var g streamEntry
		if err := json.Unmarshal(e.Value, &g); err != nil || g.Version != entryVersion {
			return nil, faas.Errorf(faas.Unsupported, "a log stream of %s was written in a format that this version cannot read", k.id.Name)
		}
		if out == nil {
			out = map[string]uint64{}
		}
		out[g.Name] = g.Gone
	}
	return out, nil
}

// sweepStreams removes the tombstones for which there is nothing left to hide.
func (s *Store) sweepStreams(ctx context.Context, k *known) error {
	entries := s.kv.List(k.id.Scope, goneKind, k.Incarnation+"/")
	if len(entries) == 0 {
		return nil
	}
	first, err := s.at(ctx, k.subject(data), 1)
	if err != nil {
		return err
	}
	for _, e := range entries {
		var g streamEntry
		if err := json.Unmarshal(e.Value, &g); err != nil || first != nil && g.Gone >= first.seq {
			continue
		}
		if err := s.kv.Delete(ctx, e.Key, e.Rev); err != nil && faas.KindOf(err) != faas.Conflict {
			return err
		}
	}
	return nil
}

// findStream returns a stream's name and time of creation. NotFound: it does not exist.
func (s *Store) findStream(ctx context.Context, k *known, stream string) (*Stream, error) {
	if e, ok := s.kv.Get(k.streamKey(streamKind, stream)); ok {
		var se streamEntry
		if err := json.Unmarshal(e.Value, &se); err != nil || se.Version != entryVersion {
			return nil, faas.Errorf(faas.Unsupported, "the log stream %s was written in a format that this version cannot read", stream)
		}
		return &Stream{Name: stream, Created: time.UnixMilli(se.Created).UTC()}, nil
	}
	return s.seek(ctx, k, stream)
}

// seek looks for a stream among the events.
func (s *Store) seek(ctx context.Context, k *known, stream string) (*Stream, error) {
	graves, err := s.graves(k)
	if err != nil {
		return nil, err
	}
	var found *Stream
	look := func(seq uint64, f *frame) (bool, error) {
		for i := range f.streams {
			if p := &f.streams[i]; p.name == stream && seq > graves[stream] {
				found = p.stream(f.ingested)
			}
		}
		return found == nil, nil
	}
	if err := s.directory(ctx, k, look); err != nil {
		return nil, err
	}
	if found == nil {
		return nil, &faas.Error{Kind: faas.NotFound, Op: "find log stream", Message: "The specified log stream does not exist."}
	}
	return found, nil
}

// directory calls fn with the digests of a group, then with the frames that have no digest yet, until fn returns false.
func (s *Store) directory(ctx context.Context, k *known, fn func(seq uint64, f *frame) (bool, error)) error {
	from, on := uint64(0), true
	err := s.scan(ctx, k.subject(digests), span{0, ^uint64(0)}, func(seq uint64, f *frame) (_ bool, err error) {
		from = seq
		on, err = fn(seq, f)
		return on, err
	})
	if err != nil || !on {
		return err
	}
	return s.scan(ctx, k.subject(data), span{from, ^uint64(0)}, fn)
}
