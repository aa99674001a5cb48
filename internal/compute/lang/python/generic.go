package python

import (
	"path/filepath"
	"slices"
	"strings"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/framed"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// zygoteFlag has the bootstrap be a zygote.
const zygoteFlag = "--zygote"

// voidDir is a folder of the bootstrap's with nothing in it but an empty one named lib. A zygote sees it where a function's
// code and layers will be: the dynamic loader remembers which folders of LD_LIBRARY_PATH there are.
const voidDir = "void"

// Zygote implements lang.Forked: an interpreter that has loaded what functions often import, and forks.
func (r *Runtime) Zygote() sandbox.ZygoteSpec {
	z := sandbox.ZygoteSpec{Mounts: r.platform(), Dir: "/", Env: r.environ(nil, faas.Version{}, "")}
	for _, m := range r.interpreter.Mounts {
		if m.Target == lambda.RuntimeDir {
			void := filepath.Join(m.Source, voidDir)
			z.Mounts = append(z.Mounts, sandbox.Mount{Source: void, Target: lambda.TaskRoot}, sandbox.Mount{Source: void, Target: lambda.LayerDir})
		}
	}
	z.Argv = []string{r.interpreter.Exec, "-S", r.interpreter.Bootstrap, zygoteFlag, lambda.LayerDir}
	return z
}

// Generic implements lang.Generic.
func (r *Runtime) Generic(spec *sandbox.Spec, _ int) {
	spec.Mounts = append(spec.Mounts, r.platform()...)
	spec.Env = r.environ(spec.Env, faas.Version{}, "")
	spec.Dir = "/"
	spec.Channel = true
}

// Adopt implements lang.Generic.
func (r *Runtime) Adopt(sb sandbox.Sandbox, spec *sandbox.Spec, _ faas.Version) lang.Session {
	return framed.Adopt(sb, spec)
}

// Unsuited implements lang.Generic.
func (r *Runtime) Unsuited(v *faas.Version, code, layers string) string {
	if name := early(v.Env); name != "" {
		return "its variable " + name + " is read when Python starts"
	}
	if lambda.Wrapped(v) {
		return "a wrapper script starts it"
	}
	for _, folder := range r.searched(code, layers) {
		if name := r.standard.shadowed(folder); name != "" {
			return "it has a module " + name + " of its own in place of the standard one"
		}
	}
	return ""
}

// searched are the host's folders of a function's own modules.
func (r *Runtime) searched(code, layers string) []string {
	folders := []string{code}
	if layers != "" {
		minor, _, _ := strings.Cut(strings.TrimPrefix(r.interpreter.Version, "3."), ".")
		folders = append(folders, filepath.Join(layers, "python", "lib", "python3."+minor, "site-packages"), filepath.Join(layers, "python"))
	}
	return folders
}

// early returns the name of a variable in env that says something to the interpreter, the loader or the C library when they
// start, or to a standard module when that is loaded; empty when there is none.
func early(env map[string]string) string {
	var found []string
	for name := range env {
		for _, prefix := range []string{"PYTHON", "LD_", "LC_", "MALLOC_", "GLIBC_", "OPENSSL_"} {
			if strings.HasPrefix(name, prefix) {
				found = append(found, name)
			}
		}
		if name == "LANG" || name == "LOCPATH" {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return ""
	}
	return slices.Min(found)
}
