package cli

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"artesian/internal/door/gateway/admin"
)

type runtimeCmd struct {
	List   runtimeListCmd   `cmd:"" help:"List what can run functions here."`
	Add    runtimeAddCmd    `cmd:"" help:"Add an interpreter by its path on the daemon's host, or install a version of Node.js or a runtime pack by its name."`
	Remove runtimeRemoveCmd `cmd:"" aliases:"rm" help:"Forget an interpreter that was added, or remove what was installed."`
}

type runtimeListCmd struct {
	remote
}

func (c *runtimeListCmd) Run(s *session) error {
	cl, err := c.connect()
	if err != nil {
		return err
	}
	got, err := cl.runtimes(s.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return s.json(got)
	}
	for _, k := range got.Asking {
		s.note("%s has not answered yet; list again in a moment", k.Path)
	}
	return s.table("RUNTIME VERSION PATH FROM NOTE", append(runtimeRows(got.Runtimes), packRows(got.Packs)...))
}

func runtimeRows(all []admin.Runtime) (rows [][]string) {
	for _, r := range all {
		from := "host"
		if r.Added {
			from = "added"
		}
		rows = append(rows, []string{r.Name, dash(r.Version), dash(r.Path), from, r.Note})
	}
	return rows
}

func (c *client) runtimes(ctx context.Context) (admin.Runtimes, error) {
	var got admin.Runtimes
	err := c.own(ctx, http.MethodGet, admin.RuntimesPath, nil, nil, &got)
	return got, err
}

// Interpreters that have not answered are waited for answerTime, and asked after every askAgain.
const (
	answerTime = 30 * time.Second
	askAgain   = 200 * time.Millisecond
)

// runtimes returns the daemon's runtimes once all of the function's language have answered or had their time.
func (d *deployment) runtimes(language string) (all admin.Runtimes, err error) {
	silent := func(k admin.Asked) bool { return k.Language == language }
	err = d.s.progress("waiting for interpreters that the daemon has just found", func() error {
		for until := time.Now().Add(answerTime); ; {
			if all, err = d.cl.runtimes(d.s.ctx); err != nil || !slices.ContainsFunc(all.Asking, silent) || time.Now().After(until) {
				return err
			}
			select {
			case <-time.After(askAgain):
			case <-d.s.ctx.Done():
				return context.Cause(d.s.ctx)
			}
		}
	})
	return all, err
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

type runtimeAddCmd struct {
	remote
	Path string `arg:"" help:"The interpreter, for example /opt/python3.13/bin/python3.13, a version of Node.js, for example node@22.12.0, or a pack, for example boto3."`
}

func (c *runtimeAddCmd) Run(s *session) error {
	cl, err := c.connect()
	if err != nil {
		return err
	}
	path, err := runtimePath(c.Path)
	if err != nil {
		return err
	}
	var added admin.Runtime
	if err := s.progress("adding "+path, func() error {
		return cl.own(s.ctx, http.MethodPost, admin.RuntimesPath, nil, admin.AddRuntime{Path: path}, &added)
	}); err != nil {
		return err
	}
	if c.JSON {
		return s.json(added)
	}
	return s.printf("added %s: version %s at %s\n", added.Name, added.Version, added.Path)
}

type runtimeRemoveCmd struct {
	remote
	Path string `arg:"" help:"The interpreter or pack, as runtime list shows it, or a version of Node.js that was installed."`
}

func (c *runtimeRemoveCmd) Run(s *session) error {
	cl, err := c.connect()
	if err != nil {
		return err
	}
	path, err := runtimePath(c.Path)
	if err != nil {
		return err
	}
	if err := cl.own(s.ctx, http.MethodDelete, admin.RuntimesPath, url.Values{"path": {path}}, nil, nil); err != nil {
		return err
	}
	if c.JSON {
		return s.json(map[string]string{"removed": path})
	}
	return s.printf("removed %s\n", path)
}
