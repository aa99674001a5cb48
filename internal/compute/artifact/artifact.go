// Package artifact turns an uploaded deployment package into a directory that instances share read-only. A package is
// judged whole before anything of it is stored: sizes are counted while inflating, never taken from its headers.
package artifact

import (
	"context"
	"io"

	"artesian/internal/faas"
)

// Bounds of a package beside faas.MaxZipBytes and faas.MaxUnpackedBytes.
const (
	MaxEntries    = 65536 // files, links and directories together, implied directories too
	maxNameBytes  = 1024  // of one entry's path; leaves room for the host's own prefix within PATH_MAX
	maxElement    = 255   // bytes between two slashes, as Linux file systems have it
	maxLinkBytes  = 1024  // of a symbolic link's target
	maxLinkHops   = 40    // as the kernel follows
	notAZip       = "Could not unzip uploaded file. Please check your file, then try to upload again."
	tooLarge      = "Unzipped size must be smaller than 262144000 bytes"
	emptyZip      = "Uploaded file must be a non-empty zip"
	inflateBuffer = 64 << 10
)

// Info describes a package that passed Check.
type Info struct {
	Files    int   // regular files
	Links    int   // symbolic links
	Unpacked int64 // bytes of all regular files
}

// Check reads the whole package, inflating every entry, and returns *faas.Error (Invalid) naming the first entry that
// is not acceptable. It writes nothing.
func Check(ctx context.Context, r io.ReaderAt, size int64) (Info, error) {
	return unpack(ctx, r, size, discard{})
}

// refuse returns the error for one entry. The sentence in front is Lambda's own.
func refuse(name, why string) error {
	return faas.Errorf(faas.Invalid, "%s Entry %q: %s.", notAZip, name, why)
}

// broken returns the error for an archive that cannot be read at all; cause stays in the log.
func broken(cause error) error {
	return &faas.Error{Kind: faas.Invalid, Message: notAZip, Cause: cause}
}
