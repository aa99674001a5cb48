// Command artesian is the daemon and its command line in one program.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"artesian/internal/app"
	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/gvisor/runsc"
	"artesian/internal/door/cli"
)

var version = "dev" // set by the linker

func main() {
	runsc.Takeover()
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, release) // a second signal ends the process at once
	p := cli.Program{Version: version, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Up: up}
	os.Exit(p.Run(ctx, os.Args[1:]))
}

func up(ctx context.Context, o cli.UpOptions, ready func(cli.Ready)) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.Log)); err != nil {
		return fmt.Errorf("--log: %w", err)
	}
	cfg := app.DefaultConfig(o.Data)
	cfg.Listen, cfg.Account, cfg.Idle, cfg.Templates, cfg.Version = o.Listen, o.Account, o.Idle, o.Templates, version
	cfg.Isolation, cfg.Nearest = sandbox.Level(o.Isolation), o.Runtimes == "nearest"
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	if err := cfg.CheckTyped(); err != nil {
		return cli.Usage(err)
	}
	a, err := app.Start(ctx, cfg)
	if err != nil {
		return err
	}
	said := cli.Ready{Endpoint: a.Endpoint(), Data: a.Data(), Isolation: o.Isolation, Missing: []string{}}
	for _, g := range a.Guarantees() {
		if !g.Enforced {
			said.Missing = append(said.Missing, g.Name+": "+g.How)
		}
	}
	ready(said)
	select {
	case <-ctx.Done():
		fmt.Fprintln(os.Stderr, "artesian: stopping; running calls get about 7 s to end; again to stop now")
	case err = <-a.Done():
	}
	stopping, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(err, a.Stop(stopping))
}
