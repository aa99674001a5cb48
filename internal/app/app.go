// Package app is the composition root: one explicit list of what a daemon is made of. Things start top to bottom and
// stop in reverse. It is the only package that knows concrete adapters.
package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"artesian/internal/account/identity"
	"artesian/internal/account/meter"
	"artesian/internal/account/price"
	"artesian/internal/compute/artifact"
	"artesian/internal/compute/invoke"
	"artesian/internal/compute/lang/host"
	"artesian/internal/compute/lang/pack"
	"artesian/internal/compute/lang/python"
	"artesian/internal/compute/pool"
	"artesian/internal/compute/pool/node"
	"artesian/internal/compute/pool/stock"
	"artesian/internal/compute/registry"
	"artesian/internal/compute/sandbox"
	"artesian/internal/door/aws/lambda"
	"artesian/internal/door/gateway"
	"artesian/internal/door/gateway/admin"
	"artesian/internal/door/gateway/plain"
	"artesian/internal/engine"
	"artesian/internal/engine/blob"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
	"artesian/internal/observe/logs"
	"artesian/internal/observe/logs/insights"
	"artesian/internal/observe/metrics"
)

// sessionKey names the key under which temporary credentials are issued.
const sessionKey = "session"

// bookFile is the price book, for its owner to edit.
const bookFile = "prices.json"

// How long a stop may take: running calls get drainTime to end, callers of those that are cut get tellTime to take their
// answer, everything is over within stopTime.
const (
	drainTime = 7 * time.Second
	tellTime  = 500 * time.Millisecond
	stopTime  = 9 * time.Second
)

// App is a started daemon.
type App struct {
	cfg      Config
	endpoint string

	engine     *engine.Engine
	store      *kv.Store
	identity   *identity.Directory
	sessions   *identity.Sessions
	blobs      *blob.Store
	packages   *artifact.Store
	ledger     *meter.Ledger
	counts     *metrics.Calls
	started    time.Time
	ours, aws  *price.Tariff
	logs       *logs.Store
	queries    *insights.Runner
	packs      *pack.Store
	runtimes   *host.Catalog
	maker      sandbox.Maker
	pool       *pool.Pool
	functions  *registry.Registry
	settler    settler
	held       provisioner
	stock      *stock.Stock    // nil: nothing is made ahead
	templates  *node.Templates // nil: none
	expect     func(*faas.Version)
	expected   changes
	beforehand beforehand
	published  changes
	snapshots  snapshots
	bytecode   *python.Bytecode // nil: functions compile their Python themselves
	retries    retries
	invoker    *invoke.Invoker
	download   *downloads
	gateway    *gateway.Gateway
	server     *plain.Server
	listener   net.Listener

	ready      atomic.Bool
	closing    context.Context // ends when the daemon begins to stop, for what would go on for ever
	close      context.CancelFunc
	drainUntil time.Time  // when running calls are cut; set by Stop
	stopped    chan error // the server's end
	stops      []func(context.Context) error
}

// Start brings a daemon up and returns once it serves. Its error is one sentence for people.
func Start(ctx context.Context, cfg Config) (*App, error) {
	release := boundHeap()
	a := &App{cfg: cfg, counts: metrics.New(), started: time.Now(), stopped: make(chan error, 1)}
	a.onStop(func(context.Context) error { release(); return nil })
	a.closing, a.close = context.WithCancel(context.Background())
	if err := a.cfg.load(); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{
		a.listen, a.openEngine, a.openAccount, a.openLogs, a.openCompute, a.openDoors, a.serve, a.provision, a.recall, a.publish, a.expectCalls,
	} {
		if err := step(ctx); err != nil {
			_ = a.Stop(context.Background())
			return nil, err
		}
	}
	return a, nil
}

// Endpoint is the URL under which the daemon answers.
func (a *App) Endpoint() string { return a.endpoint }

// Data is the absolute path of the data directory.
func (a *App) Data() string { return a.engine.Dir() }

// Guarantees says what isolation is in force.
func (a *App) Guarantees() []sandbox.Guarantee { return a.maker.Report() }

// Done yields the error that ended the server by itself.
func (a *App) Done() <-chan error { return a.stopped }

