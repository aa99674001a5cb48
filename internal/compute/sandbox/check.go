package sandbox

import (
	"net/netip"
	"path"
	"regexp"
	"strings"

	"artesian/internal/faas"
)

var validID = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// Bounds of a Spec.
const (
	minMemoryMB = 16
	minTmpMB    = 8
	maxTmpMB    = 64 << 10
	minPids     = 4
	minFiles    = 8
	maxMounts   = 200
	maxListen   = 32
	// MaxBeside bounds what runs beside the main process, and connections to it.
	MaxBeside = 11
)

// Check refuses what no level can honour; the error is a *faas.Error of kind Invalid that names the field.
func (s Spec) Check() error {
	bad := func(format string, args ...any) error { return faas.Errorf(faas.Invalid, "sandbox: "+format, args...) }
	switch {
	case !validID.MatchString(s.ID):
		return bad("id %q: must match %s", s.ID, validID)
	case s.Owner == "":
		return bad("owner: must not be empty")
	case len(s.Argv) == 0 || !path.IsAbs(s.Argv[0]):
		return bad("argv: must begin with an absolute path")
	case !path.IsAbs(s.Dir):
		return bad("dir %q: must be an absolute path", s.Dir)
	case s.MemoryMB < minMemoryMB:
		return bad("memory %d MB: must be at least %d", s.MemoryMB, minMemoryMB)
	case s.TmpMB < minTmpMB || s.TmpMB > maxTmpMB:
		return bad("tmp %d MB: must be between %d and %d", s.TmpMB, minTmpMB, maxTmpMB)
	case s.CPU < 0:
		return bad("cpu %g: must not be negative", s.CPU)
	case s.Pids < minPids:
		return bad("pids %d: must be at least %d", s.Pids, minPids)
	case s.Files < minFiles:
		return bad("files %d: must be at least %d", s.Files, minFiles)
	case len(s.Mounts) > maxMounts:
		return bad("mounts: %d of at most %d", len(s.Mounts), maxMounts)
	case len(s.Listen) > maxListen:
		return bad("listen: %d of at most %d", len(s.Listen), maxListen)
	case len(s.Beside) > MaxBeside:
		return bad("beside: %d of at most %d", len(s.Beside), MaxBeside)
	case s.Dials < 0 || s.Dials > MaxBeside:
		return bad("dials: %d of at most %d", s.Dials, MaxBeside)
	}
	lists := [][]string{s.Argv, s.Env, {s.Dir}}
	for _, b := range s.Beside {
		if len(b.Argv) == 0 || !path.IsAbs(b.Argv[0]) {
			return bad("beside: argv must begin with an absolute path")
		}
		lists = append(lists, b.Argv, b.Env)
	}
	for _, list := range lists {
		for _, v := range list {
			if strings.ContainsRune(v, 0) {
				return bad("argv, env, dir: %q has a NUL byte", v)
			}
		}
	}
	for _, l := range s.Listen {
		if a, err := netip.ParseAddrPort(l); err != nil || a.Addr().Zone() != "" {
			return bad("listen %q: must be an address and port in numbers", l)
		}
	}
	return checkMounts(s.Mounts, bad)
}

func checkMounts(mounts []Mount, bad func(string, ...any) error) error {
	for _, m := range mounts {
		for _, p := range []string{m.Source, m.Target} {
			if !path.IsAbs(p) || path.Clean(p) != p || strings.ContainsRune(p, 0) {
				return bad("mount %q on %q: both must be absolute, clean paths", m.Source, m.Target)
			}
		}
		if m.Target == "/" {
			return bad("mount %q on /: the root is made here", m.Source)
		}
		for _, own := range []string{"/proc", "/dev", "/tmp"} {
			if Within(m.Target, own) {
				return bad("mount %q on %q: %s is made here", m.Source, m.Target, own)
			}
		}
	}
	return nil
}

// Within reports whether file is dir or below it; both are absolute, clean paths.
func Within(file, dir string) bool {
	return file == dir || strings.HasPrefix(file, strings.TrimSuffix(dir, "/")+"/")
}
