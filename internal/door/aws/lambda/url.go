package lambda

import (
	"context"
	"crypto/rand"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"artesian/internal/compute/registry"
	"artesian/internal/door/aws/functionurl"
	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/faas"
)

// aliasQualifier is what the model says of a URL's qualifier by a pattern with look-around: an alias's name, so no number.
var aliasQualifier = regexp.MustCompile(`^[0-9]*[a-zA-Z_-][0-9a-zA-Z_-]*$`)

// urlName reads the function and the alias that a URL is for; an empty alias is the function itself.
func (s *Service) urlName(ctx context.Context, name string, qualifier *string) (faas.FunctionID, string, error) {
	id, q, err := s.name(ctx, name, qualifier)
	if err != nil {
		return id, "", err
	}
	if q != "" && !aliasQualifier.MatchString(q) {
		return id, "", &faas.Error{Kind: faas.Invalid, Code: "ValidationException", Message: "1 validation error detected: Value '" + q +
			"' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: ((?!^\\d+$)^[0-9a-zA-Z-_]+$)"}
	}
	return id, q, nil
}

var errNoURL = &faas.Error{Kind: faas.NotFound, Op: "find function URL", Message: "The resource you requested does not exist."}

// CreateFunctionUrlConfig implements api.Service.
func (s *Service) CreateFunctionUrlConfig(ctx context.Context, in *api.CreateFunctionUrlConfigInput) (*api.CreateFunctionUrlConfigOutput, error) {
	id, q, err := s.urlName(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	u := registry.URL{ID: newURLID(), Auth: in.AuthType, Mode: functionurl.Buffered, Created: now, Modified: now}
	set(&u.Mode, in.InvokeMode)
	if u.CORS, err = corsOf(in.Cors); err != nil {
		return nil, err
	}
	if _, err := s.cfg.Functions.Get(id, ""); err != nil {
		return nil, &faas.Error{Kind: faas.NotFound, Op: "create function URL", Message: "Function does not exist"}
	}
	rec, err := s.cfg.Functions.Get(id, q)
	if err != nil {
		return nil, err
	}
	if rec.Version.PerTenant { // its calls name a tenant, which a URL's can't
		return nil, faas.Errorf(faas.Invalid, "FunctionName: %s keeps tenants apart (TenancyConfig), which function URLs do not support", id.Name)
	}
	arn := invokedARN(id, q)
	_, err = s.cfg.Functions.Configure(ctx, id, func(r *registry.Record) error {
		if _, ok := r.URLs[q]; ok {
			return &faas.Error{Kind: faas.Conflict, Op: "create function URL", Message: "Failed to create function url config for [functionArn = " +
				arn + "]. Error message:  FunctionUrlConfig exists for this Lambda function"}
		}
		if _, ok := r.Aliases[q]; q != "" && !ok { // gone meanwhile
			return faas.Errorf(faas.NotFound, "Function not found: %s", arn)
		}
		r.SetURL(q, u)
		return nil
	})
	if err != nil {
		return nil, err
	}
	c := s.urlConfig(ctx, id, q, &u)
	return &api.CreateFunctionUrlConfigOutput{FunctionUrl: c.FunctionUrl, FunctionArn: c.FunctionArn, AuthType: c.AuthType, Cors: c.Cors,
		CreationTime: c.CreationTime, InvokeMode: c.InvokeMode}, nil
}

// GetFunctionUrlConfig implements api.Service.
func (s *Service) GetFunctionUrlConfig(ctx context.Context, in *api.GetFunctionUrlConfigInput) (*api.GetFunctionUrlConfigOutput, error) {
	id, q, err := s.urlName(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	rec, err := s.cfg.Functions.Get(id, "")
	if err != nil {
		return nil, errNoURL
	}
	u, ok := rec.URLs[q]
	if !ok {
		return nil, errNoURL
	}
	out := api.GetFunctionUrlConfigOutput(s.urlConfig(ctx, id, q, &u))
	return &out, nil
}

// UpdateFunctionUrlConfig implements api.Service. What is not given stays; Cors is replaced as a whole.
func (s *Service) UpdateFunctionUrlConfig(ctx context.Context, in *api.UpdateFunctionUrlConfigInput) (*api.UpdateFunctionUrlConfigOutput, error) {
	id, q, err := s.urlName(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	cors, err := corsOf(in.Cors)
	if err != nil {
		return nil, err
	}
	var u registry.URL
	_, err = s.cfg.Functions.Configure(ctx, id, func(r *registry.Record) error {
		var ok bool
		if u, ok = r.URLs[q]; !ok {
			return errNoURL
		}
		set(&u.Auth, in.AuthType)
		set(&u.Mode, in.InvokeMode)
		if in.Cors != nil {
			u.CORS = cors
		}
		u.Modified = s.cfg.Now()
		r.SetURL(q, u)
		return nil
	})
	if faas.KindOf(err) == faas.NotFound {
		return nil, errNoURL
	}
	if err != nil {
		return nil, err
	}
	out := api.UpdateFunctionUrlConfigOutput(s.urlConfig(ctx, id, q, &u))
	return &out, nil
}

// DeleteFunctionUrlConfig implements api.Service.
func (s *Service) DeleteFunctionUrlConfig(ctx context.Context, in *api.DeleteFunctionUrlConfigInput) (*api.DeleteFunctionUrlConfigOutput, error) {
	id, q, err := s.urlName(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	_, err = s.cfg.Functions.Configure(ctx, id, func(r *registry.Record) error {
		if _, ok := r.URLs[q]; !ok {
			return errNoURL
		}
		r.RemoveURL(q)
		return nil
	})
	if faas.KindOf(err) == faas.NotFound {
		return nil, errNoURL
	}
	return nil, err
}

// ListFunctionUrlConfigs implements api.Service. The marker is the last alias of the page before, behind a colon.
func (s *Service) ListFunctionUrlConfigs(ctx context.Context, in *api.ListFunctionUrlConfigsInput) (*api.ListFunctionUrlConfigsOutput, error) {
	id, _, err := s.name(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	rec, err := s.cfg.Functions.Get(id, "")
	if err != nil {
		return nil, &faas.Error{Kind: faas.NotFound, Op: "list function URLs", Message: "Function does not exist"}
	}
	out := &api.ListFunctionUrlConfigsOutput{FunctionUrlConfigs: []api.FunctionUrlConfig{}}
	marker := value(in.Marker)
	after, paged := strings.CutPrefix(marker, ":")
	if marker != "" && !paged {
		return nil, faas.Errorf(faas.Invalid, "Marker: %.100q is not one that this operation returned", marker)
	}
	last := ""
	for _, q := range slices.Sorted(maps.Keys(rec.URLs)) {
		if paged && q <= after {
			continue
		}
		if len(out.FunctionUrlConfigs) == pageSize(in.MaxItems) {
			out.NextMarker = ptr(":" + last)
			break
		}
		u := rec.URLs[q]
		out.FunctionUrlConfigs = append(out.FunctionUrlConfigs, s.urlConfig(ctx, id, q, &u))
		last = q
	}
	return out, nil
}

// urlConfig is what is told of a URL.
func (s *Service) urlConfig(ctx context.Context, id faas.FunctionID, q string, u *registry.URL) api.FunctionUrlConfig {
	return api.FunctionUrlConfig{
		FunctionUrl: s.cfg.URL(ctx, u.ID, id.Region), FunctionArn: invokedARN(id, q), AuthType: u.Auth, InvokeMode: &u.Mode, Cors: corsFor(u.CORS),
		CreationTime: urlTime(u.Created), LastModifiedTime: urlTime(u.Modified),
	}
}

func urlTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// newURLID returns 32 random characters, as many as AWS's have.
func newURLID() string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	var b [32]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never returns an error
	for i := range b {
		b[i] = alphabet[b[i]%32]
	}
	return string(b[:])
}

// corsOf reads and checks CORS settings; those that say nothing are none.
func corsOf(in *api.Cors) (*registry.CORS, error) {
	if in == nil {
		return nil, nil
	}
	c := &registry.CORS{Credentials: value(in.AllowCredentials), Headers: in.AllowHeaders, Methods: in.AllowMethods, Origins: in.AllowOrigins,
		Expose: in.ExposeHeaders}
	if in.MaxAge != nil {
		c.MaxAge = ptr(int(*in.MaxAge))
	}
	if !c.Credentials && len(c.Headers)+len(c.Methods)+len(c.Origins)+len(c.Expose) == 0 && c.MaxAge == nil {
		return nil, nil
	}
	return c, functionurl.CheckCORS(c)
}

func corsFor(c *registry.CORS) *api.Cors {
	if c == nil {
		return nil
	}
	out := &api.Cors{AllowHeaders: c.Headers, AllowMethods: c.Methods, AllowOrigins: c.Origins, ExposeHeaders: c.Expose}
	if c.Credentials {
		out.AllowCredentials = &c.Credentials
	}
	if c.MaxAge != nil {
		out.MaxAge = ptr(int32(*c.MaxAge))
	}
	return out
}
