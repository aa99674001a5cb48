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
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// images keeps what published versions go on from: durable and encrypted as blobs, those in use in memory, which counts as functions' memory.
type images struct {
	app    *App
	node   *node.Node
	keeper sandbox.Keeper

	storing sync.Mutex // held from when a blob is written until it is referred to

	mu      sync.Mutex
	ready   map[faas.VersionID]*loaded
	reading map[faas.VersionID]chan struct{} // closed when one has been read, or could not be
	renewed map[faas.VersionID]string        // on what ground an image was last to be made anew
	stored  map[kv.Key]about
	used    map[kv.Key]time.Time // since the daemon's start

	beyond chan struct{} // holds one for each image that was read though there was no memory for it
}

// loaded is an image in memory. It is closed when nobody uses it any more.
type loaded struct {
	image  sandbox.Image
	about  about
	users  int
	used   time.Time
	lentMB int  // what it has of the functions' memory; 0: it goes with its last user
	beyond bool // it has one of the places for images that have none
	gone   bool // it is not among those that are ready
}

// about is the record of an image.
type about struct {
	Revision string    `json:"revision"` // of the version
	Ground   string    `json:"ground"`   // what it stands on, see node.Ground
	Address  string    `json:"address"`
	SHA256   string    `json:"sha256"` // of the blob that holds its files one after the other
	Sizes    []int64   `json:"sizes"`
	Used     time.Time `json:"used"` // when it was made, or last used as far as is written
}

func (a *about) size() (bytes int64) {
	for _, n := range a.Sizes {
		bytes += n
	}
	return bytes
}

const (
	kindImage  = "image" // name:number → about
	mostImages = 16      // in memory
	mostBeyond = 4       // of those, without having any of the functions'
	maxImage   = 10 << 30
	idleImage  = 14 * 24 * time.Hour
	oftenUsed  = 24 * time.Hour // the use of an image is written as often
)

func newImages(a *App, n *node.Node) images {
	return images{app: a, node: n, ready: map[faas.VersionID]*loaded{}, reading: map[faas.VersionID]chan struct{}{}, renewed: map[faas.VersionID]string{},
		stored: map[kv.Key]about{}, used: map[kv.Key]time.Time{}, beyond: make(chan struct{}, mostBeyond)}
}

// most is how many bytes of the disk images may take together.
func (s *images) most() int64 { return int64(s.app.cfg.ImagesMB) << 20 }

// Image implements node.Images. However many ask for an image that is not in memory, it is read once.
func (s *snapshots) Image(ctx context.Context, v *faas.Version) (sandbox.Image, string, func(), error) {
	ground, err := s.node.Ground(ctx, v)
	if err != nil {
		return nil, "", nil, err
	}
	l, err := s.lend(ctx, v.ID, ground)
	if err != nil {
		return nil, "", nil, err
	}
	return l.image, l.about.Address, func() { s.release(v.ID, l) }, nil
}

