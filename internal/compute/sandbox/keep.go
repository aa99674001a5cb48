package sandbox

import (
	"context"
	"os"
)

// Keeper makes sandboxes of which images can be made, and sandboxes from images.
type Keeper interface {
	// StartKept is Start of a sandbox of which an image is to be made. It runs nothing beside the main process, and what is in /tmp counts as its memory.
	StartKept(ctx context.Context, s Spec) (Sandbox, error)
	// Snapshot saves what runs in such a sandbox, which ends.
	Snapshot(ctx context.Context, s Sandbox) (Image, error)
	// Restore is Start of a sandbox that goes on where an image was taken. S may differ from what that was started with in ID, Listen and Env; what runs
	// keeps the environment that it had. Its channel is a new one.
	Restore(ctx context.Context, s Spec, image Image) (Sandbox, error)
	// NewImage makes one that is to be filled with what another's files held.
	NewImage() (Image, error)
}

// Image is a sandbox as it was at one moment: its memory, its processes and what they have open. It is in memory.
type Image interface {
	// Files are what it consists of, always as many.
	Files() []*os.File
	// Close forgets it. What was restored from it lives on.
	Close() error
}
