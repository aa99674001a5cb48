package gvisor

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/gvisor/wire"
	"artesian/internal/faas"
)

// image implements sandbox.Image.
type image struct {
	files [3]*os.File // in the order of wire.Save
}

// NewImage implements sandbox.Keeper.
func (m *Maker) NewImage() (sandbox.Image, error) { return newImage() }

func newImage() (*image, error) {
	var m image
	for i := range m.files {
		fd, err := unix.MemfdCreate("sandbox image", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("make image: %w", err), m.Close())
		}
		m.files[i] = os.NewFile(uintptr(fd), "sandbox image")
	}
	return &m, nil
}

// Files implements sandbox.Image.
func (m *image) Files() []*os.File { return m.files[:] }

// seal keeps it as it is: who has broken out of the kernel that goes on from it has descriptors of it, as all others have that do.
func (m *image) seal() error {
	for _, f := range m.files {
		if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK); err != nil {
			return fmt.Errorf("seal image: %w", err)
		}
	}
	return nil
}

// Close implements sandbox.Image.
func (m *image) Close() error {
	var errs []error
	for _, f := range m.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// StartKept implements sandbox.Keeper: /tmp is in the kernel's memory, and so a part of the image.
func (m *Maker) StartKept(ctx context.Context, s sandbox.Spec) (sandbox.Sandbox, error) {
	if err := keepable(s); err != nil {
		return nil, err
	}
	return m.launch(ctx, s, wire.Order{Kind: wire.Run, Program: m.program(s, true)})
}

// keepable refuses what no image can be made of.
func keepable(s sandbox.Spec) error {
	if len(s.Beside) > 0 || s.Fork != nil {
		return faas.Errorf(faas.Invalid, "sandbox: an image is made of a main process that was executed, with nothing beside it")
	}
	return s.Check()
}

// Snapshot saves what runs in a sandbox that StartKept has started; that ends with it. What the program has open that only this machine's
// kernel has (connections, which have their other end elsewhere) is not saved, and the program finds it broken when it goes on.
func (m *Maker) Snapshot(ctx context.Context, s sandbox.Sandbox) (sandbox.Image, error) {
	i, ok := s.(*instance)
	if !ok || !i.kept {
		return nil, faas.Errorf(faas.Invalid, "snapshot: a sandbox that was not started for it")
	}
	image, err := newImage()
	if err != nil {
		return nil, err
	}
	if err := i.ask(ctx, wire.Order{Kind: wire.Save}, image.files[:]...); err != nil {
		return nil, errors.Join(fmt.Errorf("save sandbox %s: %w", i.spec.ID, err), image.Close())
	}
	return image, nil
}

// Restore is Start of a sandbox that goes on where an image was taken. S differs from what that was started with in ID and Listen
// at most. Its channel is a new one in place of the old, so nothing that was under way in that one arrives.
func (m *Maker) Restore(ctx context.Context, s sandbox.Spec, saved sandbox.Image) (sandbox.Sandbox, error) {
	if err := keepable(s); err != nil {
		return nil, err
	}
	i, ok := saved.(*image)
	if !ok {
		return nil, faas.Errorf(faas.Invalid, "restore: an image of another maker")
	}
	if err := i.seal(); err != nil {
		return nil, err
	}
	return m.launch(ctx, s, wire.Order{Kind: wire.Restore, Program: m.program(s, true)}, i.files[:]...)
}
