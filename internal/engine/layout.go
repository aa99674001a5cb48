package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"artesian/internal/faas"
)

// The data directory:
//
//	lock         held by the one process that uses the directory; contains its pid
//	format.json  the format of everything else, and a check value of each key
//	keys/        one file per key, mode 0600
//	engine/      JetStream's store
//	blobs/       content-addressed files
const (
	formatFile = "format.json"
	format     = 1
	storeDir   = "engine"
	blobDir    = "blobs"
)

// layout is the content of format.json. A reader that finds another Format leaves the directory alone.
type layout struct {
	Format int               `json:"format"`
	Keys   map[string]string `json:"keys"` // check value by name of key
}

// openLayout returns the keys of the data directory, locked. Nothing is written before the format is known to be ours.
func openLayout(dir string) (*dirLock, map[string][]byte, error) {
	have, err := readFormat(dir)
	if err != nil {
		return nil, nil, err
	}
	if have == nil && !holdsData(dir) {
		if err := refuseForeign(dir); err != nil {
			return nil, nil, err
		}
	}
	if err := makeDir(dir); err != nil {
		return nil, nil, err
	}
	lock, err := acquire(dir)
	if err != nil {
		return nil, nil, err
	}
	keys, err := keysOf(dir)
	if err != nil {
		lock.release()
		return nil, nil, err
	}
	return lock, keys, nil
}

// keysOf loads the keys, or makes keys and format on first use. The lock is held.
func keysOf(dir string) (map[string][]byte, error) {
	have, err := readFormat(dir)
	if err != nil {
		return nil, err
	}
	if have != nil {
		return loadKeys(dir, have.Keys)
	}
	if holdsData(dir) {
		return nil, refuse("%s holds data but its %s is missing; restore that file from a backup or choose another directory",
			dir, formatFile)
	}
	return firstStart(dir)
}

func holdsData(dir string) bool {
	for _, sub := range []string{storeDir, blobDir} {
		if names, err := os.ReadDir(filepath.Join(dir, sub)); err == nil && len(names) > 0 {
			return true
		}
	}
	return false
}

// beforeFirstStart are the names that a directory may have before its first start: what a file system makes, what an
// administrator prepares, and what a first start that was cut short leaves, temporary files (.new-*) aside.
var beforeFirstStart = [...]string{"lost+found", "config.json", "prices.json", "lock", "keys", storeDir, blobDir}

// refuseForeign refuses a directory with files of somebody else's, which keys and data are not to be mixed with.
func refuseForeign(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return explain(err, dir)
	}
	for _, e := range entries {
		if !slices.Contains(beforeFirstStart[:], e.Name()) && !strings.HasPrefix(e.Name(), ".new-") {
			return refuse("%s is not a data directory and not empty (it has %s); name an empty or a new one", dir, e.Name())
		}
	}
	return nil
}

// firstStart makes the keys, then the format file that commits to them: a crash between leaves keys without data, which
// the next first start reuses.
func firstStart(dir string) (map[string][]byte, error) {
	keys, err := makeKeys(dir)
	if err != nil {
		return nil, err
	}
	l := layout{Format: format, Keys: map[string]string{}}
	for name, key := range keys {
		l.Keys[name] = keyCheck(key)
	}
	b, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode format file: %w", err)
	}
	if err := writeDurably(filepath.Join(dir, formatFile), append(b, '\n')); err != nil {
		return nil, explain(err, dir)
	}
	return keys, nil
}

// readFormat returns nil when there is no format file yet.
func readFormat(dir string) (*layout, error) {
	path := filepath.Join(dir, formatFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(err, dir)
	}
	return parseFormat(path, b)
}

func parseFormat(path string, b []byte) (*layout, error) {
	var probe struct{ Format *int }
	if err := json.Unmarshal(b, &probe); err != nil || probe.Format == nil {
		return nil, refuse("%s is damaged: it does not say which format the data has; restore it from a backup", path)
	}
	if *probe.Format != format {
		return nil, refuse("%s says that the data has format %d; this version reads only format %d, so nothing was touched", path,
			*probe.Format, format)
	}
	var l layout
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return nil, refuse("%s is damaged: %v; restore it from a backup", path, err)
	}
	return &l, nil
}

// refuse is an error whose message is the whole sentence for the user.
func refuse(format string, args ...any) *faas.Error {
	return faas.Errorf(faas.Unavailable, format, args...)
}

// explain turns what the file system said about the data directory into one sentence.
func explain(err error, dir string) error {
	e := refuse("the data directory %s cannot be used", dir)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e = refuse("the disk that holds %s is full; free some space or choose another data directory", dir)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		e = refuse("the data directory %s is not writable for this user; correct its permissions or choose another", dir)
	case errors.Is(err, syscall.ENOTDIR):
		e = refuse("the data directory %s is not a directory", dir)
	}
	e.Cause = err
	return e
}
