package gateway

import (
	"bytes"
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
	Authorize     func(context.Context, Operation) error // asked before anything is done; an error refuses
	PS            func(faas.Scope) []admin.Instance
	Cost          func(ctx context.Context, s faas.Scope, days int) (admin.Cost, error)
	Doctor        func(context.Context) (admin.Doctor, error)
	Runtimes      func(context.Context) (admin.Runtimes, error)
	AddRuntime    func(ctx context.Context, path string) (admin.Runtime, error)
	RemoveRuntime func(ctx context.Context, path string) error
	Tail          func(r *http.Request, s faas.Scope, group string, since time.Time, emit func(admin.LogLine) error) error
	URLs          func(ctx context.Context, s faas.Scope) []admin.URL
	Receipt       func(ctx context.Context, s faas.Scope, id string) (admin.Receipt, error)
	Trace         func(ctx context.Context, s faas.Scope, id string) ([]admin.Receipt, error)
	Logger        *slog.Logger
}

const maxCostDays = 366

// Operation is what the authorisation seam is asked about.
type Operation struct {
	Action   string // artesian:VERB
	Resource string // an ARN of the caller's scope; * is what concerns all accounts of the node
	Owner    bool   // it changes what the node itself runs, which is for its owner alone
}

type serveFunc func(a *API, w http.ResponseWriter, r *http.Request, body []byte, s faas.Scope)

// operation finds out what a request asks for. It reports false for what there isn't.
func operation(method, path, group string, s faas.Scope) (Operation, serveFunc, bool) {
	own := func(resource string) string {
		return "arn:artesian:node:" + s.Region + ":" + s.Account + ":" + resource
	}
	const all = "*"
	switch key := method + " " + path; {
	case key == "GET "+admin.PSPath:
		return Operation{Action: "artesian:ListInstances", Resource: own("instance/*")}, (*API).ps, true
	case key == "GET "+admin.CostPath:
		return Operation{Action: "artesian:GetCost", Resource: own("cost")}, (*API).cost, true
	case key == "GET "+admin.DoctorPath:
		return Operation{Action: "artesian:GetDoctor", Resource: all}, (*API).doctor, true
	case key == "GET "+admin.RuntimesPath:
		return Operation{Action: "artesian:ListRuntimes", Resource: all}, (*API).runtimes, true
	case key == "POST "+admin.RuntimesPath:
		return Operation{Action: "artesian:AddRuntime", Resource: all, Owner: true}, (*API).addRuntime, true
	case key == "DELETE "+admin.RuntimesPath:
		return Operation{Action: "artesian:RemoveRuntime", Resource: all, Owner: true}, (*API).removeRuntime, true
	case key == "GET "+admin.URLsPath:
		return Operation{Action: "artesian:ListURLs", Resource: own("url/*")}, (*API).urls, true
	case key == "GET "+admin.TailPath:
		return Operation{Action: "artesian:TailLog", Resource: own("log-group:" + group)}, (*API).tail, true
	case strings.HasPrefix(key, "GET "+admin.ReceiptsPath):
		return Operation{Action: "artesian:GetReceipt", Resource: own("receipt/" + strings.TrimPrefix(path, admin.ReceiptsPath))}, (*API).receipt, true
	case strings.HasPrefix(key, "GET "+admin.TracesPath):
		return Operation{Action: "artesian:GetTrace", Resource: own("trace/" + strings.TrimPrefix(path, admin.TracesPath))}, (*API).trace, true
	}
	return Operation{}, nil, false
}

// Limit implements Service.
func (a *API) Limit(*http.Request) int64 { return 64 << 10 }

// Serve implements Service.
func (a *API) Serve(w http.ResponseWriter, r *http.Request, body []byte) {
	caller, _ := CallerFrom(r.Context())
	op, serve, ok := operation(r.Method, r.URL.Path, r.URL.Query().Get("group"), caller.Scope)
	if !ok {
		a.Refuse(w, r, faas.Errorf(faas.NotFound, "there is no %s %s", quote(r.Method), quote(r.URL.Path)))
		return
	}
	if err := a.Authorize(r.Context(), op); err != nil {
		a.Refuse(w, r, err)
		return
	}
	serve(a, w, r, body, caller.Scope)
}

func (a *API) ps(w http.ResponseWriter, _ *http.Request, _ []byte, s faas.Scope) {
	writeJSON(w, http.StatusOK, admin.PS{Instances: a.PS(s)})
}

func (a *API) doctor(w http.ResponseWriter, r *http.Request, _ []byte, _ faas.Scope) {
	d, err := a.Doctor(r.Context())
	a.answer(w, r, d, err)
}

func (a *API) runtimes(w http.ResponseWriter, r *http.Request, _ []byte, _ faas.Scope) {
	list, err := a.Runtimes(r.Context())
	a.answer(w, r, list, err)
}

func (a *API) urls(w http.ResponseWriter, r *http.Request, _ []byte, s faas.Scope) {
	writeJSON(w, http.StatusOK, admin.URLs{URLs: a.URLs(r.Context(), s)})
}

func (a *API) receipt(w http.ResponseWriter, r *http.Request, _ []byte, s faas.Scope) {
	rec, err := a.Receipt(r.Context(), s, strings.TrimPrefix(r.URL.Path, admin.ReceiptsPath))
	a.answer(w, r, rec, err)
}

func (a *API) trace(w http.ResponseWriter, r *http.Request, _ []byte, s faas.Scope) {
	all, err := a.Trace(r.Context(), s, strings.TrimPrefix(r.URL.Path, admin.TracesPath))
	a.answer(w, r, admin.Trace{Receipts: all}, err)
}

func (a *API) cost(w http.ResponseWriter, r *http.Request, _ []byte, s faas.Scope) {
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

func (a *API) addRuntime(w http.ResponseWriter, r *http.Request, body []byte, _ faas.Scope) {
	var in admin.AddRuntime
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		a.Refuse(w, r, faas.Errorf(faas.Invalid, "the body is not a request to add a runtime: %v", err))
		return
	}
	rt, err := a.AddRuntime(r.Context(), in.Path)
	a.answer(w, r, rt, err)
}

func (a *API) removeRuntime(w http.ResponseWriter, r *http.Request, _ []byte, _ faas.Scope) {
	if err := a.RemoveRuntime(r.Context(), r.URL.Query().Get("path")); err != nil {
		a.Refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// tail streams log lines until the client leaves.
func (a *API) tail(w http.ResponseWriter, r *http.Request, _ []byte, s faas.Scope) {
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
