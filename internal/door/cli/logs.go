package cli

import (
	"bufio"
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
	Name   string        `arg:"" help:"Function whose log to print."`
	Follow bool          `short:"f" help:"Go on printing what arrives, until interrupted."`
	Since  time.Duration `help:"How far back to start." default:"10m" placeholder:"TIME"`
}

func (c *logsCmd) Run(s *session) error {
	cl, err := c.connect()
	if err != nil {
		return err
	}
	f, err := cl.function(s.ctx, c.Name)
	if err != nil {
		return err
	}
	group := f.LoggingConfig.LogGroup
	if group == "" {
		group = "/aws/lambda/" + c.Name
	}
	since := time.Now().Add(-c.Since)
	if c.Follow {
		return c.follow(s, cl, group, since)
	}
	return cl.logEvents(s.ctx, group, since, func(e logEvent) error {
		return c.print(s, admin.LogLine{Time: time.UnixMilli(e.Timestamp), Stream: e.LogStreamName, Message: e.Message})
	})
}

// follow prints what the daemon pushes: first the stored events, then new ones as they come.
func (c *logsCmd) follow(s *session, cl *client, group string, since time.Time) error {
	resp, err := cl.open(s.ctx, call{service: admin.Service, method: http.MethodGet, path: admin.TailPath,
		query: url.Values{"group": {group}, "since": {strconv.FormatInt(since.UnixMilli(), 10)}}})
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
	return s.printf("%s  %s\n", l.Time.Local().Format("15:04:05.000"), strings.TrimRight(l.Message, "\n"))
}
