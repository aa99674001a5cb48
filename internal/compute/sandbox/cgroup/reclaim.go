package cgroup

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// Reclaims reports whether a group's memory can be pushed out: the kernel has the means.
func (t *Tree) Reclaims() bool {
	return t.memory.dir != "" && t.memory.has("memory.force_empty", "memory.reclaim")
}

// Reclaim pushes the group's memory out to swap, as far as there is room. What is touched comes back. It takes time in proportion to the
// memory, and is of use only while the group is frozen. Version 2 lets the group have swap only for as long as this takes, so that it
// never gets more memory by it.
func (g *Group) Reclaim() error {
	m := g.tree.memory
	dir := g.path(m)
	if !m.v2 {
		return partly(write(dir, "memory.force_empty", "0"))
	}
	now, err := read(dir, "memory.current")
	if err != nil {
		return fmt.Errorf("reclaim: %w", err)
	}
	if err := write(dir, "memory.swap.max", "max"); err != nil {
		return fmt.Errorf("reclaim: %w", err)
	}
	return errors.Join(partly(write(dir, "memory.reclaim", strings.TrimSpace(string(now)))), write(dir, "memory.swap.max", "0"))
}

// partly forgives that not all could be pushed out.
func partly(err error) error {
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EINTR) {
		return nil
	}
	return err
}
