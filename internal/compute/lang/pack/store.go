package pack

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"artesian/internal/compute/lang/durable"
	"artesian/internal/compute/lang/fetch"
	"artesian/internal/engine"
	"artesian/internal/faas"
)

// installTime bounds one installation, whatever the network does.
const installTime = 5 * time.Minute

// Names in the store's directory beside packs that are whole.
const (
	partial = ".partial-" // being installed
	doomed  = ".removed-" // removed; instances that began before may still read it, so it goes at the next start
)

// Store keeps packs below one directory. A finished pack appears by rename, synced, and what is in it never changes;
// languages may add to it what they compile. Methods may be called from any goroutine.
type Store struct {
	dir     string
	client  *fetch.Client
	log     *slog.Logger
	all     []*Manifest
	closing context.Context
	close   context.CancelFunc
	work    sync.WaitGroup

	mu      sync.Mutex        // guards what follows; held for renames, never for network
	there   map[string]string // name → folder that functions are shown: an older pack's while the one that is wanted is missing
	flights map[string]*flight
}

// flight is one installation, which all wait for who want it.
type flight struct {
	done chan struct{}
	err  error // valid once done is closed
}

// Open returns the packs in dir, which it makes. What a killed daemon left half done is removed: nothing runs yet.
func Open(dir string, registries fetch.Registries, log *slog.Logger) (*Store, error) {
	all, err := Manifests()
	if err != nil {
		return nil, err
	}
	return open(dir, registries, log, all)
}

func open(dir string, registries fetch.Registries, log *slog.Logger, all []*Manifest) (*Store, error) {
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := durable.MakeFolder(d); err != nil {
			return nil, err
		}
	}
	s := &Store{dir: dir, client: fetch.New(registries), log: log, all: all, there: make(map[string]string), flights: make(map[string]*flight)}
	s.closing, s.close = context.WithCancel(context.Background())
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read packs: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), partial) || strings.HasPrefix(e.Name(), doomed) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return nil, fmt.Errorf("remove what is left of a pack: %w", err)
			}
		}
	}
	for _, m := range all {
		if _, err := os.Stat(s.path(m)); err == nil {
			s.there[m.Name] = s.path(m)
		} else if older := s.older(m); len(older) > 0 {
			s.there[m.Name] = older[0]
		}
	}
	return s, nil
}

// Close breaks off what is being installed.
func (s *Store) Close() {
	s.close()
	s.work.Wait()
}

// path is where a pack is. It is named by all that the manifest says: another one is another pack.
func (s *Store) path(m *Manifest) string {
	b, _ := json.Marshal(m) // strings and numbers
	sum := sha256.Sum256(b)
	return filepath.Join(s.dir, fmt.Sprintf("%s-%x", m.Name, sum[:8]))
}

// Dir returns the folder of the pack that version number of a language carries, an older one's until that is here; empty when
// there is none, or not yet.
func (s *Store) Dir(language string, number int) string {
	m := s.of(language, number)
	if m == nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.there[m.Name]
}

// Missing returns the pack that version number of a language carries and that is not here; nil when it is, or there is
// none, or its registry is not to be asked and functions run without it.
func (s *Store) Missing(language string, number int) *Manifest {
	m := s.of(language, number)
	if m == nil || s.has(m) || !m.Needed && !s.client.Has(m.Registry()) {
		return nil
	}
	return m
}

func (s *Store) of(language string, number int) *Manifest {
	for _, m := range s.all {
		if m.Language == language && number >= m.Oldest {
			return m
		}
	}
	return nil
}

func (s *Store) has(m *Manifest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.there[m.Name] == s.path(m)
}

