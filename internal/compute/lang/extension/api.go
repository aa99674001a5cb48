package extension

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"artesian/internal/compute/lang"
	"artesian/internal/faas"
)

const api = "/2020-01-01/extension/"

// Bounds of what an extension may send.
const (
	maxRegister = 64 << 10
	maxReport   = 256 << 10
	maxName     = 128
	maxType     = 256
)

const (
	headName    = "Lambda-Extension-Name"
	headFeature = "Lambda-Extension-Accept-Feature"
	headID      = "Lambda-Extension-Identifier"
	headEventID = "Lambda-Extension-Event-Identifier"
	headType    = "Lambda-Extension-Function-Error-Type"
)

// event is what an extension gets for a request.
type event struct {
	Type     string  `json:"eventType"`
	Deadline int64   `json:"deadlineMs"`
	Request  string  `json:"requestId,omitempty"`
	ARN      string  `json:"invokedFunctionArn,omitempty"`
	Tracing  *tracer `json:"tracing,omitempty"`
	Reason   string  `json:"shutdownReason,omitempty"`
}

type tracer struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

func invocation(c *lang.Call) event {
	e := event{Type: eventInvoke, Deadline: c.Deadline.UnixMilli(), Request: c.RequestID, ARN: c.FunctionARN}
	if c.Trace != "" {
		e.Tracing = &tracer{"X-Amzn-Trace-Id", c.Trace}
	}
	return e
}

// Handler serves the API. States and error types are as AWS's public emulator of it has them.
func (h *Host) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+api+"register", h.register)
	mux.HandleFunc("GET "+api+"event/next", h.next)
	mux.HandleFunc("POST "+api+"init/error", func(w http.ResponseWriter, r *http.Request) { h.reported(w, r, ErrorInit) })
	mux.HandleFunc("POST "+api+"exit/error", func(w http.ResponseWriter, r *http.Request) { h.reported(w, r, ErrorExit) })
	for _, slash := range []string{"", "/{$}"} {
		mux.HandleFunc("PUT "+telemetryPath+slash, h.subscribe(telemetrySchemas))
		mux.HandleFunc("PUT "+logsPath+slash, h.subscribe(logsSchemas))
	}
	return mux
}

func (h *Host) register(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get(headName)
	if name == "" || len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		refuse(w, http.StatusForbidden, "Extension.InvalidExtensionName", "Empty or unreadable extension name")
		return
	}
	var in struct {
		Events []string `json:"events"`
	}
	if err := read(r, maxRegister, &in); err != "" {
		refuse(w, http.StatusForbidden, "InvalidRequestFormat", err)
		return
	}
	m := &member{name: name, id: faas.NewUUID(), external: slices.Contains(h.external, name), events: []string{}}
	for _, e := range in.Events {
		switch {
		case e != eventInvoke && e != eventShutdown:
			refuse(w, http.StatusForbidden, "Extension.InvalidEventType", "Unknown event type: "+e)
			return
		case e == eventInvoke && h.version.Shared(): // as on Lambda
			refuse(w, http.StatusForbidden, "Extension.InvalidEventType", eventInvoke+" is not for functions whose instances take several calls at once")
			return
		case e == eventShutdown && !m.external:
			refuse(w, http.StatusForbidden, "Extension.InvalidEventType", eventShutdown+" is not for internal extensions")
			return
		case !slices.Contains(m.events, e):
			m.events = append(m.events, e)
		}
	}
	if kind, why := h.admit(m); kind != "" {
		refuse(w, http.StatusForbidden, kind, why)
		return
	}
	out := map[string]string{"functionName": h.version.ID.Name, "functionVersion": h.version.ID.Version, "handler": h.version.Handler}
	if slices.ContainsFunc(strings.Split(r.Header.Get(headFeature), ","), func(f string) bool { return strings.TrimSpace(f) == "accountId" }) {
		out["accountId"] = h.version.ID.Account
	}
	w.Header().Set(headID, m.id)
	answer(w, http.StatusOK, out)
}

