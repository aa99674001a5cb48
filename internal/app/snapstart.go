package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"artesian/internal/compute/pool/node"
	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/container"
	"artesian/internal/compute/sandbox/gvisor"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// snapshots keeps the images that published versions go on from: durable and encrypted as blobs, those in use in memory.
type snapshots struct {
	changes
	app    *App
	node   *node.Node
	keeper sandbox.Keeper
	why    error // why there are none

	storing sync.Mutex // held from when a blob is written until it is referred to

	mu      sync.Mutex
	ready   map[faas.VersionID]*loaded
	reading map[faas.VersionID]chan struct{} // closed when one has been read, or could not be
	renewed map[faas.VersionID]string        // on what ground an image was last to be made anew
	stored  map[kv.Key]string                // blobs of all images
}

// loaded is an image in memory. It is closed when nobody uses it any more.
type loaded struct {
	image sandbox.Image
	about about
	users int
	gone  bool
}

// about is the record of an image.
type about struct {
	Revision string  `json:"revision"` // of the version
	Ground   string  `json:"ground"`   // what it stands on, see node.Ground
	Address  string  `json:"address"`
	SHA256   string  `json:"sha256"` // of the blob that holds its files one after the other
	Sizes    []int64 `json:"sizes"`
}

const (
	kindImage    = "image" // name:number → about
	mostImages   = 16      // in memory
	leastInit    = 130 * time.Second
	maxImage     = 10 << 30
	imageFailed  = "FunctionError"
	imageTimeout = "FunctionError.InitTimeout"
)

// openSnapshots finds out whether images can be made here.
func (a *App) openSnapshots(n *node.Node) {
	s := &a.snapshots
	s.app, s.node = a, n
	s.ready, s.stored = map[faas.VersionID]*loaded{}, map[kv.Key]string{}
	s.reading, s.renewed = map[faas.VersionID]chan struct{}{}, map[faas.VersionID]string{}
	stop := a.store.Watch(kindImage, s.follow)
	a.onStop(func(context.Context) error { stop(); return nil })
	switch m := a.maker.(type) {
	case *gvisor.Maker:
		a.snapshots.keeper = m
	case *container.Maker:
		g, err := gvisor.New(m, container.Self, a.cfg.Logger)
		if a.snapshots.why = err; err == nil {
			a.snapshots.keeper = g
		}
	default:
		a.snapshots.why = fmt.Errorf("isolation level %s", a.maker.Level())
	}
	if a.snapshots.keeper != nil {
		n.Images, n.Keeper = &a.snapshots, a.snapshots.keeper
	}
}

// snapStart says why no version can go on from an image here.
func (a *App) snapStart() error { return a.snapshots.why }

// keep makes an image and stores it.
func (s *snapshots) keep(ctx context.Context, v *faas.Version) error {
	ground, err := s.node.Ground(ctx, v)
	if err != nil {
		return err
	}
	image, address, err := s.node.Snapshot(ctx, v)
	if err != nil {
		return err
	}
	a := about{Revision: v.ID.Revision, Ground: ground, Address: address}
	var parts []io.Reader
	for _, f := range image.Files() {
		info, err := f.Stat()
		if err != nil {
			return errors.Join(err, image.Close())
		}
		a.Sizes = append(a.Sizes, info.Size())
		parts = append(parts, io.NewSectionReader(f, 0, info.Size()))
	}
	if err := s.store(ctx, v.ID, &a, io.MultiReader(parts...)); err != nil {
		return errors.Join(fmt.Errorf("store image: %w", err), image.Close())
	}
	s.add(v.ID, &loaded{image: image, about: a})
	return nil
}

// store writes an image, and then its record: one without a record is none, and its blob is removed as unused.
func (s *snapshots) store(ctx context.Context, id faas.VersionID, a *about, image io.Reader) (err error) {
	s.storing.Lock()
	defer s.storing.Unlock()
	if a.SHA256, _, err = s.app.blobs.Put(ctx, image, maxImage); err != nil {
		return err
	}
	value, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return s.write(ctx, imageKey(id), value)
}

func (s *snapshots) write(ctx context.Context, key kv.Key, value []byte) error {
	if e, ok := s.app.store.Get(key); ok {
		_, err := s.app.store.Update(ctx, key, value, e.Rev)
		return err
	}
	_, err := s.app.store.Create(ctx, key, value)
	return err
}

