package logs

import (
	"context"
	"encoding/json"
	"slices"

	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// MaxSubscriptions is the most subscriptions of one group.
const MaxSubscriptions = 2

// Subscription hands the events of a group that match a pattern on to a destination. It is part of its group's entry, and
// goes with it.
type Subscription struct {
	Name        string `json:"name"` // 1 to 512 characters without : and *
	Pattern     string `json:"pattern,omitempty"`
	Destination string `json:"destination"` // ARN
	Created     int64  `json:"created"`     // ms since 1970
}

// Subscribe adds a subscription to a group, or replaces the one of its name. NotFound: there is no such group.
// LimitExceeded: it would have more than MaxSubscriptions.
func (s *Store) Subscribe(ctx context.Context, id GroupID, sub Subscription) error {
	sub.Created = s.cfg.Now().UnixMilli()
	_, err := s.change(ctx, id, func(e *groupEntry) error {
		e.Subscriptions = slices.Clone(e.Subscriptions)
		if i := slices.IndexFunc(e.Subscriptions, func(have Subscription) bool { return have.Name == sub.Name }); i >= 0 {
			sub.Created = e.Subscriptions[i].Created
			e.Subscriptions[i] = sub
			return nil
		}
		if len(e.Subscriptions) >= MaxSubscriptions {
			return faas.Errorf(faas.LimitExceeded, "Resource limit exceeded: a log group has %d subscription filters at most.", MaxSubscriptions)
		}
		e.Subscriptions = append(e.Subscriptions, sub)
		return nil
	})
	return err
}

// Unsubscribe removes a subscription. NotFound: there is no such group, or no such subscription.
func (s *Store) Unsubscribe(ctx context.Context, id GroupID, name string) error {
	_, err := s.change(ctx, id, func(e *groupEntry) error {
		kept := slices.DeleteFunc(slices.Clone(e.Subscriptions), func(have Subscription) bool { return have.Name == name })
		if len(kept) == len(e.Subscriptions) {
			return &faas.Error{Kind: faas.NotFound, Op: "find subscription filter", Message: "The specified subscription filter does not exist."}
		}
		e.Subscriptions = kept
		return nil
	})
	return err
}

// WatchSubscriptions calls fn with the subscriptions of every group that there is, and whenever a group changes. It has
// none when the group is gone. fn must not block.
func (s *Store) WatchSubscriptions(fn func(id GroupID, subs []Subscription)) (stop func()) {
	return s.kv.Watch(groupKind, func(e kv.Entry, deleted bool) {
		var entry groupEntry
		if !deleted && (json.Unmarshal(e.Value, &entry) != nil || entry.Version != entryVersion) {
			entry = groupEntry{}
		}
		fn(GroupID{e.Key.Scope, e.Key.Name}, entry.Subscriptions)
	})
}