// Stop drains and stops everything, in reverse order of its start, as far as ctx allows and within stopTime.
func (a *App) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	a.drainUntil = time.Now().Add(drainTime)
	a.close()
	a.ready.Store(false)
	var all []error
	for i := len(a.stops) - 1; i >= 0; i-- {
		if err := a.stops[i](ctx); err != nil {
			all = append(all, err)
		}
	}
	a.stops = nil
	return errors.Join(all...)
}

func (a *App) onStop(f func(context.Context) error) { a.stops = append(a.stops, f) }

// listen takes the port before anything is written, so that a port in use changes nothing.
func (a *App) listen(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", a.cfg.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use by another program; choose another address with --listen HOST:PORT, port 0 takes a free one", a.cfg.Listen)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s may not be opened by this user; ports below 1024 need privileges", a.cfg.Listen)
	case err != nil:
		return fmt.Errorf("listen on %s: %w", a.cfg.Listen, err)
	}
	a.listener = l
	a.endpoint = "http://" + reachable(l.Addr().String())
	a.onStop(func(context.Context) error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return nil
}

// reachable turns a listener's address into one that this machine's programs can dial.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

func (a *App) openEngine(ctx context.Context) (err error) {
	if a.engine, err = engine.Open(ctx, engine.Config{Dir: a.cfg.Data, Logger: a.cfg.Logger}); err != nil {
		return err
	}
	a.onStop(func(context.Context) error { return a.engine.Close() })
	if a.store, err = kv.Open(ctx, a.engine); err != nil {
		return err
	}
	a.onStop(func(context.Context) error { a.store.Close(); return nil })
	if a.blobs, err = blob.New(a.engine); err != nil {
		return err
	}
	if a.packages, err = artifact.Open(a.blobs, filepath.Join(a.engine.Dir(), "code"), time.Now); err != nil {
		return err
	}
	a.onStop(func(context.Context) error { return a.packages.Close() })
	return nil
}

func (a *App) openAccount(ctx context.Context) (err error) {
	a.identity = identity.Open(a.store, time.Now, a.cfg.Logger)
	a.onStop(func(context.Context) error { a.identity.Close(); return nil })
	if _, err = a.identity.Bootstrap(ctx, a.cfg.Account, filepath.Join(a.engine.Dir(), admin.CredentialsFile)); err != nil {
		return err
	}
	key, err := a.engine.Secret(sessionKey)
	if err != nil {
		return err
	}
	if a.sessions, err = identity.NewSessions(a.identity, key); err != nil {
		return err
	}
	if a.ledger, err = meter.Open(ctx, a.engine, meter.Config{Logger: a.cfg.Logger}); err != nil {
		return err
	}
	a.onStop(a.ledger.Close)
	if a.ours, err = price.LoadBook(filepath.Join(a.engine.Dir(), bookFile), price.DefaultBook(runtime.NumCPU(), a.cfg.machineMB)); err != nil {
		return err
	}
	a.aws, err = price.AWS(lambda.Architecture())
	return err
}

func (a *App) openLogs(ctx context.Context) (err error) {
	if a.logs, err = logs.Open(ctx, a.engine, a.store, logs.Config{
		GroupBytes: int64(a.cfg.LogGroupMB) << 20, TotalBytes: int64(a.cfg.LogTotalMB) << 20, Now: time.Now, Logger: a.cfg.Logger,
	}); err != nil {
		return err
	}
	a.onStop(a.logs.Close)
	a.queries = insights.NewRunner(a.logs, time.Now, a.cfg.Logger)
	a.onStop(func(context.Context) error { a.queries.Close(); return nil })
	return nil
}

func (a *App) serve(context.Context) error {
	a.server = plain.New(gateway.NewServer(a.gateway, a.cfg.Logger))
	go func() { a.stopped <- a.server.Serve(a.listener) }()
	a.onStop(func(ctx context.Context) error {
		draining, cancel := context.WithDeadline(ctx, a.drainUntil)
		defer cancel()
		if a.server.Shutdown(draining) == nil {
			return nil
		}
		closed := a.pool.Close(draining) // its time is over: running calls are cut, and their callers told
		ctx, cancel = context.WithTimeout(ctx, tellTime)
		defer cancel()
		if a.server.Shutdown(ctx) != nil {
			return errors.Join(closed, a.server.Close())
		}
		return closed
	})
	return nil
}
