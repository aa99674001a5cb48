package kv

import "sync/atomic"

type watcher struct {
	kind    string
	fn      func(e Entry, deleted bool)
	stopped atomic.Bool
}

// Watch calls fn for every entry of a kind, in all scopes: first for those that exist, in the order of scope and name,
// before Watch returns; then for each write, in the order of the writes. For a deleted entry Value is nil.
//
// fn runs before the write that it is about returns, so what fn keeps is as current as the store itself. In exchange it
// must be quick, and must not write to the store, nor call Watch, which would wait for fn itself. After stop returns no
// new call begins.
func (s *Store) Watch(kind string, fn func(e Entry, deleted bool)) (stop func()) {
	w := &watcher{kind: kind, fn: fn}
	s.apply.Lock()
	defer s.apply.Unlock()
	for _, e := range s.mirror.all(kind) {
		fn(e, false)
	}
	s.watchers = append(s.watchers, w)
	return func() { w.stopped.Store(true) }
}

// tell calls the watchers and forgets the stopped ones. apply is held.
func (s *Store) tell(e Entry, deleted bool) {
	kept := s.watchers[:0]
	for _, w := range s.watchers {
		if w.stopped.Load() {
			continue
		}
		if w.kind == e.Key.Kind {
			w.fn(e, deleted)
		}
		kept = append(kept, w)
	}
	clear(s.watchers[len(kept):])
	s.watchers = kept
}
