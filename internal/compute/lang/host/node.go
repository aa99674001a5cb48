package host

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/ask"
	"artesian/internal/compute/lang/durable"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/lang/node"
	"artesian/internal/compute/sandbox"
)

var nodeLanguage = language{
	name: "nodejs", title: "Node.js", form: "nodejs%d.x", component: 0,
	identifiers: []string{"nodejs24.x", "nodejs22.x", "nodejs20.x", "nodejs18.x", "nodejs16.x"},
	file:        regexp.MustCompile(`^node(js)?$`),
	places: []string{
		"/usr/local/n/versions/node/*/bin", "/usr/local/lib/nodejs/*/bin", "~/.nvm/versions/node/*/bin",
		"~/.volta/tools/image/node/*/bin", "~/.local/share/fnm/node-versions/*/installation/bin",
		"~/.local/share/mise/installs/node/*/bin", "~/.asdf/installs/nodejs/*/bin", "~/.nodenv/versions/*/bin",
	},
	ask: askNode, check: checkNode, plan: planNode,
}

const nodeScript = `console.log(JSON.stringify({
  implementation: process.release.name, version: process.versions.node.split("-")[0].split(".").map(Number), executable: process.execPath,
}))`

func askNode(ctx context.Context, path string) (*facts, error) {
	answer, err := ask.Run(ctx, path, nil, "-e", nodeScript)
	if err != nil {
		return nil, err
	}
	f := new(facts)
	if err := json.Unmarshal(answer.Stdout, f); err != nil {
		return nil, fmt.Errorf("ask %s: %w", path, err)
	}
	return f, nil
}

// oldestNode is the first Node.js that the bootstrap runs on.
const oldestNode = 16

func checkNode(f *facts) error {
	if f.Implementation != "node" || len(f.Version) != 3 || f.Version[0] < oldestNode {
		return fmt.Errorf("it is %q %v, and Node.js %d or newer is needed", f.Implementation, f.Version, oldestNode)
	}
	if !filepath.IsAbs(f.Executable) {
		return fmt.Errorf("it does not know its own place (%q)", f.Executable)
	}
	return nil
}

// CompiledDir is the folder, in the catalog's, of the code that Node.js has compiled of packages.
const CompiledDir = "compiled"

// planNode shows Node.js itself as /var/lang/bin/node, the libraries that it needs beyond the system's, certificates and
// the like, the tools, and nothing else of the host.
func planNode(_ context.Context, f *facts, g ground) (served, error) {
	bootstrap, err := node.Install(g.dir)
	if err != nil {
		return nil, err
	}
	load, err := systemLoader(f.Executable)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", f.Executable, err)
	}
	in := node.Interpreter{Version: f.Version, Path: f.Executable, Exec: lambda.LangDir + "/bin/node", Compiled: filepath.Join(g.dir, CompiledDir)}
	if err := durable.MakeFolder(in.Compiled); err != nil {
		return nil, err
	}
	m := append(load.mounts(), sandbox.Mount{Source: f.Executable, Target: in.Exec})
	libraries := load.closure([]string{f.Executable}, filepath.Join(filepath.Dir(filepath.Dir(f.Executable)), "lib"))
	for _, name := range sorted(libraries) {
		m = append(m, sandbox.Mount{Source: libraries[name], Target: lambda.LangDir + "/lib/" + name})
	}
	own, err := ownModules(f.Executable, load, libraries)
	if err != nil {
		return nil, err
	}
	m = append(append(m, own...), system("")...)
	in.Mounts = append(m, sandbox.Mount{Source: g.tools, Target: "/usr/bin"}, sandbox.Mount{Source: bootstrap, Target: lambda.RuntimeDir})
	return func(id, pack string) lang.Runtime { return node.New(id, in, pack) }, nil
}

// ownFile is how a Node.js that keeps modules of its own in files, as Debian's does, has their paths in its library.
var ownFile = regexp.MustCompile(`^/usr/[\w./+-]+\.(js|wasm)$`)

// ownModules shows the files that Node.js reads modules of its own from. Only one whose code is in a library does; it
// doesn't start without them.
func ownModules(executable string, load *loader, libraries map[string]string) ([]sandbox.Mount, error) {
	b, err := readELF(executable)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(b.needed, func(name string) bool { return strings.HasPrefix(name, "libnode.so") })
	if i < 0 {
		return nil, nil
	}
	path := libraries[b.needed[i]]
	for _, dir := range load.Dirs {
		if _, err := os.Stat(filepath.Join(dir, b.needed[i])); err == nil && path == "" {
			path = filepath.Join(dir, b.needed[i])
		}
	}
	code, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the library of %s: %w", executable, err)
	}
	var m []sandbox.Mount
	for text := range bytes.SplitSeq(code, []byte{0}) {
		if len(text) < 5 || len(text) > 256 || !ownFile.Match(text) {
			continue
		}
		target := string(text)
		real, err := filepath.EvalSymlinks(target)
		if err == nil && !slices.ContainsFunc(m, func(o sandbox.Mount) bool { return o.Target == target }) {
			m = append(m, sandbox.Mount{Source: real, Target: target})
		}
	}
	return m, nil
}
