package app

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"artesian/internal/account/identity"
	"artesian/internal/door/aws/iam"
	iamapi "artesian/internal/door/aws/iam/api"
	"artesian/internal/door/aws/lambda"
	lambdaapi "artesian/internal/door/aws/lambda/api"
	logsdoor "artesian/internal/door/aws/logs"
	logsapi "artesian/internal/door/aws/logs/api"
	"artesian/internal/door/aws/sigv4"
	"artesian/internal/door/aws/sts"
	stsapi "artesian/internal/door/aws/sts/api"
	"artesian/internal/door/aws/wire"
	"artesian/internal/door/gateway"
	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

// openDoors puts the services behind the gateway.
func (a *App) openDoors(context.Context) error {
	functions := lambda.New(lambda.Config{
		Functions:     a.functions,
		Layers:        a.functions,
		Packages:      a.packages,
		Invoker:       a.invoker,
		Serves:        a.serves,
		Installs:      a.installs,
		Remark:        a.untemplated,
		AssumableRole: func(account, role string) error { return a.identity.Assumable(account, role, "lambda.amazonaws.com") },
		Internet:      func(choice string) error { _, err := a.internet(choice); return err },
		SnapStart:     a.snapStart,
		Caller:        caller,
		Trace:         func(ctx context.Context) string { c, _ := gateway.CallerFrom(ctx); return c.Trace },
		Location:      a.location,
		MaxTimeout:    time.Duration(a.cfg.MaxTimeout) * time.Second,
		URL:           a.functionURL,
		Provisioned:   a.provisioned,
		Now:           time.Now,
		Logger:        a.cfg.Logger,
	})
	options := func(resource func(context.Context, string, any) string) wire.Options {
		return wire.Options{Authorize: a.authorize, Resource: resource, Log: a.cfg.Logger}
	}
	a.download = newDownloads(a.blobs, time.Now)
	roles := iam.New(a.identity)
	output := logsdoor.New(logsdoor.Config{Store: a.logs, Queries: a.queries, Destinations: destinations{a}, Caller: caller, Now: time.Now})
	verifier := sigv4.New(a.identity.Secret).WithSessions(a.sessions.Open)
	tokens := sts.New(a.identity, a.sessions, func(ctx context.Context) string { _, scope := caller(ctx); return scope.Region })
	numbers, err := a.serveMetrics()
	if err != nil {
		return err
	}
	a.gateway = gateway.New(gateway.Config{
		Services: map[string]gateway.Service{
			"lambda":      lambdaapi.New(functions, options(functions.Resource)),
			"iam":         iamapi.New(roles, options(roles.Resource)),
			"logs":        logsapi.New(output, options(output.Resource)),
			"sts":         stsapi.New(tokens, options(nil)),
			admin.Service: a.adminAPI(),
		},
		Known: a.knownKey,
		Authenticate: func(r *http.Request, s *sigv4.Signature, body []byte, service string) (context.Context, error) {
			return authenticate(verifier, r, s, body, service)
		},
		URLs: a.functionURLs(),
		Open: map[string]http.Handler{
			admin.HealthPath:  http.HandlerFunc(a.health),
			admin.MetricsPath: numbers,
			downloadPath:      a.download,
		},
		Hosts:  a.hosts(),
		Logger: a.cfg.Logger,
	})
	return nil
}

// knownKey reports whether a key that exists is named, with its session token where it is temporary.
func (a *App) knownKey(id, token string) (ok bool) {
	if token == "" {
		_, _, ok = a.identity.Secret(id)
	} else {
		_, ok = a.sessions.Open(id, token)
	}
	return ok
}

// authenticate finds out who signed a request. The service, if there is one, is whose errors the client understands.
func authenticate(v *sigv4.Verifier, r *http.Request, s *sigv4.Signature, body []byte, service string) (context.Context, error) {
	dialect := sigv4.JSON
	if service == "iam" || service == "sts" || service == "" && gateway.IsForm(r) {
		dialect = sigv4.Query
	}
	who, err := v.Verify(r, s, body, time.Now(), dialect)
	if err != nil {
		return nil, err
	}
	if !faas.ValidRegion(who.Region) {
		return nil, &faas.Error{Kind: faas.Invalid, Code: "InvalidRegion", Message: "The credential scope names no region: " + who.Region}
	}
	ctx := identity.NewContext(r.Context(), who.Principal)
	return gateway.WithCaller(ctx, gateway.Caller{
		Scope: faas.Scope{Account: who.Account, Region: who.Region}, ARN: who.ARN, Service: who.Service, Base: gateway.Base(r),
		Trace: trace(r.Header.Get("X-Amzn-Trace-Id")),
	}), nil
}

// maxTrace bounds a trace header, in bytes; the fields of one take about a hundred.
const maxTrace = 512

// trace returns a trace header that a function may be shown: one with a root, printable, of bounded length.
func trace(header string) string {
	printable := !strings.ContainsFunc(header, func(r rune) bool { return r < ' ' || r > '~' })
	if len(header) > maxTrace || !printable || !strings.Contains(header, "Root=") {
		return ""
	}
	return header
}

func caller(ctx context.Context) (string, faas.Scope) {
	c, _ := gateway.CallerFrom(ctx)
	return c.ARN, c.Scope
}

// location is where the caller fetches a package: at the address by which it reached us, which may be a public name or,
// in a sandbox, the platform's inside.
func (a *App) location(ctx context.Context, sha string) string {
	c, _ := gateway.CallerFrom(ctx)
	return c.Base + a.download.Path(sha)
}

// authorize is the one seam that every operation passes.
func (a *App) authorize(ctx context.Context, c wire.Call) error {
	p, ok := identity.FromContext(ctx)
	if !ok {
		return faas.Errorf(faas.Unauthenticated, "The caller is not known.")
	}
	return identity.Allow(ctx, identity.Request{Principal: p, Action: c.Action, Resource: c.Resource})
}

func (a *App) serves(runtime string) (string, error) {
	rt, err := a.runtimes.Resolve(runtime)
	if err != nil {
		return "", err
	}
	return rt.Served(), nil
}

// hosts are the names under which the platform is reached, beside loopback.
func (a *App) hosts() []string {
	hosts := append([]string(nil), a.cfg.Hosts...)
	h, _, _ := net.SplitHostPort(a.cfg.Listen)
	return append(hosts, h)
}

func (a *App) health(w http.ResponseWriter, _ *http.Request) {
	h, status := admin.Health{Status: "ready", Version: a.cfg.Version}, http.StatusOK
	if !a.ready.Load() {
		h.Status, status = "starting", http.StatusServiceUnavailable
		if a.closing.Err() != nil {
			h.Status = "stopping"
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(h) // the client left
}

// publish tells other commands where the daemon is, once everything is ready.
func (a *App) publish(context.Context) error {
	path := filepath.Join(a.engine.Dir(), admin.DaemonFile)
	b, err := json.Marshal(admin.Daemon{Endpoint: a.endpoint, PID: os.Getpid()})
	if err != nil {
		return err
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	a.onStop(func(context.Context) error {
		a.ready.Store(false)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	a.ready.Store(true)
	return nil
}
