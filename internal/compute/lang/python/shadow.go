package python

import (
	"os"
	"path/filepath"
	"strings"
	"sync"

	"artesian/internal/compute/sandbox"
)

// modules are the names of Python's standard modules, and what is known of folders that may have modules of the same names.
// The zero value knows none. Its methods are safe for concurrent use.
type modules struct {
	folders []string // on the host, of the standard library

	once  sync.Once
	names map[string]bool

	mu   sync.Mutex
	seen map[string]string // by folder, which is a package's and never changes: its answer
}

// maxSeen bounds what is remembered of folders.
const maxSeen = 4096

// standardOf finds the standard library among an interpreter's mounts.
func standardOf(in Interpreter) *modules {
	m := new(modules)
	for _, mount := range in.Mounts {
		for _, name := range []string{"os.py", "lib-dynload"} {
			if _, err := os.Stat(filepath.Join(mount.Source, name)); err == nil {
				m.folders = append(m.folders, mount.Source, filepath.Join(mount.Source, "lib-dynload"))
				break
			}
		}
	}
	return m
}

// shadowed returns the name of a standard module that folder has one of its own for, as an import finds it; empty when there
// is none. A package is looked at once.
func (m *modules) shadowed(folder string) string {
	m.mu.Lock()
	name, ok := m.seen[folder]
	m.mu.Unlock()
	if ok {
		return name
	}
	m.once.Do(func() {
		m.names = make(map[string]bool)
		for _, f := range m.folders {
			for _, name := range topModules(f) {
				m.names[name] = true
			}
		}
		delete(m.names, "test") // nothing that is loaded ahead is of it, and functions have one
	})
	for _, top := range topModules(folder) {
		if m.names[top] && (name == "" || top < name) {
			name = top
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil || len(m.seen) >= maxSeen {
		m.seen = make(map[string]string)
	}
	m.seen[folder] = name
	return name
}

// topModules are the names of the modules and packages in a folder. A folder without __init__ is none: it gives way to a
// module of its name that is further behind in the search path.
func topModules(folder string) []string {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		name, rest, dotted := strings.Cut(e.Name(), ".")
		switch {
		case rest == "py", rest == "pyc", dotted && strings.HasSuffix(rest, "so"):
		case !dotted && hasInit(filepath.Join(folder, name)):
		default:
			continue
		}
		names = append(names, name)
	}
	return names
}

func hasInit(folder string) bool {
	for _, end := range []string{".py", ".pyc"} {
		if _, err := os.Stat(filepath.Join(folder, "__init__"+end)); err == nil {
			return true
		}
	}
	return false
}

// platform are the mounts of every function of this runtime.
func (r *Runtime) platform() []sandbox.Mount {
	mounts := append([]sandbox.Mount(nil), r.interpreter.Mounts...)
	if r.pack != "" {
		mounts = append(mounts, sandbox.Mount{Source: r.pack, Target: packDir})
	}
	return mounts
}
