package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"artesian/internal/compute/invoke"
	"artesian/internal/compute/lang/fetch"
	"artesian/internal/compute/lang/host"
	"artesian/internal/compute/lang/inside"
	langnode "artesian/internal/compute/lang/node"
	"artesian/internal/compute/lang/pack"
	"artesian/internal/compute/pool"
	"artesian/internal/compute/pool/node"
	"artesian/internal/compute/registry"
	"artesian/internal/compute/sandbox"
	"artesian/internal/door/gateway"
	"artesian/internal/faas"
	"artesian/internal/observe/logs"
	"artesian/internal/observe/logs/subscribe"
)

// openCompute brings up what runs functions: runtimes, sandboxes, pool, registry, invoker.
func (a *App) openCompute(ctx context.Context) error {
	runtimes := filepath.Join(a.engine.Dir(), "runtimes")
	packs, err := pack.Open(filepath.Join(runtimes, "packs"), a.cfg.Registries, a.cfg.Logger)
	if err != nil {
		return err
	}
	a.packs = packs
	a.onStop(func(context.Context) error { a.packs.Close(); return nil })
	if err := a.openBytecode(); err != nil {
		return err
	}
	home, _ := os.UserHomeDir() // without one, there are no interpreters in it
	a.runtimes = host.New(host.Config{
		Dir: runtimes, Packs: a.packs, Bytecode: a.bytecode, Fetch: fetch.New(a.cfg.Registries), Path: os.Getenv("PATH"), Home: home, Nearest: a.cfg.Nearest, Logger: a.cfg.Logger,
	})
	a.onStop(func(context.Context) error { a.runtimes.Close(); return nil })
	if err := a.openMaker(ctx); err != nil {
		return err
	}
	n := &node.Node{
		Maker: a.maker, Code: a.packages, Runtimes: a.runtimes, OpenLog: a.openLog, Env: a.functionEnv,
		Internet: func(v *faas.Version) (bool, error) { return a.internet(v.Internet) },
		Listen:   a.insideAddress(), Serve: a.serveInside, Now: time.Now, Log: a.cfg.Logger, Own: a.engine.Dir(),
	}
	a.openSnapshots(n)
	swaps, _ := a.maker.(interface{ Reclaims() bool })
	if a.cfg.Reclaim && (swaps == nil || !swaps.Reclaims()) {
		return errors.New("reclaim: there is nowhere to push memory out to; it takes root, isolation level container, and swap that is zram and nothing else")
	}
	a.pool = pool.New(n, pool.Config{KeepAlive: a.cfg.Idle, Reclaim: a.cfg.Reclaim, MaxAge: maxInstanceAge, MemoryMB: a.cfg.MemoryMB,
		Yield: func() { a.stock.Yield(); a.templates.Yield(); a.snapshots.yield() }, Logger: a.cfg.Logger})
	if err := a.openHabits(); err != nil {
		return err
	}
	a.openStock(n)
	if err := a.openTemplates(n); err != nil {
		return err
	}
	a.onStop(func(ctx context.Context) error {
		ctx, cancel := context.WithDeadline(ctx, a.drainUntil)
		defer cancel()
		return a.pool.Close(ctx)
	})
	a.functions = registry.Open(a.store, time.Now, a.cfg.Logger, func(v faas.VersionID) {
		a.retire(v)
		a.settler.note(v)
		a.published.note(v)
		a.snapshots.note(v)
		a.held.note(v.FunctionID)
		if a.stock != nil {
			a.expected.note(v)
		}
	})
	a.onStop(func(context.Context) error { a.functions.Close(); return nil })
	a.settle()
	a.compile()
	a.snapshot()
	a.invoker = invoke.New(invoke.Config{
		Versions: a.functions, Pool: a.pool, Meter: usage{a}, Concurrency: a.cfg.Concurrency, Now: time.Now, Logger: a.cfg.Logger,
		Awaken: a.snapshots.awaken,
	})
	subscriptions := subscribe.Start(a.logs, destinations{a}, a.cfg.Logger)
	a.onStop(func(ctx context.Context) error {
		ctx, cancel := context.WithDeadline(ctx, a.drainUntil)
		defer cancel()
		subscriptions.Close(ctx)
		return nil
	})
	return a.collect(ctx)
}

