package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/lang/python"
	"artesian/internal/compute/sandbox"
)

// pythonPlan says how the described interpreter is shown inside: itself and its library below /var/lang, the system's
// libraries, certificates, time zones and locale where they are looked for, the tools, and nothing else of the host.
func pythonPlan(f *facts, g ground) (python.Interpreter, error) {
	in := python.Interpreter{Version: version(f), Path: f.Executable}
	load, err := systemLoader(f.Executable)
	if err != nil {
		return in, fmt.Errorf("plan %s: %w", f.Executable, err)
	}
	minor := fmt.Sprintf("python3.%d", f.Version[1])
	in.Exec = lambda.LangDir + "/bin/" + minor
	m := load.mounts()
	for _, name := range []string{minor, "python3", "python"} {
		m = append(m, sandbox.Mount{Source: f.Executable, Target: lambda.LangDir + "/bin/" + name})
	}
	// Python finds its library from where it is, so the place relative to the prefix must stay.
	library := lambda.LangDir + strings.TrimPrefix(f.Stdlib, f.Prefix)
	m = append(m, sandbox.Mount{Source: f.Stdlib, Target: library})
	files := []string{f.Executable}
	for _, dir := range f.Dynload {
		modules, _ := filepath.Glob(filepath.Join(dir, "*.so"))
		files = append(files, modules...)
		if !strings.HasPrefix(dir, f.Stdlib+"/") && strings.HasPrefix(dir, f.Prefix+"/") {
			m = append(m, sandbox.Mount{Source: dir, Target: lambda.LangDir + strings.TrimPrefix(dir, f.Prefix)})
		}
	}
	for _, dir := range f.Packages {
		m = append(m, sandbox.Mount{Source: g.empty, Target: library + strings.TrimPrefix(dir, f.Stdlib)})
	}
	libraries := load.closure(files, filepath.Join(f.Prefix, "lib"))
	for _, name := range sorted(libraries) {
		m = append(m, sandbox.Mount{Source: libraries[name], Target: lambda.LangDir + "/lib/" + name})
	}
	m = append(m, system(f.CAFile)...)
	in.Mounts = append(m, sandbox.Mount{Source: g.tools, Target: "/usr/bin"}, sandbox.Mount{Source: g.bootstrap, Target: lambda.RuntimeDir})
	return in, nil
}

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

func version(f *facts) string {
	return fmt.Sprintf("%d.%d.%d", f.Version[0], f.Version[1], f.Version[2])
}

func sorted(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