// Named returns the pack of that name.
func (s *Store) Named(name string) (*Manifest, error) {
	var names []string
	for _, m := range s.all {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return nil, faas.Errorf(faas.NotFound, "nothing is named %s: name the path of an interpreter, a version of Node.js (node@22.12.0) or a runtime pack: %s", name, strings.Join(names, ", "))
}

// Info is one pack, for people.
type Info struct {
	*Manifest
	Path       string // empty when it is not installed, this version of it
	Installing bool
}

// List returns all packs.
func (s *Store) List() []Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Info
	for _, m := range s.all {
		i := Info{Manifest: m, Installing: s.flights[m.Name] != nil}
		if s.there[m.Name] == s.path(m) {
			i.Path = s.path(m)
		}
		out = append(out, i)
	}
	return out
}

// Install returns once the pack is there, with its error when it can't be had. Who leaves does not break it off.
func (s *Store) Install(ctx context.Context, m *Manifest) error {
	f := s.join(m)
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("install runtime pack %s: %w", m.Name, ctx.Err())
	}
}

func (s *Store) join(m *Manifest) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[m.Name]; f != nil {
		return f
	}
	f := &flight{done: make(chan struct{})}
	if s.there[m.Name] == s.path(m) || s.closing.Err() != nil {
		f.err = s.closing.Err()
		close(f.done)
		return f
	}
	s.flights[m.Name] = f
	s.work.Go(func() { s.fly(m, f) })
	return f
}

func (s *Store) fly(m *Manifest, f *flight) {
	ctx, cancel := context.WithTimeout(s.closing, installTime)
	defer cancel()
	begun := time.Now()
	tmp, err := s.prepare(ctx, m)
	s.client.Rest()
	s.mu.Lock()
	if err == nil {
		err = s.appear(m, tmp)
	}
	delete(s.flights, m.Name)
	s.mu.Unlock()
	if err != nil {
		f.err = &faas.Error{Kind: faas.Unavailable, Op: "install runtime pack " + m.Name, Message: err.Error()}
		_ = os.RemoveAll(tmp) // the next start tries again
	}
	if err == nil {
		s.log.Info("runtime pack installed", "name", m.Name, "version", m.Version, "took", time.Since(begun))
	} else if s.closing.Err() == nil {
		s.log.Warn("install runtime pack", "name", m.Name, "version", m.Version, "took", time.Since(begun), "error", err)
	}
	close(f.done)
}

// appear has a prepared pack count, and takes the place of an older one of its name.
func (s *Store) appear(m *Manifest, tmp string) error {
	to := s.path(m)
	if err := os.Rename(tmp, to); err != nil {
		return fmt.Errorf("keep it: %w", err)
	}
	if err := engine.SyncDir(s.dir); err != nil {
		return err
	}
	s.there[m.Name] = to
	for _, o := range s.older(m) {
		_ = s.hide(o) // what stays is disregarded
	}
	return nil
}

// older are the folders of other versions of a pack, such as an earlier program installed.
func (s *Store) older(m *Manifest) []string {
	all, _ := filepath.Glob(filepath.Join(s.dir, m.Name+"-"+strings.Repeat("[0-9a-f]", 16))) // the pattern is well-formed
	return slices.DeleteFunc(all, func(path string) bool { return path == s.path(m) })
}

// hide takes a folder out of sight.
func (s *Store) hide(path string) error {
	aside, err := os.MkdirTemp(s.dir, doomed)
	if err != nil {
		return err
	}
	if err := os.Rename(path, filepath.Join(aside, "pack")); err != nil {
		return errors.Join(err, os.Remove(aside))
	}
	return engine.SyncDir(s.dir)
}

// Remove takes a pack away from functions that start from now on. The next function that needs it has it installed again.
func (s *Store) Remove(m *Manifest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.there[m.Name] == "" {
		return faas.Errorf(faas.NotFound, "runtime pack %s is not installed", m.Name)
	}
	if err := s.hide(s.there[m.Name]); err != nil {
		return fmt.Errorf("remove runtime pack %s: %w", m.Name, err)
	}
	delete(s.there, m.Name)
	return nil
}
