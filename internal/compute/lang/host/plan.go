package host

import (
	"os"
	"path/filepath"
	"slices"

	"artesian/internal/compute/sandbox"
)

// customPlan is the file system of a function that brings its own program: Lambda's system without any language.
func customPlan(g ground) []sandbox.Mount {
	return append(append(g.load.mounts(), system("")...), sandbox.Mount{Source: g.tools, Target: "/usr/bin"})
}

// mounts shows the system's libraries at their real place, and the loader where programs name it.
func (l *loader) mounts() []sandbox.Mount {
	var m []sandbox.Mount
	for _, dir := range l.Dirs {
		m = append(m, sandbox.Mount{Source: dir, Target: dir})
	}
	real, err := filepath.EvalSymlinks(l.Interp)
	if err != nil || real == l.Interp {
		return m // a static program, or it is in one of the folders
	}
	target := l.Interp
	if dir, err := filepath.EvalSymlinks(filepath.Dir(target)); err == nil && dir == "/usr"+filepath.Dir(target) {
		target = "/usr" + target // where /lib64 leads to
	}
	if target != real {
		m = append(m, sandbox.Mount{Source: real, Target: target})
	}
	return m
}

// bundles are where distributions keep the bundle of trusted certificates, and where programs look for it.
var bundles = [...]string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"}

// system is what programs of any language expect: certificates (at the further place caFile too), time zones, locale.
func system(caFile string) []sandbox.Mount {
	var m []sandbox.Mount
	for _, source := range bundles {
		real, err := filepath.EvalSymlinks(source)
		if err != nil {
			continue
		}
		targets := bundles[:]
		if filepath.IsAbs(caFile) && !slices.Contains(targets, caFile) {
			targets = append(slices.Clone(targets), caFile)
		}
		for _, target := range targets {
			m = append(m, sandbox.Mount{Source: real, Target: target})
		}
		break
	}
	for _, dir := range []string{"/usr/share/zoneinfo", "/usr/lib/locale/C.utf8"} {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			m = append(m, sandbox.Mount{Source: dir, Target: dir})
		}
	}
	return m
}

func sorted(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
