package host

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/lang/python"
	"artesian/internal/compute/sandbox"
)

var pythonLanguage = language{
	name: "python", title: "Python", form: "python3.%d", component: 1,
	identifiers: []string{
		"python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python3.9", "python3.8", "python3.7", "python3.6",
	},
	file: regexp.MustCompile(`^python3(\.[0-9]+)?$`),
	places: []string{
		"~/.pyenv/versions/*/bin", "~/.local/share/uv/python/*/bin", "~/.local/share/mise/installs/python/*/bin", "~/.asdf/installs/python/*/bin",
	},
	ask: askPython, check: checkPython, plan: planPython,
	compile: func(ctx context.Context, f *facts, pack string) error {
		return python.Precompile(ctx, f.Executable, pack, f.Tag)
	},
}

//go:embed probe.py
var probeScript string

func askPython(ctx context.Context, path string) (*facts, error) {
	out, err := python.Ask(ctx, path, nil, probeScript)
	if err != nil {
		return nil, err
	}
	f := new(facts)
	if err := json.Unmarshal(out, f); err != nil {
		return nil, fmt.Errorf("ask %s: %w", path, err)
	}
	return f, nil
}

// oldestPython is the first Python 3 that the bootstrap runs on.
const oldestPython = 8

func checkPython(f *facts) error {
	if f.Implementation != "cpython" || len(f.Version) != 3 || f.Version[0] != 3 || f.Version[1] < oldestPython {
		return fmt.Errorf("it is %s %v, and CPython 3.%d or newer is needed", f.Implementation, f.Version, oldestPython)
	}
	for _, p := range []string{f.Executable, f.Prefix, f.Stdlib} {
		if !filepath.IsAbs(p) {
			return fmt.Errorf("it does not know its own place (%q)", p)
		}
	}
	if !strings.HasPrefix(f.Stdlib, f.Prefix+"/") {
		return fmt.Errorf("its library %s is not below its prefix %s", f.Stdlib, f.Prefix)
	}
	if _, err := os.Stat(filepath.Join(f.Stdlib, "os.py")); err != nil {
		return fmt.Errorf("its library %s is incomplete: %w", f.Stdlib, err)
	}
	return nil
}

// planPython compiles our bootstrap too.
func planPython(ctx context.Context, f *facts, g ground) (served, error) {
	bootstrap, err := python.Install(g.dir)
	if err != nil {
		return nil, err
	}
	in, err := pythonPlan(f, g, bootstrap)
	if err != nil {
		return nil, err
	}
	if in.Bootstrap, err = python.Compile(ctx, f.Executable, bootstrap, f.Tag); err != nil {
		return nil, err
	}
	serve := python.Serve(in, g.bytecode)
	return func(id, pack string) lang.Runtime { return serve(id, pack) }, nil
}

// pythonPlan says how the described interpreter is shown inside: itself and its library below /var/lang, the system's
// libraries, certificates, time zones and locale where they are looked for, the tools, and nothing else of the host.
func pythonPlan(f *facts, g ground, bootstrap string) (python.Interpreter, error) {
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
	in.Mounts = append(m, sandbox.Mount{Source: g.tools, Target: "/usr/bin"}, sandbox.Mount{Source: bootstrap, Target: lambda.RuntimeDir})
	return in, nil
}
