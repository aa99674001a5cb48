package pool

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// fakeSandbox is a sandbox without a process.
type fakeSandbox struct {
	done   chan struct{}
	once   sync.Once
	frozen atomic.Bool
}

func (f *fakeSandbox) Channel() *net.UnixConn        { return nil }
func (f *fakeSandbox) Output() *os.File              { return nil }
func (f *fakeSandbox) Listeners() []net.Listener     { return nil }
func (f *fakeSandbox) SetCPU(float64) error          { return nil }
func (f *fakeSandbox) Freeze() error                 { f.frozen.Store(true); return nil }
func (f *fakeSandbox) Beside() sandbox.Beside        { return sandbox.Beside{} }
func (f *fakeSandbox) Thaw() error                   { f.frozen.Store(false); return nil }
func (f *fakeSandbox) Signal(syscall.Signal) error   { return nil }
func (f *fakeSandbox) Usage() (sandbox.Usage, error) { return sandbox.Usage{}, nil }
func (f *fakeSandbox) Done() <-chan struct{}         { return f.done }
func (f *fakeSandbox) Exit() sandbox.Exit            { return sandbox.Exit{} }
func (f *fakeSandbox) Started() sandbox.Phases       { return sandbox.Phases{} }
func (f *fakeSandbox) Close() error                  { f.once.Do(func() { close(f.done) }); return nil }

type fakeSession struct{ init func(context.Context) error }

func (f fakeSession) Init(ctx context.Context) (lang.InitPhases, error) {
	return lang.InitPhases{}, f.init(ctx)
}
func (f fakeSession) Invoke(context.Context, lang.Call, io.Writer) (*lang.Failure, error) {
	return nil, nil
}
func (f fakeSession) Close() error { return nil }

type fakeOutput struct{}

func (fakeOutput) Line(time.Time, string) {}
func (fakeOutput) Drain()                 {}
func (fakeOutput) Tail(bool) []byte       { return nil }
func (fakeOutput) Close()                 {}

// fakeNode launches fake instances, each after delay.
type fakeNode struct {
	mu       sync.Mutex
	delay    time.Duration
	note     string
	err      error
	init     func(context.Context) error
	launched []*fakeSandbox
}

func (n *fakeNode) Launch(ctx context.Context, _ *faas.Version) (*Running, error) {
	time.Sleep(n.delay) // virtual time
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return nil, n.err
	}
	sb := &fakeSandbox{done: make(chan struct{})}
	n.launched = append(n.launched, sb)
	init := n.init
	if init == nil {
		init = func(context.Context) error { return nil }
	}
	return &Running{Sandbox: sb, Session: fakeSession{init}, Output: fakeOutput{}, Note: n.note}, nil
}

func (n *fakeNode) count() (all, alive int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, sb := range n.launched {
		select {
		case <-sb.done:
		default:
			alive++
		}
	}
	return len(n.launched), alive
}

func version(name string, mb int) *faas.Version {
	return &faas.Version{ID: faas.VersionID{FunctionID: faas.FunctionID{Name: name}, Version: faas.Latest, Revision: "r1"}, MemoryMB: mb}
}

func hold(d time.Duration) func(*Instance) error {
	return func(*Instance) error { time.Sleep(d); return nil }
}

func closeAll(t *testing.T, p *Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
}
