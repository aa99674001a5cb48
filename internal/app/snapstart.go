package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"artesian/internal/compute/pool"
	"artesian/internal/compute/pool/node"
	"artesian/internal/compute/registry"
	"artesian/internal/compute/sandbox/container"
	"artesian/internal/compute/sandbox/gvisor"
	"artesian/internal/faas"
)

// snapshots makes the images that published versions go on from.
type snapshots struct {
	changes
	images
	why error // why there are none

	waking sync.Map // versions that were called when they were Inactive
}

const (
	leastInit    = 130 * time.Second
	imageWait    = 5 * time.Second // at most, that calls which lack memory stand behind an image to be made
	imageFailed  = "FunctionError"
	imageTimeout = "FunctionError.InitTimeout"
)

// openSnapshots finds out whether images can be made here.
func (a *App) openSnapshots(n *node.Node) {
	a.snapshots.images = newImages(a, n)
	stop := a.store.Watch(kindImage, a.snapshots.follow)
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
	if s.keeper == nil { // there was one when SnapStart was asked for
		return faas.Errorf(faas.Unsupported, "not possible on this node: %v", s.why)
	}
	ground, err := s.node.Ground(ctx, v)
	if err != nil {
		return err
	}
	if err := s.room(ctx, v.MemoryMB); err != nil {
		return err
	}
	image, address, err := s.node.Snapshot(ctx, v)
	s.app.pool.Return(v.MemoryMB)
	if err != nil {
		return err
	}
	a := about{Revision: v.ID.Revision, Ground: ground, Address: address, Used: time.Now().UTC()}
	var parts []io.Reader
	for _, f := range image.Files() {
		info, err := f.Stat()
		if err != nil {
			return errors.Join(err, image.Close())
		}
		a.Sizes = append(a.Sizes, info.Size())
		parts = append(parts, io.NewSectionReader(f, 0, info.Size()))
	}
	if most := s.most(); a.size() > most {
		return errors.Join(faas.Errorf(faas.Unsupported, "its image has %d MB, and all together may have %d (images_mb)", a.size()>>20, most>>20), image.Close())
	}
	s.evict(ctx, a.size(), imageKey(v.ID))
	if err := s.store(ctx, v.ID, &a, io.MultiReader(parts...)); err != nil {
		return errors.Join(fmt.Errorf("store image: %w", err), image.Close())
	}
	l := &loaded{image: image, about: a, users: 1}
	s.borrow(l)
	s.add(v.ID, l)
	s.release(v.ID, l)
	return nil
}

// room takes the memory of an instance as a start does, a little at a time: calls do not wait for images.
func (s *snapshots) room(ctx context.Context, mb int) error {
	for {
		once, cancel := context.WithTimeout(ctx, imageWait)
		err := s.app.pool.Take(once, mb)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, pool.ErrNoMemory) {
			return err
		}
	}
}

// awaken has the image of a version that is Inactive made again, because it is called.
func (s *snapshots) awaken(v *faas.Version) {
	s.waking.Store(v.ID, true)
	s.noteAny(v.ID)
}

// resume has such a version wait for its image. Nobody is told of that.
func (s *snapshots) resume(ctx context.Context, v *faas.Version) bool {
	s.waking.Delete(v.ID)
	err := s.app.functions.Settle(ctx, v.ID, registry.Restoring)
	if err != nil && ctx.Err() == nil {
		s.app.cfg.Logger.Warn("resume a version", "function", v.ID.FunctionID.ARN(), "version", v.ID.Version, "error", err)
	}
	return err == nil
}
