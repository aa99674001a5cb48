package cli

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"artesian/internal/door/gateway/admin"
)

type psCmd struct {
	remote
}

func (c *psCmd) Run(s *session) error {
	cl, err := c.connect()
	if err != nil {
		return err
	}
	var ps admin.PS
	if err := cl.own(s.ctx, http.MethodGet, admin.PSPath, nil, nil, &ps); err != nil {
		return err
	}
	if c.JSON {
		return s.json(ps)
	}
	if len(ps.Instances) == 0 {
		return s.printf("no instances%s: every function is at zero\n", account(" of account ", cl.creds.Account))
	}
	now := time.Now()
	var rows [][]string
	for _, i := range ps.Instances {
		idle := "-"
		if i.IdleSince != nil {
			idle = now.Sub(*i.IdleSince).Round(time.Second).String()
		}
		state := i.State
		if i.Provisioned {
			state += ", provisioned"
		}
		rows = append(rows, []string{i.Function, i.Version, i.Instance, state, strconv.FormatInt(i.Calls, 10),
			fmt.Sprintf("%s/%d MB", measured(i.PeakMB), i.MemoryMB), now.Sub(i.Started).Round(time.Second).String(), idle, i.Runtime, i.Served})
	}
	return s.table("FUNCTION VERSION INSTANCE STATE CALLS PEAK AGE IDLE RUNTIME SERVED", rows)
}

type costCmd struct {
	remote
	Days int `help:"How many days back, today included (1 to 366)." default:"30" placeholder:"N"`
}

func (c *costCmd) Run(s *session) error {
	if c.Days < 1 || c.Days > 366 {
		return &exitError{ExitUsage, fmt.Errorf("--days %d: 1 to 366 are allowed", c.Days)}
	}
	cl, err := c.connect()
	if err != nil {
		return err
	}
	var cost admin.Cost
	query := url.Values{"days": {strconv.Itoa(c.Days)}}
	if err := cl.own(s.ctx, http.MethodGet, admin.CostPath, query, nil, &cost); err != nil {
		return err
	}
	if c.JSON {
		return s.json(cost)
	}
	if len(cost.Rows) == 0 {
		return s.printf("no calls in the last %d days\n", cost.Days)
	}
	var rows [][]string
	for _, r := range cost.Rows {
		rows = append(rows, costColumns(r))
	}
	cost.Total.Day, cost.Total.Function = "total", ""
	rows = append(rows, costColumns(cost.Total))
	return s.table("DAY FUNCTION CALLS COLD ERRORS GB-S READY-GB-S CPU-S OURS("+cost.Currency+") AWS("+cost.Currency+")", rows)
}

func costColumns(r admin.CostRow) []string {
	count := func(n int64) string { return strconv.FormatInt(n, 10) }
	return []string{r.Day, r.Function, count(r.Calls), count(r.Cold), count(r.Errors), fmt.Sprintf("%.4f", r.GBSeconds),
		fmt.Sprintf("%.4f", r.Provisioned), fmt.Sprintf("%.3f", r.CPUSeconds), r.Ours, r.AWS}
}

type functionsCmd struct {
	remote
}

func (c *functionsCmd) Run(s *session) error {
	cl, err := c.connect()
	if err != nil {
		return err
	}
	all, err := cl.functions(s.ctx)
	if err != nil {
		return err
	}
	urls, aliases, err := cl.urls(s.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		if err := cl.states(s.ctx, all); err != nil {
			return err
		}
		return s.json(map[string]any{"functions": listing(all, urls, aliases)})
	}
	if len(all) == 0 {
		return s.printf("no functions in %s%s; deploy one with: artesian deploy DIR\n", c.Region, account(" of account ", cl.creds.Account))
	}
	var rows [][]string
	for _, f := range all {
		rows = append(rows, []string{f.FunctionName, f.Runtime, f.Handler, fmt.Sprintf("%d MB", f.MemorySize), fmt.Sprintf("%d s", f.Timeout),
			size(f.CodeSize), strings.Replace(f.LastModified, ".000+0000", "Z", 1), cmp.Or(urls[f.FunctionName].URL, "-")})
	}
	return s.table("FUNCTION RUNTIME HANDLER MEMORY TIMEOUT CODE MODIFIED URL", rows)
}

// listed is a function as --json prints it.
type listed struct {
	Function string     `json:"function"`
	ARN      string     `json:"arn"`
	Runtime  string     `json:"runtime"`
	Handler  string     `json:"handler"`
	Role     string     `json:"role"`
	MemoryMB int        `json:"memory_mb"`
	TimeoutS int        `json:"timeout_s"`
	CodeSize int64      `json:"code_size"`
	CodeHash string     `json:"code_sha256"`
	Modified string     `json:"modified"`
	LogGroup string     `json:"log_group"`
	State    string     `json:"state,omitempty"`
	Reason   string     `json:"state_reason,omitempty"`
	URL      string     `json:"url,omitempty"`
	URLAuth  string     `json:"url_auth,omitempty"` // NONE or AWS_IAM
	Aliases  []aliasURL `json:"alias_urls,omitempty"`
}

// aliasURL is the URL of an alias.
type aliasURL struct {
	Alias string `json:"alias"`
	URL   string `json:"url"`
	Auth  string `json:"url_auth"`
}

func listing(all []functionConfig, urls map[string]admin.URL, aliases map[string][]aliasURL) []listed {
	out := make([]listed, len(all))
	for i, f := range all {
		out[i] = listed{Function: f.FunctionName, ARN: f.FunctionArn, Runtime: f.Runtime, Handler: f.Handler, Role: f.Role, MemoryMB: f.MemorySize,
			TimeoutS: f.Timeout, CodeSize: f.CodeSize, CodeHash: f.CodeSha256, Modified: f.LastModified, LogGroup: f.LoggingConfig.LogGroup, State: f.State, Reason: f.StateReason,
			URL: urls[f.FunctionName].URL, URLAuth: urls[f.FunctionName].Auth, Aliases: aliases[f.FunctionName]}
	}
	return out
}

type deleteCmd struct {
	remote
	Names []string `arg:"" name:"name" help:"Functions to delete."`
}

func (c *deleteCmd) Run(s *session) error {
	cl, err := c.connect()
	if err != nil {
		return err
	}
	deleted, failed := []string{}, 0
	for _, name := range c.Names {
		err := cl.lambda(s.ctx, http.MethodDelete, functionPath(name, ""), nil, nil, nil)
		var refused *apiError
		switch {
		case errors.As(err, &refused): // the others may still go
			failed++
			s.note("artesian: %v", cl.suggest(s.ctx, name, err))
			continue
		case err != nil:
			return err
		}
		deleted = append(deleted, name)
		if !c.JSON {
			if err := s.printf("deleted %s\n", name); err != nil {
				return err
			}
		}
	}
	if c.JSON {
		err = s.json(map[string]any{"deleted": deleted})
	}
	if err == nil && failed > 0 {
		return &exitError{status: ExitError}
	}
	return err
}
