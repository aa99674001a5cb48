package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

type traceCmd struct {
	remote
	ID string `arg:"" name:"request-id" help:"A request id, as invoke and the log name it; or a trace id, 1-…: the calls of that trace."`
}

// traced is a call as --json prints it.
type traced struct {
	admin.Receipt
	Why    string  `json:"why"`
	Phases []phase `json:"phases"`
}

func (c *traceCmd) Run(s *session) error {
	if c.ID == "" || len(c.ID) > 128 {
		return &exitError{ExitUsage, fmt.Errorf("%q is no request id", c.ID)}
	}
	cl, err := c.connect()
	if err != nil {
		return err
	}
	if isTraceID(c.ID) {
		return c.all(s, cl)
	}
	r, err := cl.receipt(s.ctx, c.ID)
	if err != nil {
		return err
	}
	if r == nil {
		return &notThere{fmt.Sprintf("there is no receipt of the request %s in %s: it never came here, it still runs, or it is older than the newest 100,000", c.ID, cl.region), nil}
	}
	t := traced{Receipt: *r, Why: why(&r.Usage), Phases: phases(&r.Usage)}
	if c.JSON {
		return s.json(t)
	}
	return s.printf("%s", t.text())
}

// isTraceID reports whether an id is the root of an X-Amzn-Trace-Id: 1, seconds and a random number, in hexadecimal.
func isTraceID(id string) bool {
	version, rest, _ := strings.Cut(strings.TrimPrefix(id, "Root="), "-")
	seconds, random, _ := strings.Cut(rest, "-")
	return version == "1" && len(seconds) == 8 && len(random) == 24
}

// all lists the calls of a trace.
func (c *traceCmd) all(s *session, cl *client) error {
	id := strings.TrimPrefix(c.ID, "Root=")
	found, err := cl.trace(s.ctx, id)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return &notThere{fmt.Sprintf("no call of the trace %s is among the newest 100,000 in %s", id, cl.region), nil}
	}
	if c.JSON {
		out := make([]traced, 0, len(found))
		for i := range found {
			u := &found[i].Usage
			out = append(out, traced{Receipt: found[i], Why: why(u), Phases: phases(u)})
		}
		return s.json(out)
	}
	var rows [][]string
	first := received(&found[0].Usage)
	for i := range found {
		u := &found[i].Usage
		how := "warm"
		if u.Cold != nil {
			how = "cold, " + cmp.Or(u.Cold.Way, faas.WayStart)
		}
		if u.Instance == "" {
			how = "-"
		}
		rows = append(rows, []string{"+" + span(received(u).Sub(first)), u.Function, u.Version, u.RequestID, string(u.Outcome), span(u.Queue), span(u.Run), how})
	}
	return s.table("AT FUNCTION VERSION REQUEST OUTCOME QUEUE HANDLER START", rows)
}

// trace waits up to two seconds for the first receipt of a trace.
func (c *client) trace(ctx context.Context, id string) ([]admin.Receipt, error) {
	var all admin.Trace
	err := waitFor(ctx, func() (bool, error) {
		err := c.own(ctx, http.MethodGet, admin.TracesPath+url.PathEscape(id), nil, nil, &all)
		return len(all.Receipts) > 0, err
	})
	return all.Receipts, err
}

// waitFor asks until there is an answer, for up to two seconds: receipts are written in batches.
func waitFor(ctx context.Context, ask func() (bool, error)) error {
	deadline := time.Now().Add(2 * time.Second)
	for {
		if there, err := ask(); there || err != nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// receipt waits for the usage record of a call; nil when there is none.
func (c *client) receipt(ctx context.Context, id string) (found *admin.Receipt, err error) {
	err = waitFor(ctx, func() (bool, error) {
		var r admin.Receipt
		err := c.own(ctx, http.MethodGet, admin.ReceiptsPath+url.PathEscape(id), nil, nil, &r)
		var e *apiError
		switch {
		case err == nil:
			found = &r
		case errors.As(err, &e) && e.status == http.StatusNotFound:
			err = nil
		case !errors.Is(err, context.Canceled):
			err = fmt.Errorf("read the receipt: %w", err)
		}
		return found != nil, err
	})
	return found, err
}

// text is a call for people: whose it is, why it was cold or warm, its phases on a line of time, and what it used.
func (t *traced) text() string {
	var b strings.Builder
	u := &t.Usage
	fmt.Fprintf(&b, "%s %s", u.Function, u.Version)
	for _, more := range []string{u.Runtime, u.Instance, string(u.Outcome)} {
		if more != "" {
			b.WriteString(" · " + more)
		}
	}
	fmt.Fprintf(&b, "\nrequest %s", u.RequestID)
	if u.TraceID != "" {
		fmt.Fprintf(&b, " · trace %s", u.TraceID)
	}
	fmt.Fprintf(&b, "\n%s\n\n", t.Why)
	fmt.Fprintf(&b, "  received  %s\n", received(u).Format("2006-01-02 15:04:05.000000 MST"))
	var end time.Duration
	for _, p := range t.Phases {
		fmt.Fprintf(&b, "  %-8s  %10s  at %s\n", p.Name, span(p.Took), span(p.At))
		end = p.At + p.Took
	}
	fmt.Fprintf(&b, "  %-8s  %10s\n\n", "in all", span(end))
	fmt.Fprintf(&b, "CPU %s · peak %s of %d MB · in %s, out %s · billed %d ms · %s %s (AWS %s)\n", span(u.CPU), measured(u.PeakMB), u.MemoryMB,
		size(u.BytesIn), size(u.BytesOut), u.BilledMS, t.Ours, t.Currency, t.AWS)
	return b.String()
}
