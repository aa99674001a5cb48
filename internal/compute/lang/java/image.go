package java

import (
	"context"
	"errors"
	"slices"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/framed"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

const (
	pauseMain = "artesian.Pause"
	// hooksFlag tells the package org.crac, which functions carry, whose hooks the interface client runs.
	hooksFlag = "-Dorg.crac.Core.Compat=com.amazonaws.services.lambda.crac"
)

// Savable implements lang.Imaged: the interface client's hooks are run as they are, and the process waits between them. It does without the
// archive of classes, which may be another one when an image that had it mapped goes on.
func (r *Runtime) Savable(spec *sandbox.Spec, v *faas.Version) {
	if at := slices.Index(spec.Argv, clientMain); at >= 0 {
		argv := append(slices.Clone(spec.Argv[:at]), pauseMain, aheadNative, v.Handler)
		archived := r.archived(v.Env["JAVA_TOOL_OPTIONS"])
		spec.Argv = slices.DeleteFunc(argv, func(a string) bool { return slices.Contains(archived, a) })
	}
}

// Kept implements lang.Imaged.
func (r *Runtime) Kept(sb sandbox.Sandbox, v faas.Version) lang.Suspendable {
	return &kept{Session: r.Attach(sb, v).(*lambda.Session), channel: framed.New(sb)}
}

// kept is the session of a JVM that is to be saved. It says over its channel how far it is, and to the Runtime API what went wrong.
type kept struct {
	*lambda.Session
	channel *framed.Session
}

// Init implements lang.Session.
func (s *kept) Init(ctx context.Context) (lang.InitPhases, error) {
	phases, err := s.channel.Init(ctx)
	return phases, s.why(ctx, err)
}

// Suspend implements lang.Suspendable.
func (s *kept) Suspend(ctx context.Context) error { return s.why(ctx, s.channel.Suspend(ctx)) }

// why prefers what a process said before it ended to the bare fact.
func (s *kept) why(ctx context.Context, err error) error {
	if errors.Is(err, lang.ErrExited) {
		_, err = s.Session.Init(ctx)
	}
	return err
}

// Resume implements lang.Imaged.
func (r *Runtime) Resume(sb sandbox.Sandbox, env []string) lang.Session {
	s := lambda.Attach(sb)
	s.Restoring()
	return &assigned{Session: s, assigning: framed.NewWaking(sb.Channel(), env)}
}
