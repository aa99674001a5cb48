// Package cli is the artesian command. It finds the daemon by its data directory and talks to it over the same APIs as
// everybody else: AWS's, signed, and the daemon's own (gateway/admin). Starting a daemon is a function handed in.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"
)

// Exit statuses, for scripts.
const (
	ExitOK          = 0
	ExitError       = 1   // refused or not possible; the sentence on stderr says why
	ExitUsage       = 2   // the command line is wrong
	ExitNoDaemon    = 3   // no daemon answers
	ExitFunction    = 4   // the function ran and reported an error
	ExitInterrupted = 130 // stopped by SIGINT or SIGTERM; `up` exits 0 then
)

// Program is the command with everything it needs from outside.
type Program struct {
	Version string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	// Up runs a daemon until ctx ends, calling ready once it serves. Its error is one sentence for people.
	Up func(ctx context.Context, o UpOptions, ready func(Ready)) error
}

// exitError carries the exit status of an error that is not ExitError.
type exitError struct {
	status int
	err    error // nil: everything has been said
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// Usage says of an error that the command line is wrong.
func Usage(err error) error { return &exitError{ExitUsage, err} }

type commands struct {
	Up         upCmd         `cmd:"" help:"Run the daemon in the foreground until SIGINT or SIGTERM."`
	Env        envCmd        `cmd:"" help:"Print the settings that point AWS clients at the daemon: eval \"$$(artesian env)\"."`
	Deploy     deployCmd     `cmd:"" help:"Build the function in a folder and create or update it."`
	Invoke     invokeCmd     `cmd:"" help:"Call a function; the answer goes to stdout, its receipt to stderr."`
	Logs       logsCmd       `cmd:"" help:"Print what a function logged."`
	Trace      traceCmd      `cmd:"" help:"Print the phases of one call, and why it was cold."`
	PS         psCmd         `cmd:"" name:"ps" help:"List running instances."`
	Cost       costCmd       `cmd:"" help:"Sum what functions used and what it cost, by day."`
	Functions  functionsCmd  `cmd:"" aliases:"list,ls" help:"List functions."`
	Delete     deleteCmd     `cmd:"" aliases:"rm" help:"Delete functions."`
	Runtime    runtimeCmd    `cmd:"" help:"List, add or remove language runtimes."`
	Doctor     doctorCmd     `cmd:"" help:"Say what this machine and the daemon on it can and cannot promise."`
	Completion completionCmd `cmd:"" help:"Print a completion script for bash, zsh or fish."`
	Complete   completeCmd   `cmd:"" name:"__complete" hidden:"" passthrough:""`
	Version    versionCmd    `cmd:"" help:"Print the version."`
	Help       helpCmd       `cmd:"" help:"Say what a command does and takes."`
}

type helpCmd struct {
	Command []string `arg:"" optional:"" help:"The command."`
}

func (c *helpCmd) Run(s *session) error {
	if status := s.Program.Run(s.ctx, append(c.Command, "--help")); status != ExitOK {
		return &exitError{status: status}
	}
	return nil
}

// help adds to a flag's help the environment variables and the default, where the placeholder hides that.
func help(v *kong.Value) string {
	text := kong.DefaultHelpValueFormatter(v)
	if v.Flag == nil || !v.HasDefault || v.Flag.PlaceHolder == "" || v.Default == "" || strings.Contains(text, "when not given") {
		return text
	}
	return text + " Default: " + v.Default + "."
}

const description = `Serverless on machines you own.

Exit status: 0 done, 1 refused or failed, 2 wrong command line, 3 no daemon answers, 4 the function reported an error, 130 interrupted.`

// session is what a command runs with.
type session struct {
	*Program
	ctx   context.Context
	model *kong.Application
}

// Run executes one command line (without the program's name) and returns the exit status.
func (p *Program) Run(ctx context.Context, args []string) int {
	parser, _, err := p.parser()
	if err != nil {
		return p.report(err)
	}
	type helped int
	exit := func(status int) { panic(helped(status)) }
	parser.Exit = exit
	status, err := func() (status int, err error) {
		defer func() {
			switch r := recover().(type) {
			case nil:
			case helped:
				status, err = int(r), nil
			default:
				panic(r)
			}
		}()
		return p.run(ctx, parser, args)
	}()
	if err != nil {
		return p.report(err)
	}
	return status
}

func (p *Program) parser() (*kong.Kong, *commands, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/var/lib" // a service without a home
	}
	root := &commands{}
	parser, err := kong.New(root, kong.Name("artesian"), kong.Description(description), kong.Writers(p.Stdout, p.Stderr),
		kong.Vars{"data": filepath.Join(home, ".artesian")}, kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}), kong.ValueFormatter(help),
		kong.ShortUsageOnError())
	return parser, root, err
}

func (p *Program) run(ctx context.Context, parser *kong.Kong, args []string) (int, error) {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	if len(args) == 1 && args[0] == "--version" { // as other programs call it
		args = []string{"version"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return 0, &exitError{ExitUsage, err}
	}
	return ExitOK, parsed.Run(&session{Program: p, ctx: ctx, model: parser.Model})
}

// report says on stderr what went wrong, in one sentence, and returns the exit status.
func (p *Program) report(err error) int {
	var e *exitError
	status := ExitError
	if errors.As(err, &e) {
		status = e.status
	}
	switch {
	case e != nil && e.err == nil:
	case errors.Is(err, context.Canceled):
		return ExitInterrupted
	default:
		fmt.Fprintf(p.Stderr, "artesian: %v\n", err)
	}
	return status
}

type versionCmd struct {
	JSON bool `help:"Print JSON."`
}

func (c *versionCmd) Run(s *session) error {
	if c.JSON {
		return s.json(map[string]string{"version": s.Version})
	}
	return s.printf("artesian %s\n", s.Version)
}
