// Package node runs Lambda functions for nodejsNN.x on a Node.js of this machine, by our own bootstrap.
package node

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/durable"
	"artesian/internal/compute/lang/framed"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

//go:embed runtime/*.cjs runtime/*.mjs runtime/code.cache
var files embed.FS

// packDir is where a function finds the modules of its runtime's pack, behind those of layers and before /var/task's in NODE_PATH.
const packDir = "node_modules"

// Install writes the bootstrap below dir and returns its folder, which a sandbox sees as /var/runtime.
func Install(dir string) (string, error) {
	folder, err := durable.Install(dir, "node-", files, "runtime")
	if err == nil {
		err = durable.MakeFolder(filepath.Join(folder, packDir))
	}
	return folder, err
}

// Interpreter is a Node.js of this machine and how it is shown inside a sandbox.
type Interpreter struct {
	Version []int           // 20 19 1
	Path    string          // on the host
	Exec    string          // inside
	Mounts  []sandbox.Mount // itself, the libraries that it needs, the bootstrap

	Compiled string // folder on the host for the compiled code of packages; empty: none is kept
}

// Runtime is a lang.Runtime for one runtime identifier.
type Runtime struct {
	id          string
	major       int // of the identifier
	interpreter Interpreter
	pack        string
}

// New returns the runtime that serves identifier id, such as nodejs22.x, by interpreter in, with the modules in folder pack
// unless that is empty.
func New(id string, in Interpreter, pack string) *Runtime {
	r := &Runtime{id: id, interpreter: in, pack: pack}
	_, _ = fmt.Sscanf(id, "nodejs%d.x", &r.major) // the catalog knows the identifiers
	return r
}

// Served implements lang.Runtime. When another version than the one asked for serves, it says so.
func (r *Runtime) Served() string {
	v := r.interpreter.Version
	s := fmt.Sprintf("node %d.%d.%d (%s)", v[0], v[1], v[2], r.interpreter.Path)
	if v[0] != r.major {
		s += " in place of " + r.id
	}
	return s
}

// quietSDK keeps the AWS SDK from warning, at each cold start, of versions of Node.js that its next releases will not have. A
// function that sets the variable itself wins.
// https://github.com/aws/aws-sdk-js-v3/blob/main/packages/core/src/submodules/client/emitWarningIfUnsupportedVersion.ts
const quietSDK = "AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED=true"

// Prepare implements lang.Runtime.
func (r *Runtime) Prepare(spec *sandbox.Spec, v faas.Version, code, stream string) {
	layers := layered(spec.Mounts)
	r.mount(spec)
	spec.Mounts = append(spec.Mounts, layers...)
	r.showCompiled(spec, &v)
	spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: code, Target: lambda.TaskRoot})
	spec.Argv = r.argv(v.MemoryMB, v.Env["NODE_OPTIONS"], "index.cjs")
	spec.Env = lambda.Env(spec.Env, v, stream, r.execution(), "NODE_PATH="+r.modules(), quietSDK)
	spec.Dir = lambda.TaskRoot
	spec.Channel = true
}

// mount adds what all functions of the runtime see.
func (r *Runtime) mount(spec *sandbox.Spec) {
	spec.Mounts = append(spec.Mounts, r.interpreter.Mounts...)
	if r.pack != "" {
		// An ES module looks in the folders above it and not in NODE_PATH.
		spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: r.pack, Target: lambda.RuntimeDir + "/" + packDir}, sandbox.Mount{Source: r.pack, Target: "/" + packDir})
	}
}

// argv is the command that runs program, of the bootstrap, in a function of that memory and with those options.
func (r *Runtime) argv(memoryMB int, options, program string) []string {
	return append(append([]string{r.interpreter.Exec}, r.flags(memoryMB, options)...), lambda.RuntimeDir+"/"+program)
}

// execution is the variable that tells the runtime's identifier, to the bootstrap too.
func (r *Runtime) execution() string { return "AWS_EXECUTION_ENV=AWS_Lambda_" + r.id }

// modules is where require looks: https://docs.aws.amazon.com/lambda/latest/dg/nodejs-package.html
func (r *Runtime) modules() string {
	return fmt.Sprintf("%[1]s/node%[2]d/node_modules:%[1]s/node_modules:%[3]s/node_modules:%[3]s:%[4]s", lambda.LayerDir+"/nodejs", r.major, lambda.RuntimeDir, lambda.TaskRoot)
}

// layered shows the modules of layers where ES modules look for them too, before the pack's: above /var/task. What links of a
// layer lead out of it is never shown: a mount follows them on the host.
func layered(mounts []sandbox.Mount) []sandbox.Mount {
	for _, m := range mounts {
		if m.Target != lambda.LayerDir {
			continue
		}
		root, err := filepath.EvalSymlinks(m.Source)
		if err != nil {
			continue
		}
		modules, err := filepath.EvalSymlinks(filepath.Join(root, "nodejs", packDir))
		if err != nil || !strings.HasPrefix(modules, root+"/") {
			continue
		}
		if info, err := os.Stat(modules); err == nil && info.IsDir() {
			return []sandbox.Mount{{Source: modules, Target: "/var/" + packDir}}
		}
	}
	return nil
}

// flags are those that Lambda's runtimes start with: a tenth of the memory for young objects, the rest for old ones, and
// two features off that a later Node.js has on.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html
func (r *Runtime) flags(memoryMB int, options string) []string {
	young := memoryMB / 10
	flags := []string{
		"--expose-gc", "--max-http-header-size=81920",
		fmt.Sprintf("--max-semi-space-size=%d", young/2), fmt.Sprintf("--max-old-space-size=%d", memoryMB-young),
	}
	for _, f := range []struct {
		name        string
		first, last int // identifiers for which Lambda has it off
		since       [2]int
	}{{"experimental-require-module", 0, 22, [2]int{20, 19}}, {"experimental-detect-module", 21, 22, [2]int{22, 7}}} {
		have := r.interpreter.Version
		known := have[0] > f.since[0] || have[0] == f.since[0] && have[1] >= f.since[1]
		if known && r.major >= f.first && r.major <= f.last && !strings.Contains(options, "--"+f.name) {
			flags = append(flags, "--no-"+f.name)
		}
	}
	return flags
}

// Attach implements lang.Runtime.
func (r *Runtime) Attach(sb sandbox.Sandbox, _ faas.Version) lang.Session { return framed.New(sb) }
