package node

import (
	"slices"
	"strings"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/framed"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// Generic implements lang.Generic: a process with all loaded that functions commonly need, which waits for its assignment.
func (r *Runtime) Generic(spec *sandbox.Spec, memoryMB int) {
	r.mount(spec)
	spec.Argv = r.argv(memoryMB, "", "stem.cjs")
	spec.Env = append(lambda.Defaults(), r.execution(), quietSDK)
	spec.Dir = "/"
	spec.Channel = true
}

// Adopt implements lang.Generic.
func (r *Runtime) Adopt(sb sandbox.Sandbox, spec *sandbox.Spec, _ faas.Version) lang.Session {
	return framed.Adopt(sb, spec)
}

// Unsuited implements lang.Generic.
func (r *Runtime) Unsuited(v *faas.Version, code, layers string) string {
	return lambda.Unsuited(v, code, layers, startOnly)
}

// startOnly reports whether Node.js, or a library in it, reads a variable when it starts and not again. New versions of Node.js
// have new variables of their own, so only those that are known to be read later, or by others, pass.
// https://nodejs.org/api/cli.html#environment-variables
func startOnly(name string) bool {
	switch {
	case slices.Contains([]string{"NODE_PATH", "NODE_ENV", "NODE_TLS_REJECT_UNAUTHORIZED", "NODE_DISABLE_COLORS", "NODE_APP_INSTANCE"}, name), strings.HasPrefix(name, "NODE_CONFIG"):
		return false
	}
	return slices.ContainsFunc([]string{"NODE_", "UV_", "V8_", "UNDICI_", "ICU_", "OPENSSL_", "SSL_CERT_"}, func(p string) bool { return strings.HasPrefix(name, p) })
}
