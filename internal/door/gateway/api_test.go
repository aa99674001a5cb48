package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

var here = faas.Scope{Account: "000000000000", Region: "us-east-1"}

func TestOperations(t *testing.T) {
	const own = "arn:artesian:node:us-east-1:000000000000:"
	for key, want := range map[string]Operation{
		"GET " + admin.PSPath:              {"artesian:ListInstances", own + "instance/*", false},
		"GET " + admin.CostPath:            {"artesian:GetCost", own + "cost", false},
		"GET " + admin.DoctorPath:          {"artesian:GetDoctor", "*", false},
		"GET " + admin.RuntimesPath:        {"artesian:ListRuntimes", "*", false},
		"POST " + admin.RuntimesPath:       {"artesian:AddRuntime", "*", true},
		"DELETE " + admin.RuntimesPath:     {"artesian:RemoveRuntime", "*", true},
		"GET " + admin.URLsPath:            {"artesian:ListURLs", own + "url/*", false},
		"GET " + admin.TailPath:            {"artesian:TailLog", own + "log-group:G", false},
		"GET " + admin.ReceiptsPath + "id": {"artesian:GetReceipt", own + "receipt/id", false},
		"GET " + admin.TracesPath + "id":   {"artesian:GetTrace", own + "trace/id", false},
		"PUT " + admin.RuntimesPath:        {},
		"POST " + admin.PSPath:             {},
		"GET " + admin.PSPath + "/":        {},
		"GET /":                            {},
	} {
		method, path, _ := strings.Cut(key, " ")
		op, serve, ok := operation(method, path, "G", here)
		if op != want || ok != (want != Operation{}) || ok != (serve != nil) {
			t.Errorf("%s: %+v %v", key, op, ok)
		}
	}
}

// api answers as if the caller were of the scope here.
func api(a *API) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.Serve(w, r.WithContext(WithCaller(r.Context(), Caller{Scope: here})), nil)
	})
}

// TestNothingBeforeAuthorisation: what is refused is not begun.
func TestNothingBeforeAuthorisation(t *testing.T) {
	asked := 0
	a := &API{Logger: slog.New(slog.DiscardHandler), Authorize: func(context.Context, Operation) error {
		asked++
		return faas.Errorf(faas.Denied, "no")
	}} // whatever would be called beyond is nil
	for _, key := range []string{"GET " + admin.PSPath, "GET " + admin.CostPath, "GET " + admin.DoctorPath, "GET " + admin.RuntimesPath,
		"POST " + admin.RuntimesPath, "DELETE " + admin.RuntimesPath, "GET " + admin.TailPath, "GET " + admin.ReceiptsPath + "x"} {
		method, path, _ := strings.Cut(key, " ")
		w := httptest.NewRecorder()
		api(a).ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), `"no"`) {
			t.Errorf("%s: %d %s", key, w.Code, w.Body)
		}
	}
	if asked != 8 {
		t.Errorf("asked %d times", asked)
	}
}

// TestTail: each line is on its way before the next is there, and the stream ends with its client.
func TestTail(t *testing.T) {
	lines, ended := make(chan string), make(chan error, 1)
	a := &API{
		Logger:    slog.New(slog.DiscardHandler),
		Authorize: func(context.Context, Operation) error { return nil },
		Tail: func(r *http.Request, s faas.Scope, group string, since time.Time, emit func(admin.LogLine) error) error {
			if s != here || group != "g" || since.UnixMilli() != 5 {
				t.Errorf("%v %s %v", s, group, since)
			}
			for {
				select {
				case l := <-lines:
					if err := emit(admin.LogLine{Message: l}); err != nil {
						ended <- err
						return err
					}
				case <-r.Context().Done():
					ended <- r.Context().Err()
					return r.Context().Err()
				}
			}
		},
	}
	s := httptest.NewServer(api(a))
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL+admin.TailPath+"?group=g&since=5", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { lines <- "first" }()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); got != "application/x-ndjson" {
		t.Error(got)
	}
	in := bufio.NewScanner(resp.Body)
	for _, want := range []string{"first", "second"} {
		var l admin.LogLine
		if !in.Scan() || json.Unmarshal(in.Bytes(), &l) != nil || l.Message != want {
			t.Fatalf("got %q, want %s: %v", in.Text(), want, in.Err())
		}
		if want == "first" {
			lines <- "second"
		}
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the stream goes on without its client")
	}
}

// TestTailRefuses: before the first line an error is an answer.
func TestTailRefuses(t *testing.T) {
	a := &API{
		Logger:    slog.New(slog.DiscardHandler),
		Authorize: func(context.Context, Operation) error { return nil },
		Tail: func(*http.Request, faas.Scope, string, time.Time, func(admin.LogLine) error) error {
			return faas.Errorf(faas.NotFound, "there is no such group")
		},
	}
	for query, want := range map[string]int{"?since=yesterday": http.StatusBadRequest, "?group=g": http.StatusNotFound} {
		w := httptest.NewRecorder()
		api(a).ServeHTTP(w, httptest.NewRequest("GET", admin.TailPath+query, nil))
		if w.Code != want {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}
