package invoke_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"artesian/internal/compute/invoke"
	"artesian/internal/compute/lang"
	"artesian/internal/compute/pool"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// box is a sandbox without a process.
type box struct {
	done chan struct{}
	once sync.Once
	exit sandbox.Exit
}

func (b *box) Channel() *net.UnixConn      { return nil }
func (b *box) Output() *os.File            { return nil }
func (b *box) Listeners() []net.Listener   { return nil }
func (b *box) SetCPU(float64) error        { return nil }
func (b *box) Freeze() error               { return nil }
func (b *box) Beside() sandbox.Beside      { return sandbox.Beside{} }
func (b *box) Thaw() error                 { return nil }
func (b *box) Signal(syscall.Signal) error { return nil }
func (b *box) Usage() (sandbox.Usage, error) {
	return sandbox.Usage{CPU: time.Millisecond, Peak: 10 << 20}, nil
}
func (b *box) Done() <-chan struct{}   { return b.done }
func (b *box) Exit() sandbox.Exit      { return b.exit }
func (b *box) Started() sandbox.Phases { return sandbox.Phases{} }
func (b *box) Close() error            { b.once.Do(func() { close(b.done) }); return nil }

// script is a session that does what a test says.
type script struct {
	init   func(ctx context.Context) error
	invoke func(ctx context.Context, c lang.Call, out io.Writer) (*lang.Failure, error)
}

func (s *script) Init(ctx context.Context) (lang.InitPhases, error) {
	phases := lang.InitPhases{Runtime: 2 * time.Millisecond, Init: 3 * time.Millisecond}
	if s.init == nil {
		return phases, nil
	}
	return phases, s.init(ctx)
}

func (s *script) Invoke(ctx context.Context, c lang.Call, out io.Writer) (*lang.Failure, error) {
	return s.invoke(ctx, c, out)
}

func (s *script) Close() error { return nil }

// paper is an Output that keeps its lines.
type paper struct {
	mu    sync.Mutex
	lines []string
	tail  bool
}

func (p *paper) Line(_ time.Time, l string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, l)
}
func (p *paper) Drain() {}
func (p *paper) Tail(on bool) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tail = on
	return []byte(strings.Join(p.lines, "\n"))
}
func (p *paper) Close() {}

// stage puts an Invoker on scripted instances.
type stage struct {
	*invoke.Invoker
	pool   *pool.Pool
	script *script
	exit   sandbox.Exit
	paper  *paper
	mu     sync.Mutex // guards usage while calls run
	usage  []faas.Usage
	err    error

	reserved map[string]int
	ready    map[string]int // for what instances are kept ready
	running  sync.Map       // by the function's name, or the empty one: *atomic.Int64
	kept     atomic.Int64
}

func (s *stage) Launch(_ context.Context, v *faas.Version) (*pool.Running, error) {
	if s.err != nil {
		return nil, s.err
	}
	r := &pool.Running{Sandbox: &box{done: make(chan struct{}), exit: s.exit}, Session: s.script, Output: s.paper}
	if v.SnapStart {
		r.Way = faas.WaySnapshot
	}
	return r, nil
}

func (s *stage) Places(id faas.FunctionID) faas.Places {
	n, ok := s.reserved[id.Name]
	name := ""
	if ok {
		name = id.Name
	} else {
		for _, own := range s.reserved {
			n += own
		}
	}
	if !ok {
		for _, kept := range s.ready {
			n += kept
		}
	}
	running, _ := s.running.LoadOrStore(name, new(atomic.Int64))
	return faas.Places{Own: ok, Limit: n, Running: running.(*atomic.Int64), Ready: s.ready[id.Name], Kept: &s.kept}
}

func (s *stage) Loops(faas.FunctionID) bool { return false }

func (s *stage) Resolve(id faas.FunctionID, _ string, _ float64) (*faas.Version, error) {
	v := &faas.Version{ID: faas.VersionID{FunctionID: id, Version: faas.Latest}, MemoryMB: 128, Timeout: 3 * time.Second, State: faas.Active,
		Logging: faas.Logging{Format: "Text"}}
	if strings.HasPrefix(id.Name, "pending") {
		v.State = faas.Pending
	}
	if strings.HasSuffix(id.Name, "snapped") {
		v.SnapStart, v.ID.Version = true, "1"
	}
	return v, nil
}

