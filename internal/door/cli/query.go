package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// queryAnswer is what GetQueryResults says.
type queryAnswer struct {
	Status  string `json:"status"`
	Results [][]struct {
		Field string `json:"field"`
		Value string `json:"value"`
	} `json:"results"`
	Statistics struct {
		Scanned float64 `json:"recordsScanned"`
		Matched float64 `json:"recordsMatched"`
		Bytes   float64 `json:"bytesScanned"`
	} `json:"statistics"`
}

// logs asks CloudWatch Logs.
func (c *client) logs(ctx context.Context, op string, in, out any) error {
	header := http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amz-Target": {"Logs_20140328." + op}}
	return c.exchange(ctx, call{service: "logs", method: http.MethodPost, path: "/", header: header}, in, out)
}

// logsQuery runs a query of Logs Insights to its end.
func (c *client) logsQuery(ctx context.Context, group, query string, since time.Time) (queryAnswer, error) {
	var begun struct {
		ID string `json:"queryId"`
	}
	var a queryAnswer
	err := c.logs(ctx, "StartQuery", map[string]any{"logGroupName": group, "startTime": since.UnixMilli(), "endTime": time.Now().UnixMilli(), "queryString": query}, &begun)
	for pause := 5 * time.Millisecond; err == nil; pause = min(2*pause, time.Second) {
		a = queryAnswer{}
		if err = c.logs(ctx, "GetQueryResults", map[string]any{"queryId": begun.ID}, &a); err != nil || a.Status != "Running" && a.Status != "Scheduled" {
			break
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = c.logs(stop, "StopQuery", map[string]any{"queryId": begun.ID}, nil) // it ends by itself otherwise
			return a, ctx.Err()
		}
	}
	return a, err
}

// query prints the rows of a query: a table, or one JSON object per line.
func (c *logsCmd) query(s *session, cl *client, group string, since time.Time) error {
	var a queryAnswer
	err := s.progress("searching "+group, func() (err error) {
		a, err = cl.logsQuery(s.ctx, group, *c.Query, since)
		return err
	})
	if err != nil {
		return err
	}
	if a.Status != "Complete" {
		return fmt.Errorf("the query ended as %s: filter more, or look back less far with --since; the daemon's log has the reason", a.Status)
	}
	var names []string
	for _, row := range a.Results {
		for _, f := range row {
			if f.Field != "@ptr" && !slices.Contains(names, f.Field) {
				names = append(names, f.Field)
			}
		}
	}
	var rows [][]string
	for _, row := range a.Results {
		cells := make([]string, len(names))
		object := map[string]string{}
		for _, f := range row {
			if i := slices.Index(names, f.Field); i >= 0 {
				cells[i], object[f.Field] = strings.TrimRight(f.Value, "\n"), f.Value
			}
		}
		for i, cell := range cells {
			cells[i] = strings.NewReplacer("\n", `\n`, "\t", " ").Replace(cell)
		}
		if rows = append(rows, cells); c.JSON {
			b, err := json.Marshal(object)
			if err != nil {
				return err
			}
			if err := s.printf("%s\n", b); err != nil {
				return err
			}
		}
	}
	if !c.JSON && len(rows) > 0 {
		if err := s.table(strings.Join(names, "\t"), rows); err != nil {
			return err
		}
	}
	s.note("%s of %s events matched, %s scanned", strconv.FormatFloat(a.Statistics.Matched, 'f', -1, 64),
		strconv.FormatFloat(a.Statistics.Scanned, 'f', -1, 64), size(int64(a.Statistics.Bytes)))
	return nil
}
