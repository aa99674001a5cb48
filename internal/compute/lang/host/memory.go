package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"artesian/internal/compute/lang/durable"
	"artesian/internal/faas"
)

// memory is what is known of one file: the facts it told, or why it is of no use.
type memory struct {
	Language string `json:"language"`
	Path     string `json:"path"`
	Modified int64  `json:"modified"` // Unix nanoseconds
	Size     int64  `json:"size"`
	Facts    *facts `json:"facts,omitempty"`
	Reason   string `json:"reason,omitempty"`
	late     bool   // it has not answered, which is not remembered
}

// memories is the file of them. It may vanish at any time: the interpreters are asked again.
type memories struct {
	Format int      `json:"format"` // of this file; another one is disregarded
	Known  []memory `json:"known"`
}

const memoryFormat = 2

func (c *Catalog) memoryFile() string { return filepath.Join(c.cfg.Dir, "interpreters.json") }
func (c *Catalog) addedFile() string  { return filepath.Join(c.cfg.Dir, "added.json") }

func (c *Catalog) readMemory() memories {
	var m memories
	data, err := os.ReadFile(c.memoryFile())
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil || m.Format != memoryFormat {
		return memories{}
	}
	return m
}

func (c *Catalog) writeMemory(known []memory) {
	data, err := json.Marshal(memories{Format: memoryFormat, Known: known})
	if err == nil {
		err = durable.Replace(c.memoryFile(), data, 0o600)
	}
	if err != nil {
		c.cfg.Logger.Warn("what was found of interpreters is not remembered", "error", err)
	}
}

// recall returns what is known of the file at path, asking it when it has changed. That it didn't answer in time is not
// known for ever: it may be the machine's fault.
func (m memories) recall(ctx context.Context, g *language, path string) memory {
	info, err := os.Stat(path)
	if err != nil {
		return memory{Language: g.name, Path: path, Reason: err.Error()}
	}
	now := memory{Language: g.name, Path: path, Modified: info.ModTime().UnixNano(), Size: info.Size()}
	i := slices.IndexFunc(m.Known, func(k memory) bool {
		return k.Language == g.name && k.Path == path && k.Modified == now.Modified && k.Size == now.Size
	})
	if i >= 0 && (m.Known[i].Facts == nil || g.check(m.Known[i].Facts) == nil) {
		return m.Known[i]
	}
	now.Facts, err = g.probe(ctx, path)
	if err != nil {
		now.Reason = err.Error()
		now.late = errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	}
	return now
}

// Add has the interpreter at path serve, now and after a restart, before those that are found.
func (c *Catalog) Add(ctx context.Context, path string) (Info, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil || !filepath.IsAbs(real) {
		return Info{}, faas.Errorf(faas.Invalid, "path %q is not an absolute path of an existing file", path)
	}
	l, err := c.join(ctx)
	if err != nil {
		return Info{}, err
	}
	e, err := l.try(ctx, real)
	if err != nil {
		return Info{}, &faas.Error{Kind: faas.Invalid, Op: "add runtime", Message: fmt.Sprintf("%s is of no use as an interpreter", path), Cause: err}
	}
	c.adding.Lock()
	defer c.adding.Unlock()
	added, err := c.readAdded()
	if err != nil {
		return Info{}, err
	}
	this := addition{Language: e.language.name, Path: real, Executable: e.facts.Executable}
	if !slices.Contains(added, this) {
		if err := c.writeAdded(append(added, this)); err != nil {
			return Info{}, err
		}
	}
	l.prepend(e)
	return e.info(), nil
}

// try asks the interpreter at path, and has it ready to serve.
func (l *look) try(ctx context.Context, path string) (*entry, error) {
	var all []error
	for _, g := range likely(path) {
		f, err := g.probe(ctx, path)
		if err != nil {
			all = append(all, err)
			continue
		}
		e := newEntry(g, f, "added")
		_, err = e.plan(ctx, l.ground)
		return e, err
	}
	return nil, errors.Join(all...)
}

// Remove undoes Add. One that is found without having been added goes on serving.
func (c *Catalog) Remove(ctx context.Context, path string) error {
	real := path
	if r, err := filepath.EvalSymlinks(path); err == nil {
		real = r
	}
	if err := c.forget(path, real); err != nil {
		return err
	}
	c.again()
	_, err := c.join(ctx)
	return err
}

func (c *Catalog) forget(path, real string) error {
	c.adding.Lock()
	defer c.adding.Unlock()
	added, err := c.readAdded()
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(added), func(a addition) bool { return a.Path == real || a.Executable == real })
	if len(left) == len(added) {
		return faas.Errorf(faas.NotFound, "no runtime was added from %s", path)
	}
	return c.writeAdded(left)
}

// addition is one interpreter added by hand: the file that was named, and what it says it is.
type addition struct {
	Language   string `json:"language"`
	Path       string `json:"path"`
	Executable string `json:"executable"`
}

func (c *Catalog) readAdded() ([]addition, error) {
	data, err := os.ReadFile(c.addedFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var added []addition
	if err == nil {
		err = json.Unmarshal(data, &added)
	}
	if err != nil {
		return nil, fmt.Errorf("read added runtimes: %w", err)
	}
	return added, nil
}

func (c *Catalog) writeAdded(added []addition) error {
	data, err := json.Marshal(added)
	if err != nil {
		return fmt.Errorf("write added runtimes: %w", err)
	}
	return durable.Replace(c.addedFile(), data, 0o600)
}
