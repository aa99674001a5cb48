package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/extension"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// Images finds the image of a published version.
type Images interface {
	// Image lends it until release is called. The address is where what runs in it looks for the APIs beside the Runtime API.
	Image(ctx context.Context, v *faas.Version) (image sandbox.Image, address string, release func(), err error)
}

// Snapshot initialises an instance of v and makes an image of it. The error is a *lang.Failure or lang.ErrExited when the function's own code, or
// what it wants done before, went wrong.
func (n *Node) Snapshot(ctx context.Context, v *faas.Version) (image sandbox.Image, address string, err error) {
	job, err := n.look(ctx, v)
	if err != nil {
		return nil, "", err
	}
	runtime, ok := job.runtime.(lang.Imaged)
	if !ok {
		return nil, "", faas.Errorf(faas.Unsupported, "an instance of runtime %s cannot go on from an image here", v.Runtime)
	}
	l, err := n.prepare(v, job, newID())
	if err != nil {
		return nil, "", err
	}
	if len(l.spec.Beside) > 0 || v.Env["AWS_LAMBDA_EXEC_WRAPPER"] != "" {
		return nil, "", faas.Errorf(faas.Unsupported, "no image is made of a function with extensions or a wrapper")
	}
	runtime.Savable(&l.spec, v)
	sb, err := n.Keeper.StartKept(ctx, l.spec)
	if err != nil {
		return nil, "", fmt.Errorf("start sandbox: %w", err)
	}
	defer func() { err = errors.Join(err, sb.Close()) }()
	n.Serve(sb, v)
	session, out, err := n.converse(v, runtime, l, sb)
	if err != nil {
		return nil, "", err
	}
	defer out.Close()
	defer func() { _ = session.Close() }()
	if _, err = session.Init(ctx); err == nil {
		err = session.Suspend(ctx)
	}
	n.report(out, lambda.ImageReportLines(v, n.Now().Sub(l.at), err, n.Now()))
	if err != nil {
		return nil, "", err
	}
	image, err = n.Keeper.Snapshot(ctx, sb)
	return image, l.spec.Listen[len(l.spec.Listen)-1], err
}

// converse takes over the conversation with a sandbox of which an image is to be made.
func (n *Node) converse(v *faas.Version, runtime lang.Imaged, l *launch, sb sandbox.Sandbox) (lang.Suspendable, *printed, error) {
	log, err := n.OpenLog(v, l.stream)
	if err != nil {
		return nil, nil, fmt.Errorf("open log: %w", err)
	}
	var out *printed
	host := extension.NewHost(v, nil, func(at time.Time, line string) { out.Line(at, line) }, n.Now)
	if out, err = newOutput(sb, v, n.Now, log, host.Printed); err != nil {
		log.Close()
		return nil, nil, fmt.Errorf("take over output: %w", err)
	}
	for _, line := range lambda.InitStartLines(v, runtime.Served(), l.at) {
		out.Line(l.at, line)
	}
	return runtime.Kept(l.extensions.open(sb, host, true), *v), out, nil
}

// restored makes the sandbox of a version of which there is an image; nothing of one that has none. It says why it could not.
func (n *Node) restored(ctx context.Context, v *faas.Version, job job) (*made, string) {
	runtime, ok := job.runtime.(lang.Imaged)
	if !ok || n.Images == nil || !v.SnapStart || v.ID.Version == faas.Latest {
		return nil, ""
	}
	image, address, release, err := n.Images.Image(ctx, v)
	if err != nil {
		return nil, "no image: " + err.Error()
	}
	defer release()
	l, err := n.prepare(v, job, newID())
	if err != nil {
		return nil, err.Error()
	}
	runtime.Savable(&l.spec, v)
	l.spec.Listen[len(l.spec.Listen)-1] = address
	sb, err := n.Keeper.Restore(ctx, l.spec, image)
	if err != nil {
		return nil, "not restored: " + err.Error()
	}
	return &made{launch: l, sandbox: sb, restored: true, way: faas.WaySnapshot}, ""
}

// reportRestore logs how the start of an instance that goes on from an image came out.
func (n *Node) reportRestore(v *faas.Version, out *printed) func(*faas.Cold, error) {
	return func(cold *faas.Cold, err error) { n.report(out, lambda.RestoreReportLines(v, cold, err, n.Now())) }
}

// report logs lines of the platform's own behind what was printed before.
func (n *Node) report(out *printed, lines []string) {
	out.Drain()
	at := n.Now()
	for _, line := range lines {
		out.Line(at, line)
	}
}

// awake is what is new in the environment of a process that goes on: all but where it looks for the APIs, which it knows.
func awake(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool { return strings.HasPrefix(kv, lambda.APIVariable+"=") })
}
