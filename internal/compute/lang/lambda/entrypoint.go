package lambda

import (
	"bufio"
	"debug/elf"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"artesian/internal/compute/sandbox"
)

// entry is the program of a custom runtime: its path inside, and why it can't be executed, if it can't.
type entry struct {
	path    string
	problem string
}

// findEntry looks for the bootstrap where Lambda does and words what is wrong with it as Lambda does.
func findEntry(v view) entry {
	places := []string{TaskRoot + "/bootstrap", LayerDir + "/bootstrap"}
	for _, p := range places {
		file, err := v.find(p)
		if err != nil {
			continue
		}
		if info, err := os.Stat(file); err != nil || info.IsDir() {
			continue
		} else if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
			return entry{p, "fork/exec " + p + ": permission denied"}
		}
		if err := v.executable(file, 0); err != nil {
			return entry{p, "fork/exec " + p + ": " + err.Error()}
		}
		return entry{path: p}
	}
	return entry{problem: "Couldn't find valid bootstrap(s): [" + strings.Join(places, " ") + "]"}
}

var (
	errFormat   = errors.New("exec format error")
	errNotThere = errors.New("no such file or directory")
)

// executable reports why the kernel would not execute file: another machine's code, or an interpreter that isn't there.
func (v view) executable(file string, depth int) error {
	f, err := os.Open(file)
	if err != nil {
		return errNotThere
	}
	defer f.Close()
	line, _ := bufio.NewReaderSize(f, 256).Peek(256) // shorter files are shorter
	if script, ok := strings.CutPrefix(string(line), "#!"); ok {
		script, _, _ = strings.Cut(script, "\n")
		interpreter, _, _ := strings.Cut(strings.Trim(script, " \t"), " ")
		found, err := v.find(interpreter)
		if err != nil || depth > 3 {
			return errNotThere
		}
		return v.executable(found, depth+1)
	}
	b, err := elf.NewFile(f)
	if err != nil || b.Machine != machine() || b.Type != elf.ET_EXEC && b.Type != elf.ET_DYN {
		return errFormat
	}
	for _, p := range b.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz > 4096 {
			continue
		}
		name := make([]byte, p.Filesz)
		if _, err := p.ReadAt(name, 0); err != nil {
			return errFormat
		}
		if _, err := v.find(strings.TrimRight(string(name), "\x00")); err != nil {
			return errNotThere
		}
	}
	return nil
}

func machine() elf.Machine {
	if runtime.GOARCH == "arm64" {
		return elf.EM_AARCH64
	}
	return elf.EM_X86_64
}

// view is what a sandbox with these mounts sees.
type view []sandbox.Mount

// find returns the host's file for a path inside, symbolic links followed as they lead inside.
func (v view) find(inside string) (string, error) {
	for range 16 {
		if !path.IsAbs(inside) {
			return "", errNotThere
		}
		inside = path.Clean(inside)
		m, ok := v.mount(inside)
		if !ok { // /bin, /lib … lead to those of /usr
			inside = "/usr" + inside
			if m, ok = v.mount(inside); !ok {
				return "", errNotThere
			}
		}
		host := filepath.Join(m.Source, strings.TrimPrefix(inside, m.Target))
		info, err := os.Lstat(host)
		if err != nil {
			return "", errNotThere
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			return host, nil
		}
		to, err := os.Readlink(host)
		if err != nil {
			return "", errNotThere
		}
		if !path.IsAbs(to) {
			to = path.Join(path.Dir(inside), to)
		}
		inside = to
	}
	return "", errNotThere
}

// mount returns the innermost mount that shows path.
func (v view) mount(inside string) (best sandbox.Mount, ok bool) {
	for _, m := range v {
		if (inside == m.Target || strings.HasPrefix(inside, m.Target+"/")) && len(m.Target) >= len(best.Target) {
			best, ok = m, true
		}
	}
	return best, ok
}