func (s *stage) Record(u faas.Usage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usage = append(s.usage, u)
}

func newStage(t *testing.T, sc *script) *stage {
	s := &stage{script: sc, paper: &paper{}}
	s.over(s)
	return s
}

// over makes the invoker, with instances from l.
func (s *stage) over(l pool.Launcher) {
	s.pool = pool.New(l, pool.Config{KeepAlive: time.Hour})
	s.Invoker = invoke.New(invoke.Config{Versions: s, Pool: s.pool, Meter: s, Concurrency: 1, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
}

func (s *stage) close(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.pool.Close(ctx); err != nil {
		t.Error(err)
	}
}

// page is a Sink that keeps what it gets and checks the order.
type page struct {
	t     *testing.T
	begun int
	ended int
	body  bytes.Buffer
	tail  faas.Tail
}

func (p *page) Begin(faas.Head) error { p.begun++; return nil }
func (p *page) Write(b []byte) (int, error) {
	if p.begun != 1 || p.ended != 0 {
		p.t.Error("Write before Begin or after End")
	}
	return p.body.Write(b)
}
func (p *page) End(t faas.Tail) error { p.ended++; p.tail = t; return nil }

func call(name string) faas.Invocation {
	return faas.Invocation{ID: "id-1", Function: faas.FunctionID{Name: name}, Payload: []byte(`{}`), Received: time.Now(), Tail: true}
}

func answering(body string) *script {
	return &script{invoke: func(_ context.Context, _ lang.Call, out io.Writer) (*lang.Failure, error) {
		time.Sleep(1500 * time.Microsecond)
		_, err := io.WriteString(out, body)
		return nil, err
	}}
}

// TestOutcomes runs one call per way to end and checks answer, receipt and log.
func TestOutcomes(t *testing.T) {
	failing := &lang.Failure{Type: "ValueError", Document: []byte(`{"errorMessage":"no","errorType":"ValueError"}`)}
	returning := func(f *lang.Failure, err error) *script {
		return &script{invoke: func(_ context.Context, _ lang.Call, out io.Writer) (*lang.Failure, error) {
			if f != nil {
				_, _ = out.Write(f.Document)
			}
			return f, err
		}}
	}
	for name, c := range map[string]struct {
		script  *script
		exit    sandbox.Exit
		outcome faas.Outcome
		errors  bool
		body    string
		log     []string
		again   bool // the instance serves the next call
	}{
		"answer":        {script: answering(`"ok"`), outcome: faas.OutcomeOK, body: `"ok"`, log: []string{"START", "END", "REPORT", "Init Duration: 5.00 ms", "Billed Duration: 7 ms"}, again: true},
		"empty answer":  {script: returning(nil, nil), outcome: faas.OutcomeOK, again: true},
		"handler error": {script: returning(failing, nil), outcome: faas.OutcomeError, errors: true, body: "ValueError", again: true},
		"timeout": {script: &script{invoke: func(ctx context.Context, _ lang.Call, _ io.Writer) (*lang.Failure, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}, outcome: faas.OutcomeTimeout, errors: true, body: "timed out after 3.00 seconds", log: []string{"Duration: 3000.00 ms", "Status: timeout"}},
		"exit":         {script: returning(nil, lang.ErrExited), exit: sandbox.Exit{Code: 3}, outcome: faas.OutcomeExit, errors: true, body: "exit status 3"},
		"memory":       {script: returning(nil, lang.ErrExited), exit: sandbox.Exit{Code: -1, Signal: syscall.SIGKILL, OOM: true}, outcome: faas.OutcomeMemory, errors: true, body: "signal: killed"},
		"protocol":     {script: returning(nil, &lang.ProtocolError{Reason: "it wrote garbage"}), outcome: faas.OutcomeExit, errors: true, body: "errorType"},
		"platform":     {script: returning(nil, errors.New("disk on fire")), outcome: faas.OutcomeUnavailable, errors: true, body: "errorType"},
		"init failure": {script: &script{init: func(context.Context) error { return failing }}, outcome: faas.OutcomeInit, errors: true, body: "ValueError", log: []string{"INIT_REPORT", "Phase: init", "Phase: invoke"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, c.script)
				s.exit = c.exit
				out := &page{t: t}
				if err := s.Invoke(t.Context(), call("f"), out); err != nil {
					t.Fatal(err)
				}
				if out.begun != 1 || out.ended != 1 || !strings.Contains(out.body.String(), c.body) || (out.tail.FunctionError != "") != c.errors {
					t.Errorf("begun %d, ended %d, error %q, body %s", out.begun, out.ended, out.tail.FunctionError, out.body.String())
				}
				if strings.Contains(out.body.String(), "fire") {
					t.Error("the answer tells what only the log may")
				}
				for _, part := range c.log {
					if !strings.Contains(string(out.tail.Log), part) {
						t.Errorf("the log lacks %q:\n%s", part, out.tail.Log)
					}
				}
				if len(s.usage) != 1 || s.usage[0].Outcome != c.outcome || s.usage[0].RequestID != "id-1" || s.usage[0].Cold == nil || s.usage[0].Instance != "i1" ||
					!strings.HasPrefix(s.usage[0].TraceID, "1-") || len(s.usage[0].TraceID) != 35 {
					t.Errorf("usage %+v", s.usage)
				}
				if c.again {
					s.script.invoke = answering(`"again"`).invoke
					if err := s.Invoke(t.Context(), call("f"), &page{t: t}); err != nil || s.usage[1].Cold != nil || s.usage[1].Instance != "i1" || s.usage[1].TraceID == s.usage[0].TraceID {
						t.Errorf("the next call was cold: %v %+v", err, s.usage[1])
					}
				}
				s.close(t)
			})
		})
	}
}

