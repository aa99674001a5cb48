package sandboxtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"artesian/internal/compute/sandbox"
)

// Cells is a Maker each of whose sandboxes was a cell first.
type Cells struct {
	sandbox.Ahead
	Seen bool   // the cells have the Spec's mounts
	Stem string // the payload: it is each cell's main process, and executes what it is told once the cell is a sandbox. Empty: the cells are blank
	// Fork, if there is one, is a zygote whose children are stems: the main process of each cell, or, with Late, forked when the
	// cell becomes a sandbox.
	Fork sandbox.Zygote
	Late bool
	// Copy, if there is one, is a template whose copies are stems: the main process of each cell that is Seen, or copied when the
	// cell becomes a sandbox.
	Copy sandbox.Template
}

// stemDir is where a stem's program is inside.
const stemDir = "/var/stem"

// Assignment is what a stem is told over its channel; it answers with a line, empty before it executes.
type Assignment struct {
	Argv, Env []string
	Dir       string
	Channel   bool
}

// cellMB bounds a cell before it is known what its sandbox may use.
const cellMB = 64

// Start implements sandbox.Maker.
func (c Cells) Start(ctx context.Context, s sandbox.Spec) (sandbox.Sandbox, error) {
	ahead := CellSpec(s.ID, c.Stem)
	ahead.Copy = c.Copy
	if c.Fork != nil && !c.Late {
		ahead.Fork, ahead.Dir, ahead.Channel = c.Fork, "/", true
	}
	ahead.TmpMB, ahead.Pids, ahead.Files, ahead.Listen, ahead.Dials, ahead.Internet = s.TmpMB, s.Pids, s.Files, s.Listen, s.Dials, s.Internet
	if c.Seen {
		ahead.Mounts = append(ahead.Mounts, s.Mounts...)
		ahead.Channel = c.Copy != nil
	}
	cell, err := c.Prepare(ctx, ahead)
	if err != nil {
		return nil, err
	}
	b, err := c.Become(ctx, cell, s)
	return b, errors.Join(err, cell.Close())
}

// CellSpec is what a blank cell is made from, or with a payload a stem.
func CellSpec(id, stem string) sandbox.Spec {
	s := sandbox.Spec{ID: id, MemoryMB: cellMB, TmpMB: 512, Pids: 64, Files: 256}
	if stem != "" {
		s.Mounts = []sandbox.Mount{{Source: filepath.Dir(stem), Target: stemDir}}
		s.Argv, s.Dir, s.Channel = []string{stemDir + "/" + filepath.Base(stem), "stem"}, "/", true
	}
	return s
}

// Become makes a cell of CellSpec the sandbox for s.
func (c Cells) Become(ctx context.Context, cell sandbox.Cell, s sandbox.Spec) (sandbox.Sandbox, error) {
	told := Assignment{s.Argv, s.Env, s.Dir, s.Channel}
	if c.Stem != "" {
		s.Mounts, s.Channel = append(slices.Clone(s.Mounts), CellSpec("", c.Stem).Mounts...), true
	}
	if c.Fork != nil || c.Copy != nil {
		s.Channel = true
	}
	s.Copy = c.Copy
	if c.Late {
		s.Fork = c.Fork
	}
	b, err := cell.Become(ctx, s)
	if err != nil || c.Stem == "" && c.Fork == nil && c.Copy == nil {
		return b, err
	}
	if err := tell(b.Channel(), told); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if !told.Channel {
		return unheard{b}, nil
	}
	return b, nil
}

// unheard is a sandbox without a channel.
type unheard struct{ sandbox.Sandbox }

func (unheard) Channel() *net.UnixConn { return nil }

func tell(c *net.UnixConn, a Assignment) error {
	if err := errors.Join(c.SetDeadline(time.Now().Add(patience)), json.NewEncoder(c).Encode(a)); err != nil {
		return err
	}
	answer, err := bufio.NewReaderSize(c, 1).ReadString('\n')
	if err != nil {
		return fmt.Errorf("assign to stem: %w", err)
	}
	if answer = strings.TrimSpace(answer); answer != "" {
		return errors.New(answer)
	}
	return c.SetDeadline(time.Time{})
}
