package cli

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

type invokeCmd struct {
	remote
	Name      string `arg:"" help:"Function to call."`
	Payload   string `short:"d" help:"The event: JSON, @FILE, or - for stdin; {} when not given." default:"{}" placeholder:"EVENT"`
	Qualifier string `help:"A version's number, $$LATEST or an alias." placeholder:"Q"`
	TenantID  string `name:"tenant-id" help:"Whom the call is for, of a function that keeps tenants apart." placeholder:"ID"`
	Tail      bool   `help:"Print the last 4 KB of this call's log to stderr."`
	Quiet     bool   `short:"q" help:"Print the answer only."`
}

// invoked is the answer of one call, as --json prints it.
type invoked struct {
	Status        int             `json:"status"`
	RequestID     string          `json:"request_id"`
	Version       string          `json:"version"`
	FunctionError string          `json:"function_error,omitempty"`
	Answer        json.RawMessage `json:"answer"`
	Log           string          `json:"log,omitempty"`
	Receipt       *admin.Receipt  `json:"receipt,omitempty"`
	raw           []byte
}

func (c *invokeCmd) Run(s *session) error {
	if err := c.mistaken(); err != nil {
		return err
	}
	payload, err := c.event(s.Stdin)
	if err != nil {
		return err
	}
	cl, err := c.connect()
	if err != nil {
		return err
	}
	var got invoked
	err = s.progress("waiting for "+c.Name, func() error {
		got, err = c.call(s.ctx, cl, payload)
		if isCode(err, "ResourceConflictException") && strings.HasSuffix(err.Error(), ": Pending") { // it has not run
			if err = c.ready(s, cl); err == nil {
				got, err = c.call(s.ctx, cl, payload)
			}
		}
		return err
	})
	if errors.Is(err, context.Canceled) {
		s.note("interrupted; the call, once begun, goes on: artesian logs %s", c.Name)
		return err
	}
	if err != nil {
		return c.explain(s.ctx, cl, err)
	}
	if err := c.print(s, cl, got); err != nil {
		return err
	}
	if got.FunctionError != "" {
		return &exitError{status: ExitFunction}
	}
	return nil
}

// ready waits for a function that is Pending, as deploy does, and says why it is.
func (c *invokeCmd) ready(s *session, cl *client) error {
	f, err := cl.version(s.ctx, c.Name, c.Qualifier)
	if err != nil {
		return err
	}
	if f.State == "Pending" {
		s.note("%s is Pending: %s; waiting until it is Active", c.Name, strings.TrimSuffix(cmp.Or(f.StateReason, "it is being made"), "."))
	}
	_, err = cl.settled(s.ctx, c.Name, c.Qualifier)
	return err
}

// explain says of a function or a version that is not there which one is missing, and which flag the daemon asks for.
func (c *invokeCmd) explain(ctx context.Context, cl *client, err error) error {
	if c.TenantID == "" && isCode(err, "InvalidParameterValueException") && strings.Contains(err.Error(), "tenant ID") {
		return fmt.Errorf("%w Name it with --tenant-id", err)
	}
	if c.Qualifier == "" || !isCode(err, "ResourceNotFoundException") {
		return cl.suggest(ctx, c.Name, err)
	}
	if _, ferr := cl.function(ctx, c.Name); ferr != nil {
		return ferr
	}
	return &notThere{fmt.Sprintf("%s has no version or alias %q; it has %s", c.Name, c.Qualifier, strings.Join(cl.qualifiers(ctx, c.Name), ", ")), err}
}

func (c *invokeCmd) call(ctx context.Context, cl *client, payload []byte) (invoked, error) {
	r := call{service: "lambda", method: http.MethodPost, path: functionPath(c.Name, "/invocations"), body: payload,
		query: url.Values{}, header: http.Header{"Content-Type": {"application/json"}}}
	if c.Qualifier != "" {
		r.query.Set("Qualifier", c.Qualifier)
	}
	if c.TenantID != "" {
		r.header.Set("X-Amz-Tenant-Id", c.TenantID)
	}
	if c.Tail {
		r.header.Set("X-Amz-Log-Type", "Tail")
	}
	b, h, err := cl.do(ctx, r)
	if err != nil {
		return invoked{}, err
	}
	log, err := base64.StdEncoding.DecodeString(h.Get("X-Amz-Log-Result"))
	if err != nil {
		return invoked{}, fmt.Errorf("the daemon's X-Amz-Log-Result is not base64: %w", err)
	}
	answer, err := asJSON(b)
	return invoked{Status: http.StatusOK, RequestID: h.Get("X-Amzn-Requestid"), Version: h.Get("X-Amz-Executed-Version"),
		FunctionError: h.Get("X-Amz-Function-Error"), Answer: answer, Log: string(log), raw: b}, err
}

// print writes the answer first: what can be said about the call may be missing, and is no part of it.
func (c *invokeCmd) print(s *session, cl *client, got invoked) error {
	if c.JSON {
		if !c.Quiet {
			got.Receipt = s.receipt(cl, got.RequestID)
		}
		return s.json(got)
	}
	answer := got.raw
	if n := len(answer); n == 0 || answer[n-1] != '\n' {
		answer = append(answer, '\n')
	}
	if _, err := s.Stdout.Write(answer); err != nil {
		return err
	}
	if got.Log != "" {
		s.note("%s", strings.TrimRight(got.Log, "\n"))
	}
	if !c.Quiet {
		got.Receipt = s.receipt(cl, got.RequestID)
		s.note("%s", summary(got))
	}
	return nil
}

// receipt is what the daemon knows of a call; nil, with a note, when it cannot be had.
func (s *session) receipt(cl *client, id string) *admin.Receipt {
	r, err := cl.receipt(s.ctx, id)
	if err != nil {
		s.note("no receipt: %v", err)
	}
	return r
}

// joined puts a separator between texts that are not empty.
func joined(by string, texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(t string) bool { return t == "" }), by)
}

// summary is the receipt in a line: status, duration, memory, cold phases and why, price.
func summary(got invoked) string {
	parts := []string{fmt.Sprint(got.Status)}
	if got.FunctionError != "" {
		parts[0] += " " + got.FunctionError + " function error"
	}
	r := got.Receipt
	if r == nil {
		return strings.Join(append(parts, "request "+got.RequestID, "no receipt yet"), " · ")
	}
	if r.Outcome != faas.OutcomeOK && r.Outcome != faas.OutcomeError {
		parts = append(parts, string(r.Outcome))
	}
	parts = append(parts, fmt.Sprintf("%s, billed %d ms", span(r.Run), r.BilledMS), fmt.Sprintf("peak %s of %d MB", measured(r.PeakMB), r.MemoryMB))
	if cold := r.Cold; cold != nil {
		text := fmt.Sprintf("cold %s: place %s, sandbox %s, runtime %s, init %s",
			span(coldSum(cold)), span(cold.Place), span(cold.Sandbox), span(cold.Runtime), span(cold.Init))
		if said := joined("; ", cold.Way, cold.Why); said != "" {
			text += " (" + said + ")"
		}
		parts = append(parts, text)
	}
	parts = append(parts, fmt.Sprintf("%s %s (AWS %s)", r.Ours, r.Currency, r.AWS))
	return strings.Join(parts, " · ")
}