// lend finds an image that was made on a ground, for one user.
func (s *snapshots) lend(ctx context.Context, id faas.VersionID, ground string) (*loaded, error) {
	for {
		s.images.mu.Lock()
		l, reading := s.ready[id], s.reading[id]
		switch {
		case l != nil && l.about.Ground != ground:
			s.images.mu.Unlock()
			s.renew(id, ground)
			return nil, errOutdated
		case l != nil:
			l.users++
			l.used = time.Now()
			s.use(id, l.used)
			s.images.mu.Unlock()
			return l, nil
		case reading == nil:
			reading = make(chan struct{})
			s.reading[id] = reading
			s.images.mu.Unlock()
			l, err := s.read(ctx, id, ground)
			s.images.mu.Lock()
			delete(s.reading, id)
			close(reading)
			s.use(id, time.Now())
			s.images.mu.Unlock()
			if err != nil {
				return nil, err
			}
			return l, nil
		}
		s.images.mu.Unlock()
		select {
		case <-reading:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// use notes the use of an image that is stored. It is called with mu.
func (s *images) use(id faas.VersionID, at time.Time) {
	if key := imageKey(id); s.stored[key].SHA256 != "" {
		s.used[key] = at
	}
}

// errOutdated is why an image that there is is not used: what is in memory of the interpreter, say, would not fit its files any more.
var errOutdated = errors.New("the interpreter, the machine or this program is another than when it was made; it is made anew")

// read makes a stored image ready, for one user.
func (s *snapshots) read(ctx context.Context, id faas.VersionID, ground string) (*loaded, error) {
	a, err := s.record(id)
	if err != nil {
		return nil, err
	}
	if a.Ground != ground {
		s.renew(id, ground)
		return nil, errOutdated
	}
	l := &loaded{about: a, users: 1}
	if err := s.claim(ctx, l); err != nil {
		return nil, err
	}
	if err := s.load(ctx, l); err != nil {
		s.unclaim(l)
		return nil, err
	}
	s.add(id, l)
	return l, nil
}

// record finds what is known of a version's image.
func (s *images) record(id faas.VersionID) (a about, err error) {
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
func (s *images) load(ctx context.Context, l *loaded) error {
	r, _, err := s.app.blobs.Open(ctx, l.about.SHA256)
	if err != nil {
		return fmt.Errorf("open image: %w", err)
	}
	defer func() { _ = r.Close() }()
	if l.image, err = s.keeper.NewImage(); err != nil {
		return err
	}
	for i, f := range l.image.Files() {
		if i >= len(l.about.Sizes) {
			return errors.Join(errors.New("the image's record lacks a file"), l.image.Close())
		}
		if _, err := io.CopyN(io.NewOffsetWriter(f, 0), r, l.about.Sizes[i]); err != nil {
			return errors.Join(fmt.Errorf("read image: %w", err), l.image.Close())
		}
	}
	return nil
}

// borrow takes memory for an image, that of images which were used longest ago where it is short; false if there is none.
func (s *images) borrow(l *loaded) bool {
	mb := int((l.about.size() + 1<<20 - 1) >> 20)
	s.mu.Lock()
	defer s.mu.Unlock()
	lent := s.app.pool.Borrow(mb)
	for !lent && s.dropOldest() {
		lent = s.app.pool.Borrow(mb)
	}
	if lent {
		l.lentMB = mb
	}
	return lent
}

// claim is borrow before an image is read. Where there is no memory it waits until few others are without, for as long as their restores take.
func (s *images) claim(ctx context.Context, l *loaded) error {
	if s.borrow(l) {
		return nil
	}
	select {
	case s.beyond <- struct{}{}:
		l.beyond = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *images) unclaim(l *loaded) {
	s.app.pool.Return(l.lentMB)
	if l.beyond {
		<-s.beyond
	}
	l.lentMB, l.beyond = 0, false
}

// add makes an image that has a user ready for others, in place of an older one of its version and, where there are too many, of the one
// that was used longest ago.
func (s *images) add(id faas.VersionID, l *loaded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(id)
	for len(s.ready) >= mostImages && s.dropOldest() {
	}
	l.used = time.Now()
	s.ready[id] = l
}

// release says that a user is done.
func (s *images) release(id faas.VersionID, l *loaded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.users--
	if l.users == 0 && l.lentMB == 0 && !l.gone {
		s.drop(id)
	} else if l.users == 0 && l.gone {
		s.end(l)
	}
}

// drop takes an image out of those that are ready; it is closed now or when its last user is done. It is called with mu.
func (s *images) drop(id faas.VersionID) {
	l := s.ready[id]
	if l == nil {
		return
	}
	delete(s.ready, id)
	l.gone = true
	if l.users == 0 {
		s.end(l)
	}
}

// end closes an image. It is called with mu.
func (s *images) end(l *loaded) {
	_ = l.image.Close()
	s.unclaim(l)
}

// dropOldest drops the image without a user that was used longest ago; false when all have one. It is called with mu.
func (s *images) dropOldest() bool {
	var oldest faas.VersionID
	found := false
	for id, l := range s.ready {
		if l.users == 0 && (!found || l.used.Before(s.ready[oldest].used)) {
			oldest, found = id, true
		}
	}
	s.drop(oldest)
	return found
}

// yield drops images without a user, because a start lacks memory.
func (s *images) yield() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.dropOldest() {
	}
}

func (s *images) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.ready {
		s.drop(id)
	}
}

// store writes an image, and then its record: one without a record is none, and its blob is removed as unused.
func (s *images) store(ctx context.Context, id faas.VersionID, a *about, image io.Reader) (err error) {
	s.storing.Lock()
	defer s.storing.Unlock()
	if a.SHA256, _, err = s.app.blobs.Put(ctx, image, maxImage); err != nil {
		return err
	}
	return s.write(ctx, imageKey(id), a)
}

func (s *images) write(ctx context.Context, key kv.Key, a *about) error {
	value, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if e, ok := s.app.store.Get(key); ok {
		_, err := s.app.store.Update(ctx, key, value, e.Rev)
		return err
	}
	_, err = s.app.store.Create(ctx, key, value)
	return err
}

// forget removes the image of a version that is gone, or those of a function.
func (s *images) forget(ctx context.Context, id faas.VersionID) {
	prefix := id.Name + ":"
	for _, e := range s.app.store.List(id.Scope, kindImage, prefix) {
		if id.Version != faas.Latest && e.Key.Name != prefix+id.Version {
			continue
		}
		if err := s.remove(ctx, e); err != nil {
			s.app.cfg.Logger.Warn("remove an image", "function", id.FunctionID.ARN(), "error", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for other := range s.ready {
		if other.FunctionID == id.FunctionID && (id.Version == faas.Latest || other.Version == id.Version) {
			s.drop(other)
		}
	}
}

// remove deletes the record of an image, and its blob unless another version has the same.
func (s *images) remove(ctx context.Context, e kv.Entry) error {
	s.storing.Lock()
	defer s.storing.Unlock()
	var a about
	if err := json.Unmarshal(e.Value, &a); err != nil {
		return err
	}
	if err := s.app.store.Delete(ctx, e.Key, e.Rev); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.stored, e.Key)
	s.mu.Unlock()
	if s.refers(a.SHA256) {
		return nil
	}
	return s.app.blobs.Delete(ctx, a.SHA256)
}

// settled waits until what refers to the blobs that there are is known.
func (s *images) settled() {
	s.storing.Lock()
	defer s.storing.Unlock()
}

// refers reports whether a blob holds the image of a version that there is.
func (s *images) refers(sha256 string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.stored {
		if a.SHA256 == sha256 {
			return true
		}
	}
	return false
}

// follow keeps what refers needs.
func (s *images) follow(e kv.Entry, deleted bool) {
	var a about
	s.mu.Lock()
	defer s.mu.Unlock()
	if deleted || json.Unmarshal(e.Value, &a) != nil {
		delete(s.stored, e.Key)
		delete(s.used, e.Key)
		return
	}
	s.stored[e.Key] = a
}

func imageKey(id faas.VersionID) kv.Key {
	return kv.Key{Scope: id.Scope, Kind: kindImage, Name: id.Name + ":" + id.Version}
}
