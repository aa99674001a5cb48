package host

import (
	"debug/elf"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// loader is what the operating system offers every dynamically linked program: ld.so and the folders it searches.
type loader struct {
	Interp string   // as programs name it: /lib64/ld-linux-x86-64.so.2
	Dirs   []string // real folders of system libraries
}

// binary is the part of an ELF file that loading it depends on.
type binary struct {
	interp string
	needed []string
	search []string // RPATH and RUNPATH with $ORIGIN resolved
}

func readELF(path string) (*binary, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	defer f.Close()
	b := new(binary)
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP && p.Filesz < 4096 {
			text := make([]byte, p.Filesz)
			if _, err := p.ReadAt(text, 0); err != nil {
				return nil, fmt.Errorf("read %s: %w", path, err)
			}
			b.interp = strings.TrimRight(string(text), "\x00")
		}
	}
	b.needed, _ = f.ImportedLibraries() // a static binary has no dynamic section
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		lists, _ := f.DynString(tag)
		for _, list := range lists {
			for _, dir := range filepath.SplitList(list) {
				dir = strings.NewReplacer("$ORIGIN", filepath.Dir(path), "${ORIGIN}", filepath.Dir(path)).Replace(dir)
				b.search = append(b.search, filepath.Clean(dir))
			}
		}
	}
	return b, nil
}

// systemLoader finds the loader that the program at path names, and the system's folders of libraries.
func systemLoader(path string) (*loader, error) {
	b, err := readELF(path)
	if err != nil {
		return nil, err
	}
	l := &loader{Interp: b.interp}
	dirs := systemDirs()
	if b.interp != "" {
		real, err := filepath.EvalSymlinks(b.interp)
		if err != nil {
			return nil, fmt.Errorf("find the loader of %s: %w", path, err)
		}
		dirs = append([]string{filepath.Dir(real)}, dirs...)
	}
	for _, dir := range dirs {
		real, err := filepath.EvalSymlinks(dir)
		if err != nil || slices.Contains(l.Dirs, real) {
			continue
		}
		if found, _ := filepath.Glob(filepath.Join(real, "libc.*so*")); len(found) > 0 {
			l.Dirs = append(l.Dirs, real)
		}
	}
	return l, nil
}

// systemDirs are the folders that the loaders of today's distributions search unasked.
func systemDirs() []string {
	triplet := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[runtime.GOARCH]
	return []string{"/usr/lib/" + triplet, "/lib/" + triplet, "/usr/lib64", "/lib64"}
}

// closure returns, by name, the libraries that the given files need, directly or not, beyond the system's folders.
// extra are folders to search besides those which a file names. A library that is nowhere is left out: the file that
// needs it doesn't load on the host either.
func (l *loader) closure(files []string, extra ...string) map[string]string {
	out := make(map[string]string)
	seen := make(map[string]bool)
	for len(files) > 0 {
		path := files[0]
		files = files[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		b, err := readELF(path)
		if err != nil {
			continue // a linker script or a file of another kind
		}
		for _, name := range b.needed {
			found := l.find(name, append(b.search, extra...))
			if found == "" || out[name] != "" {
				continue
			}
			out[name] = found
			files = append(files, found)
		}
	}
	return out
}

// find returns the real path of a library outside the system's folders; "" when it is in one of them, or nowhere.
func (l *loader) find(name string, search []string) string {
	if strings.Contains(name, "/") {
		return ""
	}
	for _, dir := range search {
		real, err := filepath.EvalSymlinks(filepath.Join(dir, name))
		if err == nil && !slices.Contains(l.Dirs, filepath.Dir(real)) {
			return real
		}
	}
	return ""
}
