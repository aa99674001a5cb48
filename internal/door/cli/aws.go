package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// The parts of AWS's interfaces that the command line uses, in the protocols' own names.
// Shapes: https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html

type functionConfig struct {
	FunctionName     string       `json:"FunctionName"`
	FunctionArn      string       `json:"FunctionArn"`
	Runtime          string       `json:"Runtime"`
	Handler          string       `json:"Handler"`
	Role             string       `json:"Role"`
	CodeSize         int64        `json:"CodeSize"`
	CodeSha256       string       `json:"CodeSha256"`
	MemorySize       int          `json:"MemorySize"`
	Timeout          int          `json:"Timeout"`
	LastModified     string       `json:"LastModified"`
	Version          string       `json:"Version"`
	State            string       `json:"State"`
	StateReason      string       `json:"StateReason"`
	LastUpdateStatus string       `json:"LastUpdateStatus"`
	LastUpdateReason string       `json:"LastUpdateStatusReason"`
	Environment      *environment `json:"Environment,omitempty"`
	LoggingConfig    struct {
		LogGroup string `json:"LogGroup"`
	} `json:"LoggingConfig"`
}

type environment struct {
	Variables map[string]string `json:"Variables"`
}

const functionsPath = "/2015-03-31/functions"

func functionPath(name string, rest string) string {
	return functionsPath + "/" + url.PathEscape(name) + rest
}

func (c *client) lambda(ctx context.Context, method, path string, query url.Values, in, out any) error {
	return c.exchange(ctx, call{service: "lambda", method: method, path: path, query: query}, in, out)
}

// function returns a function's configuration; for a name that is not there, an error that suggests one that is.
func (c *client) function(ctx context.Context, name string) (functionConfig, error) {
	return c.version(ctx, name, "")
}

// version is function for a version or an alias; an empty qualifier is $LATEST.
func (c *client) version(ctx context.Context, name, qualifier string) (functionConfig, error) {
	var query url.Values
	if qualifier != "" {
		query = url.Values{"Qualifier": {qualifier}}
	}
	var f functionConfig
	err := c.lambda(ctx, http.MethodGet, functionPath(name, "/configuration"), query, nil, &f)
	return f, c.suggest(ctx, name, err)
}

func (c *client) functions(ctx context.Context) ([]functionConfig, error) {
	var all []functionConfig
	query := url.Values{"MaxItems": {"50"}}
	for {
		var page struct {
			Functions  []functionConfig
			NextMarker string
		}
		if err := c.lambda(ctx, http.MethodGet, functionsPath+"/", query, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Functions...)
		if page.NextMarker == "" {
			return all, nil
		}
		query.Set("Marker", page.NextMarker)
	}
}

// qualifiers are a function's versions and aliases, at most a hundred of each; $LATEST alone when they cannot be had.
func (c *client) qualifiers(ctx context.Context, name string) []string {
	var page struct {
		Versions []functionConfig
		Aliases  []struct{ Name string }
	}
	all, most := []string{"$LATEST"}, url.Values{"MaxItems": {"100"}}
	if c.lambda(ctx, http.MethodGet, functionPath(name, "/versions"), most, nil, &page) == nil && len(page.Versions) > 0 {
		all = nil
	}
	for _, v := range page.Versions {
		all = append(all, v.Version)
	}
	if c.lambda(ctx, http.MethodGet, functionPath(name, "/aliases"), most, nil, &page) == nil {
		for _, a := range page.Aliases {
			all = append(all, a.Name)
		}
	}
	return all
}

// settled waits until the last change of a function, or of a version or alias of it, is done, at most a minute.
func (c *client) settled(ctx context.Context, name, qualifier string) (functionConfig, error) {
	late := time.After(time.Minute)
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		f, err := c.version(ctx, name, qualifier)
		switch {
		case err != nil:
			return f, err
		case f.State == "Failed":
			return f, fmt.Errorf("%s cannot run: %s", name, f.StateReason)
		case f.LastUpdateStatus == "Failed":
			return f, fmt.Errorf("%s was not updated: %s", name, f.LastUpdateReason)
		case f.State != "Pending" && f.LastUpdateStatus != "InProgress":
			return f, nil
		}
		select {
		case <-ctx.Done():
			return f, ctx.Err()
		case <-late:
			return f, fmt.Errorf("%s is not active after a minute: %s", name, cmp.Or(f.StateReason, f.LastUpdateReason, f.State))
		case <-time.After(pause):
		}
	}
}

