package gateway

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

// API is the daemon's own service, behind the same signatures as all others. Its fields are what the rooms below offer.
type API struct {
	PS            func(faas.Scope) []admin.Instance
	Cost          func(ctx context.Context, s faas.Scope, days int) (admin.Cost, error)
	Doctor        func(context.Context) (admin.Doctor, error)
	Runtimes      func(context.Context) ([]admin.Runtime, error)
	AddRuntime    func(ctx context.Context, path string) (admin.Runtime, error)
	RemoveRuntime func(ctx context.Context, path string) error
	Tail          func(r *http.Request, s faas.Scope, group string, since time.Time, emit func(admin.LogLine) error) error
	Receipt       func(ctx context.Context, s faas.Scope, id string) (admin.Receipt, error)
	Logger        *slog.Logger
}

const maxCostDays = 366

// Limit implements Service.
func (a *API) Limit(*http.Request) int64 { return 64 << 10 }

// Serve implements Service.
func (a *API) Serve(w http.ResponseWriter, r *http.Request, body []byte) {
	caller, _ := CallerFrom(r.Context())
	switch key := r.Method + " " + r.URL.Path; {
	case key == "GET "+admin.PSPath:
		writeJSON(w, http.StatusOK, admin.PS{Instances: a.PS(caller.Scope)})
	case key == "GET "+admin.CostPath:
		a.cost(w, r, caller.Scope)
	case key == "GET "+admin.DoctorPath:
		d, err := a.Doctor(r.Context())
		a.answer(w, r, d, err)
	case key == "GET "+admin.RuntimesPath:
		list, err := a.Runtimes(r.Context())
		a.answer(w, r, admin.Runtimes{Runtimes: list}, err)
	case key == "POST "+admin.RuntimesPath:
		a.addRuntime(w, r, body)
	case key == "DELETE "+admin.RuntimesPath:
		if err := a.RemoveRuntime(r.Context(), r.URL.Query().Get("path")); err != nil {
			a.Refuse(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	case key == "GET "+admin.TailPath:
		a.tail(w, r, caller.Scope)
	case strings.HasPrefix(key, "GET "+admin.ReceiptsPath):
		rec, err := a.Receipt(r.Context(), caller.Scope, strings.TrimPrefix(r.URL.Path, admin.ReceiptsPath))
		a.answer(w, r, rec, err)
	default:
		a.Refuse(w, r, faas.Errorf(faas.NotFound, "there is no %s %s", r.Method, quote(r.URL.Path)))
	}
}

func (a *API) cost(w http.ResponseWriter, r *http.Request, s faas.Scope) {
	days := 30
	if q := r.URL.Query().Get("days"); q != "" {
		n, err := strconv.Atoi(q)
		if err != nil || n < 1 || n > maxCostDays {
			a.Refuse(w, r, faas.Errorf(faas.Invalid, "days is %s; allowed are 1 to %d", quote(q), maxCostDays))
			return
		}
		days = n
	}
	c, err := a.Cost(r.Context(), s, days)
	a.answer(w, r, c, err)
}

// answer writes v, or err when there is one.
func (a *API) answer(w http.ResponseWriter, r *http.Request, v any, err error) {
	if err != nil {
		a.Refuse(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

func (a *API) addRuntime(w http.ResponseWriter, r *http.Request, body []byte) {
	var in admin.AddRuntime
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		a.Refuse(w, r, faas.Errorf(faas.Invalid, "the body is not a request to add a runtime: %v", err))
		return
	}
	rt, err := a.AddRuntime(r.Context(), in.Path)
	a.answer(w, r, rt, err)
}

// tail streams log lines until the client leaves.
func (a *API) tail(w http.ResponseWriter, r *http.Request, s faas.Scope) {
	q := r.URL.Query()
	since := time.Time{}
	if v := q.Get("since"); v != "" {
		ms, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			a.Refuse(w, r, faas.Errorf(faas.Invalid, "since is %s; it must be milliseconds since 1970", quote(v)))
			return
		}
		since = time.UnixMilli(ms)
	}
	rc := http.NewResponseController(w)
	begun := false
	begin := func() {
		if !begun {
			begun = true
			w.Header().Set("Content-Type", "application/x-ndjson")
			w.WriteHeader(http.StatusOK)
		}
	}
	enc := json.NewEncoder(w)
	err := a.Tail(r, s, q.Get("group"), since, func(l admin.LogLine) error {
		begin()
		if err := enc.Encode(l); err != nil {
			return err
		}
		return rc.Flush()
	})
	if err != nil && !begun && r.Context().Err() == nil {
		a.Refuse(w, r, err)
	}
}

// Refuse implements Service.
func (a *API) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, code := http.StatusInternalServerError, "Internal"
	message := "something went wrong here; the log has it under request id " + faas.RequestID(r.Context())
	switch faas.KindOf(err) {
	case faas.Invalid, faas.Precondition, faas.Unsupported:
		status, code = http.StatusBadRequest, "Invalid"
	case faas.NotFound:
		status, code = http.StatusNotFound, "NotFound"
	case faas.Conflict:
		status, code = http.StatusConflict, "Conflict"
	case faas.Unauthenticated, faas.Denied:
		status, code = http.StatusForbidden, "Denied"
	case faas.Throttled, faas.LimitExceeded:
		status, code = http.StatusTooManyRequests, "Throttled"
	case faas.TooLarge:
		status, code = http.StatusRequestEntityTooLarge, "TooLarge"
	case faas.Unavailable:
		status, code = http.StatusServiceUnavailable, "Unavailable"
	}
	if status == http.StatusInternalServerError {
		a.Logger.Error("request failed", "request_id", faas.RequestID(r.Context()), "path", r.URL.Path, "error", err)
	} else {
		message = faas.Message(err)
	}
	writeError(w, status, code, message)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client left
}