// Image implements node.Images. However many ask for an image that is not in memory, it is read once.
func (s *snapshots) Image(ctx context.Context, v *faas.Version) (sandbox.Image, string, func(), error) {
	ground, err := s.node.Ground(ctx, v)
	if err != nil {
		return nil, "", nil, err
	}
	for {
		s.mu.Lock()
		l, reading := s.ready[v.ID], s.reading[v.ID]
		switch {
		case l != nil && l.about.Ground != ground:
			s.mu.Unlock()
			s.renew(v.ID, ground)
			return nil, "", nil, errOutdated
		case l != nil:
			l.users++
			s.mu.Unlock()
			return l.image, l.about.Address, func() { s.release(l) }, nil
		case reading == nil:
			reading = make(chan struct{})
			s.reading[v.ID] = reading
			s.mu.Unlock()
			err := s.read(ctx, v.ID, ground)
			s.mu.Lock()
			delete(s.reading, v.ID)
			close(reading)
			s.mu.Unlock()
			if err != nil {
				return nil, "", nil, err
			}
			continue
		}
		s.mu.Unlock()
		select {
		case <-reading:
		case <-ctx.Done():
			return nil, "", nil, ctx.Err()
		}
	}
}

// errOutdated is why an image that there is is not used: what is in memory of the interpreter, say, would not fit its files any more.
var errOutdated = errors.New("the interpreter, the machine or this program is another than when it was made; it is made anew")

// read makes a stored image ready.
func (s *snapshots) read(ctx context.Context, id faas.VersionID, ground string) error {
	a, err := s.record(id)
	if err != nil {
		return err
	}
	if a.Ground != ground {
		s.renew(id, ground)
		return errOutdated
	}
	l, err := s.load(ctx, a)
	if err == nil {
		s.add(id, l)
	}
	return err
}

// record finds what is known of a version's image.
func (s *snapshots) record(id faas.VersionID) (a about, err error) {
	e, ok := s.app.store.Get(imageKey(id))
	if !ok {
		return a, errors.New("none was made")
	}
	if err := json.Unmarshal(e.Value, &a); err != nil {
		return a, fmt.Errorf("read image's record: %w", err)
	}
	if a.Revision != id.Revision {
		return a, errors.New("none was made of this revision")
	}
	return a, nil
}

// load reads an image into memory.
func (s *snapshots) load(ctx context.Context, a about) (*loaded, error) {
	l := loaded{about: a}
	r, _, err := s.app.blobs.Open(ctx, l.about.SHA256)
	if err != nil {
		return nil, fmt.Errorf("open image: %w", err)
	}
	defer func() { _ = r.Close() }()
	if l.image, err = s.keeper.NewImage(); err != nil {
		return nil, err
	}
	for i, f := range l.image.Files() {
		if i >= len(l.about.Sizes) {
			return nil, errors.Join(errors.New("the image's record lacks a file"), l.image.Close())
		}
		if _, err := io.CopyN(io.NewOffsetWriter(f, 0), r, l.about.Sizes[i]); err != nil {
			return nil, errors.Join(fmt.Errorf("read image: %w", err), l.image.Close())
		}
	}
	return &l, nil
}

// add makes an image ready, in place of others when there are too many.
func (s *snapshots) add(id faas.VersionID, l *loaded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, o := range s.ready {
		if other == id || len(s.ready) >= mostImages {
			delete(s.ready, other)
			s.drop(o)
		}
	}
	s.ready[id] = l
}

func (s *snapshots) release(l *loaded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.users--
	if l.gone && l.users == 0 {
		_ = l.image.Close()
	}
}

// drop closes an image, now or when its last user is done. It is called with mu.
func (s *snapshots) drop(l *loaded) {
	l.gone = true
	if l.users == 0 {
		_ = l.image.Close()
	}
}

// forget removes the image of a version that is gone, or those of a function.
func (s *snapshots) forget(ctx context.Context, id faas.VersionID) {
	prefix := id.Name + ":"
	for _, e := range s.app.store.List(id.Scope, kindImage, prefix) {
		if id.Version != faas.Latest && e.Key.Name != prefix+id.Version {
			continue
		}
		if err := s.app.store.Delete(ctx, e.Key, e.Rev); err != nil {
			s.app.cfg.Logger.Warn("remove an image", "function", id.FunctionID.ARN(), "error", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, l := range s.ready {
		if other.FunctionID == id.FunctionID && (id.Version == faas.Latest || other.Version == id.Version) {
			delete(s.ready, other)
			s.drop(l)
		}
	}
}

func (s *snapshots) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, l := range s.ready {
		delete(s.ready, id)
		s.drop(l)
	}
}

// settled waits until what refers to the blobs that there are is known.
func (s *snapshots) settled() {
	s.storing.Lock()
	defer s.storing.Unlock()
}

// refers reports whether a blob holds the image of a version that there is.
func (s *snapshots) refers(sha256 string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sha := range s.stored {
		if sha == sha256 {
			return true
		}
	}
	return false
}

// follow keeps what refers needs.
func (s *snapshots) follow(e kv.Entry, deleted bool) {
	var a about
	s.mu.Lock()
	defer s.mu.Unlock()
	if deleted || json.Unmarshal(e.Value, &a) != nil {
		delete(s.stored, e.Key)
		return
	}
	s.stored[e.Key] = a.SHA256
}

func imageKey(id faas.VersionID) kv.Key {
	return kv.Key{Scope: id.Scope, Kind: kindImage, Name: id.Name + ":" + id.Version}
}