// admit adds an extension, or says why not.
func (h *Host) admit(m *member) (kind, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed || h.shutting || h.fault != nil:
		return "Extension.RegistrationClosed", "Extension registration is closed"
	case slices.ContainsFunc(h.members, func(o *member) bool { return o.name == m.name }):
		return "Extension.AlreadyRegistered", "Extension with this name already registered"
	case len(h.members) == MaxExtensions:
		return "Extension.TooManyExtensions", "Extension limit (10) reached"
	}
	h.members = append(h.members, m)
	h.signal()
	return "", ""
}

// find returns the extension that the request is from, or refuses the request.
func (h *Host) find(w http.ResponseWriter, r *http.Request) *member {
	id := r.Header.Get(headID)
	if id == "" {
		refuse(w, http.StatusForbidden, "Extension.MissingExtensionIdentifier", "Missing "+headID+" header")
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.IndexFunc(h.members, func(m *member) bool { return m.id == strings.ToLower(id) }); i >= 0 {
		return h.members[i]
	}
	refuse(w, http.StatusForbidden, "Extension.UnknownExtensionIdentifier", "Unknown extension "+headID)
	return nil
}

// next holds the request until there is an event.
func (h *Host) next(w http.ResponseWriter, r *http.Request) {
	m := h.find(w, r)
	if m == nil {
		return
	}
	p := &poll{event: make(chan event, 1)}
	h.mu.Lock()
	if m.asking != nil {
		close(m.asking.event) // an older request, which its sender may have given up
		m.asking = nil
	}
	m.ready = true
	if len(m.queue) > 0 {
		p.event <- m.queue[0]
		m.queue = m.queue[1:]
	} else {
		m.busy, m.asking = false, p
	}
	h.signal()
	h.mu.Unlock()

	select {
	case e, ok := <-p.event:
		if !ok {
			refuse(w, http.StatusForbidden, "Extension.InvalidExtensionState", "a newer request waits for the next event")
			return
		}
		w.Header().Set(headEventID, faas.NewUUID())
		answer(w, http.StatusOK, e)
	case <-r.Context().Done():
		h.mu.Lock()
		if m.asking == p {
			m.asking = nil
		}
		h.mu.Unlock()
	}
}

// reported takes an error that an extension reports about itself, which ends the instance.
func (h *Host) reported(w http.ResponseWriter, r *http.Request, kind string) {
	m := h.find(w, r)
	if m == nil {
		return
	}
	own := r.Header.Get(headType)
	if own == "" || len(own) > maxType {
		refuse(w, http.StatusForbidden, "Extension.MissingHeader", headType+" not found")
		return
	}
	var in struct {
		Message string `json:"errorMessage"`
	}
	if err := read(r, maxReport, &in); err != "" {
		in.Message = "" // what it says about itself is for people
	}
	h.mu.Lock()
	if kind == ErrorInit && m.ready {
		h.mu.Unlock()
		refuse(w, http.StatusForbidden, "Extension.InvalidExtensionState", "the initialisation is over")
		return
	}
	reason := m.name + ": " + own
	if in.Message != "" {
		reason += ": " + in.Message
	}
	m.busy, m.ended = false, true // nothing more is expected of it
	h.fail(kind, reason)
	h.mu.Unlock()
	answer(w, http.StatusAccepted, map[string]string{"status": "OK"})
}

// read decodes a body of at most limit bytes, or says what is wrong with it.
func read(r *http.Request, limit int64, into any) string {
	b, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	switch {
	case err != nil:
		return "the request broke off"
	case int64(len(b)) > limit:
		return "the request is too large"
	}
	if err := json.Unmarshal(b, into); err != nil {
		return err.Error()
	}
	return ""
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who hangs up has left
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	answer(w, status, map[string]string{"errorType": kind, "errorMessage": message})
}