// TestNotRun are the calls that reach no instance; each leaves a receipt that costs nothing.
func TestNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, answering(`1`))
		big := call("f")
		big.Payload = make([]byte, faas.MaxRequestBytes+1)
		if err := s.Invoke(t.Context(), big, &page{t: t}); faas.KindOf(err) != faas.TooLarge {
			t.Errorf("too large: %v", err)
		}
		if err := s.Invoke(t.Context(), call("pending"), &page{t: t}); faas.KindOf(err) != faas.Conflict {
			t.Errorf("pending: %v", err)
		}
		s.err = errors.New("no loop device at /dev/secret")
		err := s.Invoke(t.Context(), call("f"), &page{t: t})
		if faas.KindOf(err) != faas.Unavailable || strings.Contains(faas.Message(err), "secret") {
			t.Errorf("start: %v", err)
		}
		if n := len(s.usage); n != 1 || s.usage[0].Outcome != faas.OutcomeUnavailable {
			t.Errorf("%d records: %+v", n, s.usage)
		}
		s.close(t)
	})
}

// TestAdmission throttles beyond the account's limit, and frees the place of a call that ended.
func TestAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, &script{invoke: func(context.Context, lang.Call, io.Writer) (*lang.Failure, error) {
			time.Sleep(time.Second)
			return nil, nil
		}})
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Invoke(t.Context(), call("f"), &page{t: t}); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		if err := s.Invoke(t.Context(), call("g"), &page{t: t}); faas.KindOf(err) != faas.Throttled {
			t.Errorf("second call: %v", err)
		}
		wg.Wait()
		if err := s.Invoke(t.Context(), call("g"), &page{t: t}); err != nil {
			t.Errorf("after the first: %v", err)
		}
		s.close(t)
	})
}

// TestCallerLeaves: one who waits is forgotten, one who is served is not cut short.
func TestCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		finished := false
		s := newStage(t, &script{
			init: func(context.Context) error { time.Sleep(2 * time.Second); return nil },
			invoke: func(context.Context, lang.Call, io.Writer) (*lang.Failure, error) {
				time.Sleep(time.Second)
				finished = true
				return nil, nil
			},
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Invoke(ctx, call("f"), &page{t: t}); !errors.Is(err, context.DeadlineExceeded) || s.usage[0].Outcome != faas.OutcomeCancelled {
			t.Errorf("%v %+v", err, s.usage)
		}
		time.Sleep(2 * time.Second) // the start goes on
		ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if err := s.Invoke(ctx, call("f"), &page{t: t}); err != nil || !finished {
			t.Errorf("%v, finished %v", err, finished)
		}
		s.close(t)
	})
}
