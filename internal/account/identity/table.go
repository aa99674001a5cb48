package identity

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// table mirrors the entities of one kind, decoded. Names differ in more than case, as IAM asks.
type table[T any] struct {
	store Store
	kind  string // in the store
	word  string // in messages

	mu       sync.RWMutex
	accounts map[string]map[string]row[T] // by account and lower-case name
}

type row[T any] struct {
	value *T
	rev   uint64
}

func newTable[T any](store Store, kind, word string) *table[T] {
	return &table[T]{store: store, kind: kind, word: word, accounts: map[string]map[string]row[T]{}}
}

// apply takes one change of the store in.
func (t *table[T]) apply(e kv.Entry, deleted bool) error {
	r := row[T]{value: new(T), rev: e.Rev}
	if !deleted {
		if err := json.Unmarshal(e.Value, r.value); err != nil {
			return fmt.Errorf("decode %s: %w", t.kind, err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	rows := t.accounts[e.Key.Scope.Account]
	if deleted {
		delete(rows, e.Key.Name)
		return nil
	}
	if rows == nil {
		rows = map[string]row[T]{}
		t.accounts[e.Key.Scope.Account] = rows
	}
	rows[e.Key.Name] = r
	return nil
}

func (t *table[T]) get(account, name string) (row[T], bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	r, ok := t.accounts[account][strings.ToLower(name)]
	return r, ok
}

func (t *table[T]) count(account string) int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.accounts[account])
}

// all returns an account's entities in the order of their names.
func (t *table[T]) all(account string) []*T {
	t.mu.RLock()
	defer t.mu.RUnlock()
	type named struct {
		name  string
		value *T
	}
	list := make([]named, 0, len(t.accounts[account]))
	for name, r := range t.accounts[account] {
		list = append(list, named{name, r.value})
	}
	slices.SortFunc(list, func(a, b named) int { return cmp.Compare(a.name, b.name) })
	values := make([]*T, len(list))
	for i, n := range list {
		values[i] = n.value
	}
	return values
}

func (t *table[T]) key(account, name string) kv.Key {
	return kv.Key{Scope: scope(account), Kind: t.kind, Name: strings.ToLower(name)}
}

// create stores a new entity. Conflict: there is one of the name.
func (t *table[T]) create(ctx context.Context, account, name string, value *T) error {
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", t.kind, err)
	}
	_, err = t.store.Create(ctx, t.key(account, name), b)
	return err
}

// update replaces the entity of row r.
func (t *table[T]) update(ctx context.Context, account, name string, r row[T], value *T) error {
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", t.kind, err)
	}
	_, err = t.store.Update(ctx, t.key(account, name), b, r.rev)
	return t.meanwhile(err, name)
}

func (t *table[T]) delete(ctx context.Context, account, name string, r row[T]) error {
	return t.meanwhile(t.store.Delete(ctx, t.key(account, name), r.rev), name)
}

// meanwhile says of a lost compare-and-set that another change won.
func (t *table[T]) meanwhile(err error, name string) error {
	if faas.KindOf(err) != faas.Conflict {
		return err
	}
	return &faas.Error{Kind: faas.Conflict, Code: "ConcurrentModification", Cause: err,
		Message: fmt.Sprintf("The %s %s was changed by another request. Submit your request again.", t.word, name)}
}
