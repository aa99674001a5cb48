// Package gateway is the HTTP edge: one port, on which every request is told apart by path and signature scope, checked
// for its Host, authenticated, and handed to the service it is for.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"artesian/internal/door/aws/functionurl"
	"artesian/internal/door/aws/sigv4"
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
	ARN     string
	Service string // signing name
	Base    string // scheme and host by which the caller reached the platform, for URLs handed out to it
	Trace   string // X-Amzn-Trace-Id as sent, when it has the form of one
}

type callerKey struct{}

// calling is a context that carries who is calling, in one piece of memory.
type calling struct {
	context.Context
	caller Caller
}

func (c *calling) Value(key any) any {
	if key == (callerKey{}) {
		return &c.caller
	}
	return c.Context.Value(key)
}

// WithCaller returns a context that carries who is calling.
func WithCaller(ctx context.Context, c Caller) context.Context { return &calling{ctx, c} }

// CallerFrom returns who is calling.
func CallerFrom(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(*Caller)
	if !ok {
		return Caller{}, false
	}
	return *c, true
}

// Config of a gateway.
type Config struct {
	Services map[string]Service // by signing name
	// Authenticate returns a context with the Caller. s is the request's signature as it was read; service is the signing name that
	// the request was told apart by, empty where the signature is too broken to name one, and the request is refused anyway.
	Authenticate func(r *http.Request, s *sigv4.Signature, body []byte, service string) (context.Context, error)
	Known        func(keyID, token string) bool // a body is read only for a key that exists; Authenticate refuses the rest
	URLs         *functionurl.Site              // what functions show on URLs of their own; nil: nothing
	Open         map[string]http.Handler        // unsigned, by path; one that ends in a slash stands for all below it
	BodyTime     time.Duration                  // within which a request's body must have come, and a second more per 128 KiB; default 1 minute
	Hosts        []string                       // names under which the platform is reached, beside localhost and loopback addresses
	Logger       *slog.Logger
}

// Gateway is an http.Handler.
type Gateway struct {
	cfg    Config
	hosts  map[string]bool
	opens  string // what all paths of cfg.Open begin with
	bodies budget
	guests budget // bodies of requests to functions' URLs
}

// New returns a gateway.
func New(cfg Config) *Gateway {
	if cfg.BodyTime == 0 {
		cfg.BodyTime = time.Minute
	}
	g := &Gateway{cfg: cfg, hosts: map[string]bool{"localhost": true}}
	g.bodies.all, g.bodies.large = allBodies, largeBodies
	g.guests.all, g.guests.large = guestBodies, guestBodies-guestBodies/4
	first := true
	for path := range cfg.Open {
		if first {
			first, g.opens = false, path
		}
		for !strings.HasPrefix(path, g.opens) {
			g.opens = g.opens[:len(g.opens)-1]
		}
	}
	for _, h := range cfg.Hosts {
		g.hosts[hostname(h)] = true
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
			w.Header().Set("X-Amzn-Errortype", "InternalFailure")
			w.WriteHeader(http.StatusInternalServerError)
		}
	}()
	g.expect(w, r)
	r = r.WithContext(faas.WithRequestID(r.Context(), id))
	host := hostname(r.Host)
	if g.visited(w, r, host) {
		return
	}
	if !g.knownHost(host) {
		refuse(w, r, "", http.StatusMisdirectedRequest, "UnknownHost", "This platform is not configured to answer for the host "+quote(r.Host)+".")
		return
	}
	if strings.HasPrefix(r.URL.Path, g.opens) {
		for path, h := range g.cfg.Open {
			if r.URL.Path == path || strings.HasSuffix(path, "/") && strings.HasPrefix(r.URL.Path, path) {
				h.ServeHTTP(w, r)
				return
			}
		}
	}
	g.serve(w, r)
}

// serve authenticates a request and hands it to its service.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) {
	signature := sigv4.Read(r)
	scope, ok := signature.Scope()
	if !ok {
		g.malformed(w, r, &signature)
		return
	}
	s, ok := g.cfg.Services[scope.Service]
	if !ok {
		unknownService(w, r, scope.Service)
		return
	}
	var body []byte
	if g.cfg.Known(scope.KeyID, scope.Token) {
		in := g.arrival(w, &g.bodies)
		defer in.letGo()
		var err error
		if body, err = in.read(r, s.Limit(r)); err != nil {
			if faas.KindOf(err) == faas.Throttled {
				w.Header().Set("Retry-After", "1")
			}
			s.Refuse(w, r, err)
			return
		}
	}
	ctx, err := g.cfg.Authenticate(r, &signature, body, scope.Service)
	if err != nil {
		s.Refuse(w, r, err)
		return
	}
	if c, ok := CallerFrom(ctx); !ok || c.Service != scope.Service {
		s.Refuse(w, r, faas.Errorf(faas.Denied, "The signature is for another service than %s.", quote(scope.Service)))
		return
	}
	s.Serve(w, r.WithContext(ctx), body)
}

// malformed answers a request whose signature names no service, or that has none.
func (g *Gateway) malformed(w http.ResponseWriter, r *http.Request, s *sigv4.Signature) {
	_, err := g.cfg.Authenticate(r, s, nil, "")
	var e *faas.Error
	if !errors.As(err, &e) || strings.HasPrefix(e.Code, "MissingAuthenticationToken") {
		unsigned(w, r)
		return
	}
	status := http.StatusForbidden
	if e.Kind == faas.Invalid {
		status = http.StatusBadRequest
	}
	refuse(w, r, "", status, e.Code, e.Message)
}

// knownHost accepts loopback addresses, localhost and its subdomains, and what is configured: a page of another origin
// that resolves its own name to this machine is turned away. host is as hostname returns it.
func (g *Gateway) knownHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		return true
	}
	return g.hosts[host] || strings.HasSuffix(host, ".localhost")
}

// hostname is the name in a Host header: without port and brackets, in lower case, an address in its usual form.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	} else if h, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(h, "]")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Is4() { // there is one way to write it
			return host
		}
		return ip.Unmap().String()
	}
	return strings.ToLower(host)
}

// Base is the scheme and host by which a client reached the platform. A proxy that ends TLS before it says so by
// X-Forwarded-Proto; what a client says there of itself concerns only what it is answered.
func Base(r *http.Request) string {
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https://" + r.Host
	}
	return "http://" + r.Host
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
