package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// Ground names what an image of v stands on beside the function's own code: the files of the interpreter and the system that are mapped
// into its memory, this program, which reads it, and the machine. An image goes on where all of that is as it was.
func (n *Node) Ground(ctx context.Context, v *faas.Version) (string, error) {
	job, err := n.look(ctx, v)
	if err != nil {
		return "", err
	}
	l, err := n.prepare(v, job, newID())
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, _ = io.WriteString(h, machine())
	for _, m := range l.spec.Mounts {
		switch own := m.Target; {
		case own == lambda.TaskRoot, own == lambda.LayerDir, strings.HasPrefix(own, lambda.LangDir+"/compiled/"): // the function's: by their hashes
		default:
			n.standsOn(h, m)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// standsOn adds a file or a folder as it is. A package manager that changes a file in a folder puts a new one in its place, which the
// folder's time tells.
func (n *Node) standsOn(h hash.Hash, m sandbox.Mount) {
	info, err := os.Stat(m.Source)
	switch {
	case err != nil:
		fmt.Fprintf(h, "%s %s\n", m.Target, err)
	case strings.HasPrefix(m.Source, n.Own+"/"): // compiled files and archives come into it later
		fmt.Fprintf(h, "%s %s\n", m.Target, m.Source)
	default:
		fmt.Fprintf(h, "%s %s %d %d\n", m.Target, m.Source, info.Size(), info.ModTime().UnixNano())
		for _, below := range mapped {
			if info, err := os.Stat(filepath.Join(m.Source, below)); err == nil {
				fmt.Fprintf(h, "%s %d\n", below, info.ModTime().UnixNano())
			}
		}
	}
}

// mapped are folders in those of interpreters that hold what these map.
var mapped = [...]string{"bin", "lib", "lib/server", "lib-dynload"}

// machine names this program and what it runs on.
var machine = sync.OnceValue(func() string {
	var b strings.Builder
	if info, err := os.Stat("/proc/self/exe"); err == nil {
		fmt.Fprintf(&b, "program %d %d\n", info.Size(), info.ModTime().UnixNano())
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		fmt.Fprintf(&b, "%s %s\n", unix.ByteSliceToString(u.Machine[:]), unix.ByteSliceToString(u.Release[:]))
	}
	cpu, _ := os.ReadFile("/proc/cpuinfo") // its first processor's features
	lines := strings.Split(string(cpu), "\n")
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "flags") || strings.HasPrefix(l, "Features") }); i >= 0 {
		b.WriteString(lines[i])
	}
	return b.String()
})