// retire lets go of the instances that a change of the registry made obsolete.
func (a *App) retire(v faas.VersionID) {
	a.templates.Retire(v)
	if v.Version == faas.Latest {
		a.pool.RetireFunction(v.FunctionID, v.Revision)
	} else {
		a.pool.RetireVersion(v.FunctionID, v.Version)
	}
}

func (a *App) openMaker(ctx context.Context) (err error) {
	dir := filepath.Join(a.engine.Dir(), "sandbox")
	if a.maker, err = a.newMaker(dir); err != nil {
		return fmt.Errorf("isolation %q is not possible here: %w", a.cfg.Isolation, err)
	}
	a.onStop(func(context.Context) error { return a.maker.Close() })
	return a.maker.Sweep(ctx)
}

// collect removes packages that no function refers to any more, now and once an hour, and looks for interpreters, both in
// the background.
func (a *App) collect(context.Context) error {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := a.runtimes.Discover(ctx); err != nil && ctx.Err() == nil {
			a.cfg.Logger.Warn("look for interpreters", "error", err)
		}
		tick := time.NewTicker(time.Hour)
		defer tick.Stop()
		for {
			if err := a.removeUnused(ctx); err != nil && ctx.Err() == nil {
				a.cfg.Logger.Warn("remove unused packages", "error", err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	a.onStop(func(context.Context) error { cancel(); done.Wait(); return nil })
	return nil
}

// openLog opens the log of one instance.
func (a *App) openLog(v *faas.Version, stream string) (node.Log, error) {
	return a.logs.Writer(logs.GroupID{Scope: v.ID.Scope, Name: v.Logging.Group}, stream)
}

// functionEnv is what the platform adds to every function's environment: where it is, and how to sign.
func (a *App) functionEnv(v *faas.Version) []string {
	endpoint := a.endpoint
	if inside := a.insideAddress(); len(inside) > 0 {
		endpoint = "http://" + inside[0]
	}
	return append(a.functionSession(v), "AWS_ENDPOINT_URL="+endpoint)
}

// insideAddress is where functions reach the platform inside: on loopback, at the same port as outside.
func (a *App) insideAddress() []string {
	if a.cfg.Isolation == sandbox.Process {
		return nil // it shares the host's network
	}
	_, port, _ := net.SplitHostPort(a.listener.Addr().String())
	return []string{net.JoinHostPort("127.0.0.1", port)}
}

// maxInside is how many connections one sandbox may have to the platform at once; more of them wait. Each is a descriptor
// of the daemon's. idleInside is how long one may rest between requests.
const (
	maxInside  = 32
	idleInside = 20 * time.Second
)

// serveInside answers on the listener that stands in a sandbox's own network. It ends with the sandbox.
func (a *App) serveInside(sb sandbox.Sandbox, _ *faas.Version) {
	for _, l := range sb.Listeners()[:len(a.insideAddress())] {
		s := gateway.NewServer(a.gateway, a.cfg.Logger)
		s.IdleTimeout = idleInside
		go func() {
			<-sb.Done()
			_ = s.Close()
		}()
		go func() {
			if err := inside.Serve(s, l, maxInside); err != nil && err != http.ErrServerClosed {
				a.cfg.Logger.Debug("serve inside sandbox", "error", err)
			}
		}()
	}
}

// removeUnused removes packages, and layers that were merged, which no function, version or layer refers to and no instance runs
// from. One that was uploaded or asked for a moment ago is left alone.
func (a *App) removeUnused(ctx context.Context) error {
	stored, err := a.blobs.List(ctx)
	if err != nil {
		return err
	}
	names, err := a.packages.Cached()
	if err != nil {
		return err
	}
	for _, b := range stored {
		names = append(names, b.SHA256)
	}
	slices.Sort(names)
	a.snapshots.settled()
	used, running := a.functions.References(), a.pool.Packages()
	var all []error
	for _, name := range slices.Compact(names) {
		if used[name] || running[name] || a.snapshots.refers(name) {
			continue
		}
		if err := a.packages.Remove(ctx, name); err != nil && faas.KindOf(err) != faas.Conflict {
			all = append(all, err)
		}
	}
	all = append(all, langnode.SweepCompiled(filepath.Join(a.engine.Dir(), "runtimes", host.CompiledDir), func(sha string) bool { return used[sha] || running[sha] }))
	if a.bytecode != nil {
		all = append(all, a.bytecode.Keep(func(name string) bool { return used[name] || running[name] }))
	}
	return errors.Join(all...)
}
