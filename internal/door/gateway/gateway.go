// Package gateway is the HTTP edge: one port, on which every request is told apart by path and signature scope, checked
// for its Host, authenticated, and handed to the service it is for.
package gateway

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

// Service answers authenticated requests of one signing name.
type Service interface {
	// Limit is the most bytes that the request's body may have.
	Limit(r *http.Request) int64
	// Serve answers a request whose caller is in its context. The body has been read: it is body, and r.Body is spent.
	Serve(w http.ResponseWriter, r *http.Request, body []byte)
	// Refuse answers a request that got no further, in the service's own form.
	Refuse(w http.ResponseWriter, r *http.Request, err error)
}

// Caller is who signed a request and for which region.
type Caller struct {
	faas.Scope
	ARN  string
	User string // id of the principal
}

type callerKey struct{}

// WithCaller returns a context that carries who is calling.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerFrom returns who is calling.
func CallerFrom(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// Config of a gateway.
type Config struct {
	Services     map[string]Service // by signing name
	Authenticate func(r *http.Request, body []byte) (context.Context, error)
	Known        func(keyID string) bool // a body is read only for a key that exists; Authenticate refuses the rest
	Open         map[string]http.Handler // unsigned, by path; one that ends in a slash stands for all below it
	BodyTime     time.Duration           // within which a request's body must have come; default 5 minutes
	Hosts        []string                // names under which the platform is reached, beside localhost and loopback addresses
	Logger       *slog.Logger
}

// Gateway is an http.Handler.
type Gateway struct {
	cfg   Config
	hosts map[string]bool
}

// New returns a gateway.
func New(cfg Config) *Gateway {
	if cfg.BodyTime == 0 {
		cfg.BodyTime = 5 * time.Minute
	}
	g := &Gateway{cfg: cfg, hosts: map[string]bool{"localhost": true}}
	for _, h := range cfg.Hosts {
		g.hosts[strings.ToLower(h)] = true
	}
	return g
}

// NewServer returns an HTTP server with the time limits that an edge needs. An answer may take as long as a function may.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := faas.NewUUID()
	w.Header().Set("X-Amzn-Requestid", id)
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			g.cfg.Logger.Error("request panicked", "request_id", id, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			w.WriteHeader(http.StatusInternalServerError)
		}
	}()
	if !g.knownHost(r.Host) {
		refuse(w, r, "", http.StatusMisdirectedRequest, "UnknownHost", "This platform is not configured to answer for the host "+quote(r.Host)+".")
		return
	}
	for path, h := range g.cfg.Open {
		if r.URL.Path == path || strings.HasSuffix(path, "/") && strings.HasPrefix(r.URL.Path, path) {
			h.ServeHTTP(w, r)
			return
		}
	}
	r = r.WithContext(faas.WithRequestID(r.Context(), id))
	g.serve(w, r)
}

// serve authenticates a request and hands it to its service.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) {
	key, name := credential(r)
	s, ok := g.cfg.Services[name]
	switch {
	case name == "":
		unsigned(w, r)
		return
	case !ok:
		unknownService(w, r, name)
		return
	}
	var body []byte
	if g.cfg.Known(key) {
		var err error
		if body, err = g.readBody(w, r, s.Limit(r)); err != nil {
			s.Refuse(w, r, err)
			return
		}
	}
	ctx, err := g.cfg.Authenticate(r, body)
	if err != nil {
		s.Refuse(w, r, err)
		return
	}
	s.Serve(w, r.WithContext(ctx), body)
}

// knownHost accepts loopback addresses, localhost and its subdomains, and what is configured: a page of another origin
// that resolves its own name to this machine is turned away.
func (g *Gateway) knownHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return true
	}
	return g.hosts[host] || strings.HasSuffix(host, ".localhost")
}

// credential returns the access key and the service that a request's signature names; empty without one.
func credential(r *http.Request) (keyID, service string) {
	var c string
	if auth := r.Header.Get("Authorization"); auth != "" {
		_, rest, _ := strings.Cut(auth, "Credential=")
		c, _, _ = strings.Cut(rest, ",")
	} else if strings.Contains(r.URL.RawQuery, "X-Amz-Credential=") {
		c = r.URL.Query().Get("X-Amz-Credential")
	}
	parts := strings.Split(strings.TrimSpace(c), "/")
	if len(parts) < 5 {
		return "", ""
	}
	return strings.Join(parts[:len(parts)-4], "/"), parts[len(parts)-2]
}

func writeError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Amzn-Errortype", code)
	writeJSON(w, status, admin.Error{Code: code, Message: message})
}

// quote shows a piece of outside input in a message, bounded and harmless.
func quote(s string) string {
	const most = 100
	if len(s) > most {
		s = s[:most] + "…"
	}
	return `"` + strings.Map(func(r rune) rune {
		if r < ' ' || r == '"' || r == 0x7f {
			return '?'
		}
		return r
	}, s) + `"`
}
