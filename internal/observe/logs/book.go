package logs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

const (
	groupKind  = "loggroup"
	streamKind = "logstream"
)

// Group is what is known of a log group.
type Group struct {
	ID            GroupID
	Created       time.Time
	RetentionDays int // 0: events do not expire by age
	Tags          map[string]string
	Class         string // STANDARD
	Subscriptions []Subscription
}

// groupEntry is a group in the registry. Incarnation is part of the subject of its events, so that a group made anew
// under an old name never shows the events of the one deleted.
type groupEntry struct {
	Version     int               `json:"v"`
	Incarnation string            `json:"id"`
	Created     int64             `json:"created"` // ms since 1970
	Retention   int               `json:"retention,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Class       string            `json:"class"`

	Subscriptions []Subscription `json:"subscriptions,omitempty"`
}

const entryVersion = 1

// known is a group as the registry has it now.
type known struct {
	groupEntry
	id  GroupID
	rev uint64
}

// What a subject of a group holds.
const (
	data    = "d" // frames of events
	digests = "i"
)

func (k *known) subject(of string) string { return subjectOf(k.id.Scope, k.Incarnation, of) }

func subjectOf(scope faas.Scope, incarnation, of string) string {
	return "logs." + scope.Account + "." + scope.Region + "." + incarnation + "." + of
}

func (k *known) group() Group {
	return Group{ID: k.id, Created: time.UnixMilli(k.Created).UTC(), RetentionDays: k.Retention, Tags: k.Tags, Class: k.Class, Subscriptions: k.Subscriptions}
}

// expiry returns the time before which events are not shown any more, in ms since 1970.
func (k *known) expiry(now time.Time) int64 {
	if k.Retention == 0 {
		return -forever
	}
	return now.Add(-time.Duration(k.Retention) * 24 * time.Hour).UnixMilli()
}

// book mirrors the groups of the registry, decoded.
type book struct {
	stop func()

	mu     sync.RWMutex
	groups map[GroupID]*known // never modified, only replaced
}

func newBook(registry *kv.Store) *book {
	b := &book{groups: map[GroupID]*known{}}
	b.stop = registry.Watch(groupKind, b.take)
	return b
}

func (b *book) close() { b.stop() }

func (b *book) take(e kv.Entry, deleted bool) {
	id := GroupID{e.Key.Scope, e.Key.Name}
	b.mu.Lock()
	defer b.mu.Unlock()
	if deleted {
		delete(b.groups, id)
		return
	}
	k := &known{id: id, rev: e.Rev}
	if err := json.Unmarshal(e.Value, &k.groupEntry); err != nil || k.Version != entryVersion || k.Incarnation == "" {
		k.Version = 0 // damaged, or of a newer version: see find
	}
	b.groups[id] = k
}

// find returns a group. NotFound: there is none. Unsupported: a newer version wrote it.
func (b *book) find(id GroupID) (*known, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	k, ok := b.groups[id]
	if !ok {
		return nil, &faas.Error{Kind: faas.NotFound, Op: "find log group", Message: "The specified log group does not exist."}
	}
	if k.Version != entryVersion {
		return nil, faas.Errorf(faas.Unsupported, "the log group %s was written in a format that this version cannot read", id.Name)
	}
	return k, nil
}

// all returns the readable groups of a scope, or of all scopes when it is nil, that pass, sorted by name.
func (b *book) all(scope *faas.Scope, pass func(name string) bool) []*known {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out []*known
	for id, k := range b.groups {
		if k.Version == entryVersion && (scope == nil || id.Scope == *scope) && pass(id.Name) {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, c *known) int { return strings.Compare(a.id.Name, c.id.Name) })
	return out
}

// incarnations returns those of all groups, and false when there is a group that this version cannot read.
func (b *book) incarnations() (map[orphan]bool, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	live := map[orphan]bool{}
	for id, k := range b.groups {
		if k.Version != entryVersion {
			return nil, false
		}
		live[orphan{id.Scope, k.Incarnation}] = true
	}
	return live, true
}

func (id GroupID) key() kv.Key { return kv.Key{Scope: id.Scope, Kind: groupKind, Name: id.Name} }

func (e *groupEntry) encode() ([]byte, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode log group: %w", err)
	}
	return b, nil
}
