package kv

import (
	"slices"
	"sort"
	"strings"
	"sync"

	"artesian/internal/faas"
)

// mirror is the store's content in memory. Its lock is held for memory work only, never across disk or network.
type mirror struct {
	mu      sync.RWMutex
	shelves map[shelf]*entries
	dead    map[Key]uint64 // sequence of the delete marker that is still the last message of its key
	applied uint64         // every message up to this sequence is in
	waiting []waiter
	loading bool // names are sorted once, at the end of loading
}

// shelf is what a listing ranges over.
type shelf struct {
	scope faas.Scope
	kind  string
}

type entries struct {
	byName map[string]Entry
	names  []string // sorted
}

type waiter struct {
	seq  uint64
	done chan struct{}
}

func newMirror() *mirror {
	return &mirror{shelves: map[shelf]*entries{}, dead: map[Key]uint64{}, loading: true}
}

func (m *mirror) get(k Key) (Entry, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := m.shelves[shelf{k.Scope, k.Kind}]
	if s == nil {
		return Entry{}, false
	}
	e, ok := s.byName[k.Name]
	return e, ok
}

// lastSeq is the sequence that a message which creates k must expect.
func (m *mirror) lastSeq(k Key) uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.dead[k]
}

// page returns up to limit entries (0: all) with the prefix whose names come after after, and whether there are more.
func (m *mirror) page(sh shelf, prefix, after string, limit int) ([]Entry, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := m.shelves[sh]
	if s == nil {
		return nil, false
	}
	from := sort.Search(len(s.names), func(i int) bool { return s.names[i] > after && s.names[i] >= prefix })
	var out []Entry
	for _, name := range s.names[from:] {
		if !strings.HasPrefix(name, prefix) {
			break
		}
		if limit > 0 && len(out) == limit {
			return out, true
		}
		out = append(out, s.byName[name])
	}
	return out, false
}

// all returns the entries of a kind in every scope, in the order of scope and name.
func (m *mirror) all(kind string) []Entry {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []Entry
	for sh, s := range m.shelves {
		if sh.kind == kind {
			for _, e := range s.byName {
				out = append(out, e)
			}
		}
	}
	slices.SortFunc(out, func(a, b Entry) int {
		return strings.Compare(a.Key.Scope.Account+"\x00"+a.Key.Scope.Region+"\x00"+a.Key.Name,
			b.Key.Scope.Account+"\x00"+b.Key.Scope.Region+"\x00"+b.Key.Name)
	})
	return out
}

// set puts a message in and returns the sequence of the value that it replaces, if any. Messages come once each, in the
// order of their sequences.
func (m *mirror) set(e Entry, deleted bool) (old uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sh := shelf{e.Key.Scope, e.Key.Kind}
	s := m.shelves[sh]
	if s == nil {
		s = &entries{byName: map[string]Entry{}}
		m.shelves[sh] = s
	}
	have, found := s.byName[e.Key.Name]
	if found {
		old = have.Rev
	}
	delete(m.dead, e.Key)
	switch {
	case deleted:
		m.dead[e.Key] = e.Rev
		delete(s.byName, e.Key.Name)
		if found {
			s.drop(e.Key.Name, m.loading)
		}
		if len(s.byName) == 0 {
			delete(m.shelves, sh)
		}
	default:
		s.byName[e.Key.Name] = e
		if !found && !m.loading {
			i, _ := slices.BinarySearch(s.names, e.Key.Name)
			s.names = slices.Insert(s.names, i, e.Key.Name)
		}
	}
	return old
}

func (s *entries) drop(name string, loading bool) {
	if loading {
		return
	}
	if i, ok := slices.BinarySearch(s.names, name); ok {
		s.names = slices.Delete(s.names, i, i+1)
	}
}

// at is the sequence up to which everything is in.
func (m *mirror) at() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.applied
}

// advance tells writers that everything up to seq is in.
func (m *mirror) advance(seq uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.applied = max(m.applied, seq)
	m.waiting = slices.DeleteFunc(m.waiting, func(w waiter) bool {
		if w.seq <= m.applied {
			close(w.done)
			return true
		}
		return false
	})
}

// reached returns a channel that is closed once everything up to seq is in.
func (m *mirror) reached(seq uint64) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	done := make(chan struct{})
	if seq <= m.applied {
		close(done)
	} else {
		m.waiting = append(m.waiting, waiter{seq, done})
	}
	return done
}

// swept forgets the delete marker with sequence seq, which the stream no longer has.
func (m *mirror) swept(k Key, seq uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead[k] == seq {
		delete(m.dead, k)
	}
}

// loaded sorts what came in while loading.
func (m *mirror) loaded() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.loading {
		return
	}
	m.loading = false
	for _, s := range m.shelves {
		s.names = make([]string, 0, len(s.byName))
		for name := range s.byName {
			s.names = append(s.names, name)
		}
		slices.Sort(s.names)
	}
}
