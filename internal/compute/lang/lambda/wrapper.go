package lambda

import (
	"strings"

	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// wrapperName is the variable that names a program of the function's or a layer's to start the runtime:
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html#runtime-wrapper
const wrapperName = "AWS_LAMBDA_EXEC_WRAPPER"

// Wrap makes the program that v names start the managed runtime that spec has as its command. A runtime of the function's own does
// so itself, if it wants to. A wrapper that can't be executed ends like the shell that tries: with status 126 or 127 and the
// reason in the log, as on Lambda.
func Wrap(spec *sandbox.Spec, v faas.Version) {
	wrapper := v.Env[wrapperName]
	if wrapper == "" || strings.HasPrefix(v.Runtime, "provided") {
		return
	}
	spec.Argv = append([]string{"/bin/sh", "-c", `exec "$0" "$@"`, wrapper}, spec.Argv...)
}
