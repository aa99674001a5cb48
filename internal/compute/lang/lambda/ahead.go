package lambda

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"artesian/internal/faas"
)

// Defaults returns the variables that every function has unless it sets them itself: what a process that is started before it is
// known for whom can be started with.
func Defaults() []string { return slices.Clone(base[:]) }

// Unsuited says, for people, why a process that was started before it was known for whom cannot serve v, with its code and layers
// unpacked at host directories code and layers, whatever its language: it would not have seen what only an execution shows.
// startOnly reports whether a runtime reads a variable of the function's when it starts and not again. Empty if nothing stands
// against it.
func Unsuited(v *faas.Version, code, layers string, startOnly func(name string) bool) string {
	if v.Fork == faas.Off {
		return "its tag " + faas.ForkTag + " is off"
	}
	if why := Executed(v, startOnly); why != "" {
		return why
	}
	for _, d := range [][2]string{{code, ""}, {code, "lib"}, {layers, "lib"}} {
		if library := sharedIn(d[0], d[1]); library != "" {
			return "the loader looks for shared libraries of the function's, such as " + library + ", only where there were some when the runtime was executed"
		}
	}
	return ""
}

// Executed is the part of Unsuited that is about v's environment.
func Executed(v *faas.Version, startOnly func(name string) bool) string {
	if v.Env[wrapperName] != "" {
		return wrapperName + " has another program start the runtime"
	}
	var early []string
	for name := range v.Env {
		if loaderReads(name) || startOnly(name) {
			early = append(early, name)
		}
	}
	if len(early) > 0 {
		slices.Sort(early)
		return "the runtime reads " + strings.Join(early, ", ") + " only when it is executed"
	}
	return ""
}

// loaderReads reports whether the loader or the C library reads a variable, once.
func loaderReads(name string) bool {
	return strings.HasPrefix(name, "LD_") || strings.HasPrefix(name, "MALLOC_") || strings.HasPrefix(name, "LC_") ||
		slices.Contains([]string{"GLIBC_TUNABLES", "GCONV_PATH", "LOCPATH", "LANG", "LANGUAGE"}, name)
}

// sharedIn returns the name of a shared library in a folder that base's LD_LIBRARY_PATH has; empty when there is none.
func sharedIn(root, folder string) string {
	if root == "" {
		return ""
	}
	d, err := os.Open(filepath.Join(root, folder))
	if err != nil {
		return "" // mostly there is no such folder
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1) // what can't be listed is no folder
	i := slices.IndexFunc(names, func(n string) bool { return strings.HasSuffix(n, ".so") || strings.Contains(n, ".so.") })
	if i < 0 {
		return ""
	}
	return filepath.Join(folder, names[i])
}
