package node

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"artesian/internal/compute/lang/extension"
	"artesian/internal/compute/lang/inside"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/sandbox"
)

// extensionDir is where layers have programs to run beside the runtime.
const extensionDir = "extensions"

// apiConnections is how many connections a runtime and what it loads may have to the APIs beside the Runtime API.
const apiConnections = 8

// aside is what a sandbox gets beside its runtime.
type aside struct {
	names   []string // of the programs, in the order of Spec.Beside
	problem string   // why they can't be executed
	listens bool     // the API has a listener of its own, the last: the runtime has none to share
	gated   bool     // the runtime's process waits, if it is executed, until a line comes by its channel
	keeps   bool     // that channel is the runtime's afterwards
}

// beside adds to spec, which the runtime has prepared, the extensions in directory layers and the way to their API.
func beside(spec *sandbox.Spec, layers string) (a aside, err error) {
	if !slices.ContainsFunc(spec.Env, func(kv string) bool { return strings.HasPrefix(kv, lambda.APIVariable+"=") }) {
		api := lambda.APIAddress(spec.ID)
		spec.Listen = append(spec.Listen, api)
		spec.Env = append(spec.Env, lambda.APIVariable+"="+api)
		a.listens = true
	}
	spec.Dials = 1 // what the runtime's own process may subscribe to is sent to it
	if layers == "" {
		return a, nil
	}
	entries, err := os.ReadDir(filepath.Join(layers, extensionDir))
	if err != nil && !os.IsNotExist(err) {
		return a, fmt.Errorf("look for extensions: %w", err)
	}
	env := lambda.ExtensionEnv(spec.Env)
	for _, e := range entries {
		program := lambda.LayerDir + "/" + extensionDir + "/" + e.Name()
		info, err := os.Stat(filepath.Join(layers, extensionDir, e.Name()))
		switch {
		case err == nil && info.IsDir():
			continue
		case len(a.names) == extension.MaxExtensions:
			a.problem = fmt.Sprintf("there are more than %d programs in %s/%s", extension.MaxExtensions, lambda.LayerDir, extensionDir)
		case err == nil && info.Mode().Perm()&0o111 == 0:
			a.problem = "fork/exec " + program + ": permission denied"
		default:
			a.problem = lambda.Executable(spec.Mounts, program)
		}
		if a.problem != "" {
			a.names, spec.Beside, spec.Dials = nil, nil, 1
			return a, nil
		}
		a.names = append(a.names, e.Name())
		spec.Beside = append(spec.Beside, sandbox.Program{Argv: []string{program}, Env: env})
		spec.Dials++
	}
	if len(a.names) > 0 {
		a.keeps = spec.Channel
		a.gated = lambda.Gate(spec)
	}
	return a, nil
}

// neighbours implements lambda.Neighbourly.
type neighbours struct {
	sandbox.Sandbox
	handler     http.Handler
	connections int
}

// Neighbours implements lambda.Neighbourly.
func (n neighbours) Neighbours() (http.Handler, int) { return n.handler, n.connections }

// ours is a sandbox as those see it who care for its runtime only: done when that is, whatever extensions do then.
type ours struct {
	sandbox.Sandbox
	done <-chan struct{}
}

func (o ours) Done() <-chan struct{} { return o.done }

func oursOf(sb sandbox.Sandbox) sandbox.Sandbox {
	if main := sb.Beside().Main; main != nil {
		return ours{sb, main}
	}
	return sb
}

// open serves the API, on a listener of its own or on the runtime's: that of the sandbox that comes back. A runtime that was executed
// for this function, and not adopted, waits at its gate.
func (a aside) open(sb sandbox.Sandbox, h *extension.Host, executed bool) sandbox.Sandbox {
	if a.problem != "" {
		h.Fail(extension.ErrorLaunch, a.problem)
	}
	if a.gated && executed {
		h.Gate(func() {
			_, _ = sb.Channel().Write([]byte{'\n'}) // a process that has ended is noticed by its end
			if !a.keeps {
				_ = sb.Channel().Close()
			}
		})
	}
	h.Reach(sb.Beside().Dial)
	n := neighbours{oursOf(sb), h.Handler(), apiConnections + 2*len(a.names)} // each extension waits on one and reports on another
	if a.listens {
		l := sb.Listeners()[len(sb.Listeners())-1]
		s := &http.Server{Handler: n.handler, ReadHeaderTimeout: time.Minute}
		go func() { _ = inside.Serve(s, l, n.connections) }() // ends with the sandbox's listener
		go func() { <-sb.Done(); _ = s.Close() }()
	}
	return n
}