// trust lets functions act as the role.
const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

const basicPolicy = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"

type roleAnswer struct {
	Role struct {
		Arn string `xml:"Arn"`
	} `xml:"Role"`
}

// role returns the ARN of a role, made with the right to write logs if it is not there.
func (c *client) role(ctx context.Context, name string) (arn string, made bool, err error) {
	var get struct {
		Result roleAnswer `xml:"GetRoleResult"`
	}
	err = c.iam(ctx, url.Values{"Action": {"GetRole"}, "RoleName": {name}}, &get)
	if !isCode(err, "NoSuchEntity") {
		return get.Result.Role.Arn, false, err
	}
	var create struct {
		Result roleAnswer `xml:"CreateRoleResult"`
	}
	err = c.iam(ctx, url.Values{"Action": {"CreateRole"}, "RoleName": {name}, "AssumeRolePolicyDocument": {trust},
		"Description": {"Made by artesian deploy"}}, &create)
	if isCode(err, "EntityAlreadyExists") { // another deploy was faster
		return c.role(ctx, name)
	}
	if err != nil {
		return "", false, fmt.Errorf("create role %s: %w", name, err)
	}
	err = c.iam(ctx, url.Values{"Action": {"AttachRolePolicy"}, "RoleName": {name}, "PolicyArn": {basicPolicy}}, nil)
	if err != nil {
		return "", false, fmt.Errorf("attach policy to role %s: %w", name, err)
	}
	return create.Result.Role.Arn, true, nil
}

func (c *client) iam(ctx context.Context, form url.Values, out any) error {
	form.Set("Version", "2010-05-08")
	b, _, err := c.do(ctx, call{service: "iam", method: http.MethodPost, path: "/", body: []byte(form.Encode()),
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}})
	if err != nil || out == nil {
		return err
	}
	if err := xml.Unmarshal(b, out); err != nil {
		return fmt.Errorf("the daemon's answer to %s is not what was expected: %w", form.Get("Action"), err)
	}
	return nil
}

func decodeXMLError(b []byte) (code, message string) {
	var doc struct {
		Code    string `xml:"Error>Code"`
		Message string `xml:"Error>Message"`
	}
	if xml.Unmarshal(b, &doc) != nil {
		return "", ""
	}
	return doc.Code, doc.Message
}

type logEvent struct {
	LogStreamName string `json:"logStreamName"`
	Timestamp     int64  `json:"timestamp"` // milliseconds
	Message       string `json:"message"`
}

// logEvents calls each with the events of a group since a time, oldest first. A group that is not there is the daemon's
// ResourceNotFoundException.
func (c *client) logEvents(ctx context.Context, group string, since time.Time, filter string, each func(logEvent) error) error {
	in := map[string]any{"logGroupName": group, "startTime": since.UnixMilli()}
	if filter != "" {
		in["filterPattern"] = filter
	}
	for {
		var page struct {
			Events    []logEvent `json:"events"`
			NextToken string     `json:"nextToken"`
		}
		if err := c.logs(ctx, "FilterLogEvents", in, &page); err != nil {
			return err
		}
		for _, e := range page.Events {
			if err := each(e); err != nil {
				return err
			}
		}
		if page.NextToken == "" {
			return nil
		}
		in["nextToken"] = page.NextToken
	}
}

// asJSON returns b itself when it is JSON, else as a JSON string.
func asJSON(b []byte) (json.RawMessage, error) {
	if json.Valid(b) {
		return b, nil
	}
	return json.Marshal(string(b))
}

// states fills in where functions stand, which a listing of Lambda's does not say. Who may not see it, or whose function is gone
// meanwhile, does without.
func (c *client) states(ctx context.Context, all []functionConfig) error {
	for i := range all {
		var got functionConfig
		err := c.lambda(ctx, http.MethodGet, functionPath(all[i].FunctionName, "/configuration"), nil, nil, &got)
		if refused := (*apiError)(nil); err != nil && !errors.As(err, &refused) {
			return err
		}
		all[i].State, all[i].StateReason = got.State, got.StateReason
	}
	return nil
}
