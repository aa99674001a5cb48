package java

import (
	"context"
	"runtime"
	"slices"
	"strings"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/framed"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// Generic implements lang.Generic: a JVM with the interface client loaded, which waits for its assignment.
func (r *Runtime) Generic(spec *sandbox.Spec, memoryMB int) {
	r.mount(spec)
	lambda.ListenAPI(spec)
	spec.Argv = r.argv(memoryMB, "", aheadMain, aheadNative)
	// What Java remembers of its working directory from its start is of a folder that is not there yet.
	spec.Argv = slices.Insert(spec.Argv, 1, "-Duser.dir="+lambda.TaskRoot)
	spec.Env = append(lambda.Defaults(), r.own()...)
	spec.Dir = "/"
	spec.Channel = true
}

// Unsuited implements lang.Generic.
func (r *Runtime) Unsuited(v *faas.Version, code, layers string) string {
	switch {
	case r.pack == "":
		return "the interface client is not installed"
	case library(runtime.GOARCH) == nil:
		return "a JVM cannot take over another environment on this machine's architecture"
	}
	return lambda.Unsuited(v, code, layers, startOnly)
}

// startOnly reports whether the JVM reads a variable when it starts and not again.
func startOnly(name string) bool {
	return slices.Contains([]string{"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH", "HOME", "NLSPATH"}, name) ||
		strings.HasPrefix(name, "JDK_") || strings.HasPrefix(name, "_JAVA_") || strings.HasPrefix(name, "NMT_LEVEL_")
}

// Adopt implements lang.Generic.
func (r *Runtime) Adopt(sb sandbox.Sandbox, spec *sandbox.Spec, v faas.Version) lang.Session {
	return &assigned{
		Session:   lambda.Attach(sb),
		assigning: framed.NewAssigning(sb.Channel(), framed.Assignment{Dir: spec.Dir, Args: []string{v.Handler}, Env: spec.Env}),
	}
}

// assigned is the session of a JVM that is told first whom it is for, or that it goes on. It speaks the Runtime API from then on.
type assigned struct {
	*lambda.Session
	assigning *framed.Assigning
}

// Init implements lang.Session.
func (s *assigned) Init(ctx context.Context) (lang.InitPhases, error) {
	err := s.assigning.Send(ctx)
	if err != nil && ctx.Err() != nil {
		return s.Phases(), err
	}
	// One that can't be told has ended, or takes no such assignment: the session finds out which.
	if err != nil && !s.assigning.Gone() {
		return lang.InitPhases{}, err
	}
	return s.Session.Init(ctx)
}
