package extension

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// box is a sandbox of which only the ends matter.
type box struct {
	sandbox.Sandbox
	ended chan sandbox.Ended
	main  chan struct{}
	done  chan struct{}
}

func (b *box) Beside() sandbox.Beside      { return sandbox.Beside{Ended: b.ended, Main: b.main} }
func (b *box) Done() <-chan struct{}       { return b.done }
func (b *box) Thaw() error                 { return nil }
func (b *box) Signal(syscall.Signal) error { close(b.done); return nil }

// runtime answers at once.
type runtime struct{ lang.Session }

func (runtime) Init(ctx context.Context) (lang.InitPhases, error) {
	return lang.InitPhases{}, ctx.Err()
}
func (runtime) Close() error { return nil }
func (runtime) Invoke(_ context.Context, _ lang.Call, out io.Writer) (*lang.Failure, error) {
	_, err := io.WriteString(out, "answer")
	return nil, err
}

func session(t *testing.T, external ...string) (*Session, *Host, *box) {
	t.Helper()
	b := &box{ended: make(chan sandbox.Ended, len(external)), done: make(chan struct{})}
	h := NewHost(&faas.Version{}, external, func(time.Time, string) {}, time.Now)
	s := Extend(runtime{}, h, b, "test")
	t.Cleanup(func() { _ = s.Close() })
	return s, h, b
}

// ask makes one request as an extension does.
func ask(h *Host, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.Handler().ServeHTTP(w, r)
	return w
}

func joined(t *testing.T, h *Host, name string) (id string) {
	t.Helper()
	w := ask(h, "POST", api+"register", `{"events":["INVOKE"]}`, headName, name)
	if w.Code != http.StatusOK {
		t.Fatalf("register: %d %s", w.Code, w.Body)
	}
	return w.Header().Get(headID)
}

func soon(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 30*time.Millisecond)
}

// TestInitWaits: for every program to register and for every extension to ask for its first event.
func TestInitWaits(t *testing.T) {
	s, h, _ := session(t, "x")
	ctx, cancel := soon(t)
	defer cancel()
	if _, err := s.Init(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("without x: %v", err)
	}
	id := joined(t, h, "x")
	ctx, cancel = soon(t)
	defer cancel()
	if _, err := s.Init(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("before x asks: %v", err)
	}
	go ask(h, "GET", api+"event/next", "", headID, id)
	if _, err := s.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := ask(h, "POST", api+"register", `{}`, headName, "late"); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "Extension.RegistrationClosed") {
		t.Errorf("late: %d %s", w.Code, w.Body)
	}
}

// TestRestWaits: Invoke returns with the answer, and the call lasts until the extension asks again.
func TestRestWaits(t *testing.T) {
	s, h, _ := session(t, "x")
	id := joined(t, h, "x")
	events := make(chan string, 10)
	next := func() { events <- ask(h, "GET", api+"event/next", "", headID, id).Body.String() }
	go next()
	if _, err := s.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if _, err := s.Invoke(t.Context(), lang.Call{RequestID: "1", Trace: "Root=1"}, &out); err != nil || out.String() != "answer" {
		t.Fatalf("%v, %q", err, &out)
	}
	ctx, cancel := soon(t)
	defer cancel()
	if !s.Working() {
		t.Error("the extension is not at work")
	}
	if err := s.Rest(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if e := <-events; !strings.Contains(e, `"requestId":"1"`) || !strings.Contains(e, `"value":"Root=1"`) {
		t.Errorf("event %s", e)
	}
	go next()
	if err := s.Rest(t.Context()); err != nil || s.Working() {
		t.Fatal(err)
	}
}

// TestCrashEndsACall that waits for the extension, and the next one before it reaches the runtime.
func TestCrashEndsACall(t *testing.T) {
	s, h, b := session(t, "x")
	id := joined(t, h, "x")
	go ask(h, "GET", api+"event/next", "", headID, id)
	if _, err := s.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Invoke(t.Context(), lang.Call{}, io.Discard); err != nil {
		t.Fatal(err)
	}
	b.ended <- sandbox.Ended{Code: -1, Signal: syscall.SIGSEGV}
	var crashed *lang.Crashed
	if err := s.Rest(t.Context()); !errors.As(err, &crashed) || crashed.Type != ErrorCrash || crashed.Reason != "signal: segmentation fault" {
		t.Fatal(err)
	}
	var out strings.Builder
	if _, err := s.Invoke(t.Context(), lang.Call{}, &out); !errors.As(err, &crashed) || out.Len() > 0 || !s.Working() {
		t.Fatalf("the next call: %v, %q", err, &out)
	}
}

// stuck is a runtime's session that does not notice its end.
type stuck struct{ runtime }

func (stuck) Invoke(ctx context.Context, _ lang.Call, _ io.Writer) (*lang.Failure, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestRuntimeEnds: the call ends with it, and the extensions are told why the end comes.
func TestRuntimeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &box{ended: make(chan sandbox.Ended, 1), main: make(chan struct{}), done: make(chan struct{})}
		h := NewHost(&faas.Version{}, []string{"x"}, func(time.Time, string) {}, time.Now)
		s := Extend(stuck{}, h, b, "test")
		w := ask(h, "POST", api+"register", `{"events":["SHUTDOWN"]}`, headName, "x")
		told := make(chan string, 1)
		go func() { told <- ask(h, "GET", api+"event/next", "", headID, w.Header().Get(headID)).Body.String() }()
		if _, err := s.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		close(b.main)
		if _, err := s.Invoke(t.Context(), lang.Call{}, io.Discard); !errors.Is(err, lang.ErrExited) {
			t.Error(err)
		}
		begun := time.Now()
		if err := s.Close(); err != nil || time.Since(begun) != shutdownTime {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		if e := <-told; !strings.Contains(e, `"shutdownReason":"failure"`) {
			t.Error(e)
		}
		close(b.done)
	})
}

// FuzzRegister: whatever registers gets an identifier or one of the API's errors.
func FuzzRegister(f *testing.F) {
	f.Add("x", `{"events":["INVOKE","SHUTDOWN"]}`, "accountId")
	f.Add("inner", `{"events":[]}`, "")
	f.Add("", `{`, ",,")
	f.Fuzz(func(t *testing.T, name, body, feature string) {
		h := NewHost(&faas.Version{}, []string{"x"}, func(time.Time, string) {}, time.Now)
		w := ask(h, "POST", api+"register", body, headName, name, headFeature, feature)
		switch {
		case w.Code == http.StatusOK && len(w.Header().Get(headID)) == 36 && len(h.members) == 1:
		case w.Code == http.StatusForbidden && strings.Contains(w.Body.String(), "errorType") && len(h.members) == 0:
		default:
			t.Fatalf("%q %q: %d %s", name, body, w.Code, w.Body)
		}
	})
}
