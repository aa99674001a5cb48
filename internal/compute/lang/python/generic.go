package python

import (
	"path/filepath"
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

// Twin implements lang.Twinned.
func (r *Runtime) Twin(sb sandbox.Sandbox, changed []string) lang.Session {
	return framed.Adopt(sb, &sandbox.Spec{Dir: "/", Env: changed})
}

// Unsuited implements lang.Generic. A zygote has every folder of LD_LIBRARY_PATH, so shared libraries are found.
func (r *Runtime) Unsuited(v *faas.Version, code, layers string) string {
	if v.Fork == faas.Off {
		return "its tag " + faas.ForkTag + " is off"
	}
	if why := lambda.Executed(v, startOnly); why != "" {
		return why
	}
	for _, folder := range r.searched(code, layers) {
		if name := r.standard.shadowed(folder); name != "" {
			return "it has a module " + name + " of its own in place of the standard one"
		}
	}
	return ""
}

// startOnly reports whether Python, or a library that a standard module loads, reads a variable when it starts and not again.
// https://docs.python.org/3/using/cmdline.html#environment-variables
func startOnly(name string) bool {
	return strings.HasPrefix(name, "PYTHON") || strings.HasPrefix(name, "OPENSSL_")
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
