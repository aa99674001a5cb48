package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"artesian/internal/door/gateway/admin"
)

type logsCmd struct {
	remote
	Name   string   `arg:"" optional:"" help:"Function whose log to print."`
	Group  string   `short:"g" help:"Log group to print, instead of a function's." placeholder:"GROUP"`
	Follow bool     `short:"f" help:"Go on printing what arrives, until interrupted."`
	Since  duration `help:"How far back to start: 600 or 600s, 10m, 24h, 7d." default:"10m" placeholder:"TIME"`
	Filter string   `help:"Print only what matches a filter pattern of CloudWatch Logs, for example 'ERROR -timeout'." placeholder:"PATTERN"`
	Query  *string  `help:"Print the answer to a query of CloudWatch Logs Insights, for example 'stats count(*) by @type'." placeholder:"QUERY"`
}

func (c *logsCmd) Run(s *session) error {
	switch {
	case c.Name != "" && c.Group != "":
		return &exitError{ExitUsage, fmt.Errorf("name a function or a log group, not both: %s and --group %s", c.Name, c.Group)}
	case c.Name == "" && c.Group == "":
		return &exitError{ExitUsage, errors.New("name a function, or a log group with --group")}
	case c.Query != nil && strings.TrimSpace(*c.Query) == "":
		return &exitError{ExitUsage, errors.New("--query is empty; for example 'stats count(*) by @type'")}
	case c.Query != nil && (c.Follow || c.Filter != ""):
		return &exitError{ExitUsage, errors.New("--query goes with neither --follow nor --filter")}
	}
	cl, err := c.connect()
	if err != nil {
		return err
	}
	group, gone, err := c.group(s.ctx, cl)
	if err != nil {
		return err
	}
	since := time.Now().Add(-time.Duration(c.Since))
	if c.Query != nil {
		return c.none(s, c.query(s, cl, group, since), gone)
	}
	if c.Follow && gone == nil {
		return c.follow(s, cl, group, since)
	}
	var printed int
	err = cl.logEvents(s.ctx, group, since, c.Filter, func(e logEvent) error {
		printed++
		return c.print(s, admin.LogLine{Time: time.UnixMilli(e.Timestamp), Stream: e.LogStreamName, Message: e.Message})
	})
	switch {
	case err != nil:
		return c.none(s, err, gone)
	case gone != nil && printed == 0 && c.Filter == "":
		s.note("%s is deleted; its log %s is there, but has nothing in the last %s: look further back with --since 24h", c.Name, group, time.Duration(c.Since))
	case printed == 0 && c.Filter != "":
		s.note("nothing logged by %s in the last %s matches %s", c.Name, time.Duration(c.Since), c.Filter)
	case printed == 0:
		s.note("nothing logged by %s in the last %s; look further back with --since 24h, or wait for more with -f", c.Name, time.Duration(c.Since))
	case gone != nil:
		s.note("%s is deleted; this is what it left in %s", c.Name, group)
	}
	return nil
}

// none says of a log group that is not there what that means: a mistaken name, or a function that has not logged yet.
func (c *logsCmd) none(s *session, err, gone error) error {
	switch {
	case !isCode(err, "ResourceNotFoundException"):
		return err
	case c.Group != "":
		return fmt.Errorf("there is no log group %s", c.Group)
	case gone != nil:
		return gone
	}
	s.note("%s has logged nothing yet; wait for its lines with -f", c.Name)
	return nil
}

// group returns the function's log group. Of a function that is not there it is the usual one, which outlives functions,
// and gone says what is to be said when there is nothing in it.
func (c *logsCmd) group(ctx context.Context, cl *client) (group string, gone, err error) {
	if c.Group != "" {
		c.Name = c.Group // in messages
		return c.Group, nil, nil
	}
	f, err := cl.function(ctx, c.Name)
	group = f.LoggingConfig.LogGroup
	if group == "" {
		group = "/aws/lambda/" + c.Name
	}
	if isCode(err, "ResourceNotFoundException") {
		return group, err, nil
	}
	return group, nil, err
}

// follow prints what the daemon pushes: first the stored events, then new ones as they come.
func (c *logsCmd) follow(s *session, cl *client, group string, since time.Time) error {
	resp, err := cl.open(s.ctx, call{service: admin.Service, method: http.MethodGet, path: admin.TailPath,
		query: url.Values{"group": {group}, "since": {strconv.FormatInt(since.UnixMilli(), 10)}, "filter": {c.Filter}}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 4<<20) // an event has at most 1 MB, more when escaped
	for lines.Scan() {
		var l admin.LogLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("the daemon's log line is damaged: %w", err)
		}
		if err := c.print(s, l); err != nil {
			return err
		}
	}
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	if err := lines.Err(); err != nil {
		return cl.unreachable(err)
	}
	return &exitError{ExitNoDaemon, errors.New("the daemon ended the log")}
}

func (c *logsCmd) print(s *session, l admin.LogLine) error {
	if c.JSON {
		b, err := json.Marshal(l)
		if err != nil {
			return err
		}
		return s.printf("%s\n", b)
	}
	return s.printf("%s  %s\n", clock(l.Time.Local(), time.Now()), strings.TrimRight(l.Message, "\n"))
}

// clock is a time of day, with the date when that is not now's.
func clock(t, now time.Time) string {
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04:05.000")
	}
	return t.Format("2006-01-02 15:04:05.000")
}
