package host

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/ask"
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

// nodeScript has Node.js say what it is. Debian's keeps some of its own modules in files, in /usr/share/nodejs.
const nodeScript = `const v = process.config.variables;
console.log(JSON.stringify({
  implementation: process.release.name, version: process.versions.node.split("-")[0].split(".").map(Number), executable: process.execPath,
  packages: Object.entries(v).filter(([k, p]) => /^node_shared_builtin_.*_path$/.test(k) && typeof p === "string").map(([, p]) => p)
    .concat(Array.isArray(v.node_builtin_shareable_builtins) && v.node_builtin_shareable_builtins.length ? ["/usr/share/nodejs"] : []),
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
	in := node.Interpreter{Version: f.Version, Path: f.Executable, Exec: lambda.LangDir + "/bin/node"}
	m := append(load.mounts(), sandbox.Mount{Source: f.Executable, Target: in.Exec})
	libraries := load.closure([]string{f.Executable}, filepath.Join(filepath.Dir(filepath.Dir(f.Executable)), "lib"))
	for _, name := range sorted(libraries) {
		m = append(m, sandbox.Mount{Source: libraries[name], Target: lambda.LangDir + "/lib/" + name})
	}
	m = append(m, system("")...)
	in.Mounts = append(m, sandbox.Mount{Source: g.tools, Target: "/usr/bin"}, sandbox.Mount{Source: bootstrap, Target: lambda.RuntimeDir})
	return func(id, pack string) lang.Runtime { return node.New(id, in, pack) }, nil
}
