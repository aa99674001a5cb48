// Package python runs Lambda functions for python3.x on a CPython of this machine, by our own bootstrap.
package python

import (
	"slices"
	"strings"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/framed"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// Interpreter is a CPython of this machine and how it is shown inside a sandbox.
type Interpreter struct {
	Version   string          `json:"version"`   // 3.11.7
	Path      string          `json:"path"`      // on the host
	Exec      string          `json:"exec"`      // inside
	Mounts    []sandbox.Mount `json:"mounts"`    // itself, its library, what both need
	Bootstrap string          `json:"bootstrap"` // inside: the compiled bootstrap, see Install
}

// Runtime is a lang.Runtime for one runtime identifier.
type Runtime struct {
	id          string
	interpreter Interpreter
	pack        string
	standard    *modules
	bytecode    *Bytecode // nil: functions' own modules are not compiled
}

// packDir is where a function finds the packages of its runtime's pack: last in its search path.
const packDir = lambda.LangDir + "/packages"

// New returns the runtime that serves identifier id, such as python3.11, by interpreter in, with the packages in folder pack
// unless that is empty.
func New(id string, in Interpreter, pack string) *Runtime { return Serve(in, nil)(id, pack) }

// Serve is New for an interpreter that serves more than once: what is known of functions' packages is kept, and so is what they
// are compiled to, unless bytecode is nil.
func Serve(in Interpreter, bytecode *Bytecode) func(id, pack string) *Runtime {
	standard := standardOf(in)
	return func(id, pack string) *Runtime {
		return &Runtime{id: id, interpreter: in, pack: pack, standard: standard, bytecode: bytecode}
	}
}

// Served implements lang.Runtime. When another version than the one asked for serves, it says so.
func (r *Runtime) Served() string {
	s := "python " + r.interpreter.Version + " (" + r.interpreter.Path + ")"
	if !strings.HasPrefix("python"+r.interpreter.Version, r.id+".") {
		s += " in place of " + r.id
	}
	return s
}

// Prepare implements lang.Runtime.
func (r *Runtime) Prepare(spec *sandbox.Spec, v faas.Version, code, stream string) {
	spec.Mounts = append(spec.Mounts, r.platform()...)
	spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: code, Target: lambda.TaskRoot})
	spec.Mounts = append(spec.Mounts, r.compiled(code, layersOf(spec.Mounts))...)
	spec.Argv = []string{r.interpreter.Exec, "-S", r.interpreter.Bootstrap, lambda.LayerDir}
	// The site module costs a third of the start and finds nothing, unless a search path of the function's own has a
	// sitecustomize module or the like.
	if v.Env["PYTHONPATH"] != "" {
		spec.Argv = slices.Delete(spec.Argv, 1, 2)
	}
	spec.Env = r.environ(spec.Env, v, stream)
	spec.Dir = lambda.TaskRoot
	spec.Channel = true
}

// Attach implements lang.Runtime.
func (r *Runtime) Attach(sb sandbox.Sandbox, _ faas.Version) lang.Session { return framed.New(sb) }

// Savable implements lang.Imaged: every process can be saved.
func (r *Runtime) Savable(*sandbox.Spec, *faas.Version) {}

// Kept implements lang.Imaged.
func (r *Runtime) Kept(sb sandbox.Sandbox, _ faas.Version) lang.Suspendable { return framed.New(sb) }

// Resume implements lang.Imaged.
func (r *Runtime) Resume(sb sandbox.Sandbox, env []string) lang.Session {
	return framed.Resume(sb, env)
}

// environ is the environment of v, beside what is given.
func (r *Runtime) environ(given []string, v faas.Version, stream string) []string {
	return lambda.Env(given, v, stream, "AWS_EXECUTION_ENV=AWS_Lambda_"+r.id, "PYTHONPATH="+lambda.RuntimeDir)
}

// Publish has the modules in a package and its layers, unpacked at host directories code and layers, compiled in the background
// unless they are.
func (r *Runtime) Publish(code, layers string) { _ = r.compiled(code, layers) }

// compiled are the mounts of what a function's own modules were compiled to, as far as they are.
func (r *Runtime) compiled(code, layers string) []sandbox.Mount {
	var mounts []sandbox.Mount
	if at := r.bytecode.find(code, lambda.TaskRoot, r.interpreter); at != "" {
		mounts = append(mounts, sandbox.Mount{Source: at, Target: compiledTask})
	}
	if at := r.bytecode.find(layers, lambda.LayerDir, r.interpreter); at != "" {
		mounts = append(mounts, sandbox.Mount{Source: at, Target: compiledLayers})
	}
	return mounts
}

// layersOf is the host's folder that mounts show where layers are; empty if none do.
func layersOf(mounts []sandbox.Mount) string {
	for _, m := range mounts {
		if m.Target == lambda.LayerDir {
			return m.Source
		}
	}
	return ""
}
