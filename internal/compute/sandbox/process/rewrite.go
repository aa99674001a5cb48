package process

import (
	"strings"

	"artesian/internal/compute/sandbox"
)

// rewrite replaces, in every colon-separated part of s, a path at or below a mount's target by the same path below its
// source. Later mounts hide earlier ones, as they do inside a container.
func rewrite(s string, mounts []sandbox.Mount) string {
	parts := strings.Split(s, ":")
	for i, p := range parts {
		for j := len(mounts) - 1; j >= 0; j-- {
			m := mounts[j]
			if rest, ok := strings.CutPrefix(p, m.Target); ok && (rest == "" || rest[0] == '/') {
				parts[i] = m.Source + rest
				break
			}
		}
	}
	return strings.Join(parts, ":")
}

func rewriteAll(list []string, mounts []sandbox.Mount) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = rewrite(s, mounts)
	}
	return out
}

// rewriteEnv rewrites the values only.
func rewriteEnv(env []string, mounts []sandbox.Mount) []string {
	out := make([]string, len(env))
	for i, e := range env {
		name, value, _ := strings.Cut(e, "=")
		out[i] = name + "=" + rewrite(value, mounts)
	}
	return out
}
