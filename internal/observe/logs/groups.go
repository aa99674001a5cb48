package logs

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// MaxTags is the most tags of one group.
const MaxTags = 50

// CreateGroup makes a group. Conflict: it exists. Invalid: a bad name, or more than MaxTags tags.
func (s *Store) CreateGroup(ctx context.Context, id GroupID, tags map[string]string) error {
	if err := id.check(); err != nil {
		return err
	}
	if len(tags) > MaxTags {
		return tooManyTags()
	}
	e := groupEntry{Version: entryVersion, Incarnation: strings.ReplaceAll(faas.NewUUID(), "-", "")[:16],
		Created: s.cfg.Now().UnixMilli(), Tags: tags, Class: "STANDARD"}
	b, err := e.encode()
	if err != nil {
		return err
	}
	_, err = s.kv.Create(ctx, id.key(), b)
	if faas.KindOf(err) == faas.Conflict {
		return &faas.Error{Kind: faas.Conflict, Op: "create log group", Message: "The specified log group already exists", Cause: err}
	}
	return err
}

func tooManyTags() error {
	return &faas.Error{Kind: faas.LimitExceeded, Code: "TooManyTagsException", Op: "tag log group",
		Message: fmt.Sprintf("The resource has too many tags: at most %d are allowed.", MaxTags)}
}

// DeleteGroup removes a group with all its events, those on their way included. It is gone for readers when DeleteGroup
// returns. NotFound: there is none.
func (s *Store) DeleteGroup(ctx context.Context, id GroupID) error {
	k, err := s.change(ctx, id, nil)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if g := s.groups[id]; g != nil {
		g.mu.Lock()
		g.epoch++
		g.discard(len(g.pending))
		g.room.Broadcast()
		g.mu.Unlock()
	}
	s.mu.Unlock()
	if err := s.clear(ctx, k.id.Scope, k.Incarnation); err != nil {
		s.cfg.Logger.Warn("events of a deleted log group not removed; the next start removes them", "group", id.Name, "error", err)
	}
	return nil
}

// clear removes the events and the streams of an incarnation that no group has any more.
func (s *Store) clear(ctx context.Context, scope faas.Scope, incarnation string) error {
	if err := s.purge(ctx, subjectOf(scope, incarnation, "*"), 0); err != nil {
		return err
	}
	for _, kind := range [...]string{streamKind, goneKind} {
		for _, e := range s.kv.List(scope, kind, incarnation+"/") {
			if err := s.kv.Delete(ctx, e.Key, e.Rev); err != nil && faas.KindOf(err) != faas.Conflict {
				return err
			}
		}
	}
	return nil
}

// purge removes the messages of a subject before seq, all of them when it is 0.
func (s *Store) purge(ctx context.Context, subject string, seq uint64) error {
	opts := []jetstream.StreamPurgeOpt{jetstream.WithPurgeSubject(subject)}
	if seq > 0 {
		opts = append(opts, jetstream.WithPurgeSequence(seq))
	}
	if err := s.stream.Purge(ctx, opts...); err != nil {
		return &faas.Error{Kind: faas.Unavailable, Op: "trim log", Message: "the log was not trimmed; try again", Cause: err}
	}
	return nil
}

// change replaces the entry of a group by what edit makes of it, or deletes it when edit is nil. It returns the group as
// it was. NotFound: there is none.
func (s *Store) change(ctx context.Context, id GroupID, edit func(*groupEntry) error) (*known, error) {
	for range 16 {
		k, err := s.book.find(id)
		if err != nil {
			return nil, err
		}
		if edit == nil {
			err = s.kv.Delete(ctx, id.key(), k.rev)
		} else {
			err = s.rewrite(ctx, k, edit)
		}
		if faas.KindOf(err) != faas.Conflict {
			return k, err
		}
	}
	return nil, faas.Errorf(faas.Unavailable, "the log group %s is being changed by others; try again", id.Name)
}

func (s *Store) rewrite(ctx context.Context, k *known, edit func(*groupEntry) error) error {
	e := k.groupEntry
	e.Tags = maps.Clone(e.Tags)
	if err := edit(&e); err != nil {
		return err
	}
	b, err := e.encode()
	if err != nil {
		return err
	}
	_, err = s.kv.Update(ctx, kv.Key{Scope: k.id.Scope, Kind: groupKind, Name: k.id.Name}, b, k.rev)
	return err
}

// SetRetention lets events of a group expire after so many days; 0 keeps them. Which numbers of days are allowed is for
// the caller's protocol to say. NotFound: there is no such group.
func (s *Store) SetRetention(ctx context.Context, id GroupID, days int) error {
	if days < 0 {
		return faas.Errorf(faas.Invalid, "the retention of %d days is negative", days)
	}
	_, err := s.change(ctx, id, func(e *groupEntry) error {
		e.Retention = days
		return nil
	})
	return err
}

// Tag adds tags to a group, or replaces their values. LimitExceeded: they would be more than MaxTags.
func (s *Store) Tag(ctx context.Context, id GroupID, tags map[string]string) error {
	_, err := s.change(ctx, id, func(e *groupEntry) error {
		if e.Tags == nil {
			e.Tags = map[string]string{}
		}
		maps.Copy(e.Tags, tags)
		if len(e.Tags) > MaxTags {
			return tooManyTags()
		}
		return nil
	})
	return err
}

// Untag removes tags from a group; those that it does not have do not matter.
func (s *Store) Untag(ctx context.Context, id GroupID, keys []string) error {
	_, err := s.change(ctx, id, func(e *groupEntry) error {
		for _, k := range keys {
			delete(e.Tags, k)
		}
		return nil
	})
	return err
}

// Group returns one group. NotFound: there is none.
func (s *Store) Group(id GroupID) (Group, error) {
	k, err := s.book.find(id)
	if err != nil {
		return Group{}, err
	}
	return k.group(), nil
}

// Groups returns up to limit groups of a scope whose names pass and come after after, sorted by name, and whether there
// are more.
func (s *Store) Groups(scope faas.Scope, pass func(name string) bool, after string, limit int) ([]Group, bool) {
	all := s.book.all(&scope, func(name string) bool { return name > after && pass(name) })
	var out []Group
	for _, k := range all[:min(limit, len(all))] {
		out = append(out, k.group())
	}
	return out, len(all) > limit
}

// StoredBytes returns what a group's events take on disk.
func (s *Store) StoredBytes(ctx context.Context, id GroupID) (int64, error) {
	k, err := s.book.find(id)
	if err != nil {
		return 0, err
	}
	return s.stored(ctx, k)
}

func (s *Store) stored(ctx context.Context, k *known) (int64, error) {
	first, err := s.at(ctx, k.subject(data), 1)
	if err != nil || first == nil {
		return 0, err
	}
	last, err := s.last(ctx, k.subject(data))
	if err != nil || last == nil {
		return 0, err
	}
	from, err := decodeFrame(first.data)
	if err != nil {
		return 0, err
	}
	to, err := decodeFrame(last.data)
	if err != nil {
		return 0, err
	}
	return int64(to.next(len(last.data)).bytes - from.bytes), nil
}
