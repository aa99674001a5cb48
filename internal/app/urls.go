package app

import (
	"context"
	"net/http"
	"time"

	"artesian/internal/account/identity"
	"artesian/internal/door/aws/functionurl"
	"artesian/internal/door/gateway"
	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

// functionURLs serves the URLs of functions.
func (a *App) functionURLs() *functionurl.Site {
	return functionurl.New(functionurl.Config{
		Endpoint: a.functions.Endpoint,
		Invoke:   a.invoker.Invoke,
		Signer: func(ctx context.Context) functionurl.Signer {
			p, _ := identity.FromContext(ctx)
			return functionurl.Signer{Account: p.Account, ARN: p.ARN, UserID: p.UserID, AccessKeyID: p.AccessKeyID}
		},
		Authorize: func(ctx context.Context, action, resource string) error {
			p, ok := identity.FromContext(ctx)
			if !ok {
				return faas.Errorf(faas.Unauthenticated, "The caller is not known.")
			}
			return identity.Allow(ctx, identity.Request{Principal: p, Action: action, Resource: resource})
		},
		Trace:  func(r *http.Request) string { return trace(r.Header.Get("X-Amzn-Trace-Id")) },
		Now:    time.Now,
		Logger: a.cfg.Logger,
	})
}

// functionURL is where the caller reaches a function's URL: by the name or address by which it reached us.
func (a *App) functionURL(ctx context.Context, id, region string) string {
	c, _ := gateway.CallerFrom(ctx)
	return functionurl.Location(c.Base, id, region)
}

// urls lists the URLs of a scope's functions.
func (a *App) urls(ctx context.Context, s faas.Scope) []admin.URL {
	list := []admin.URL{}
	for _, e := range a.functions.Endpoints(s) {
		list = append(list, admin.URL{Function: e.Function.Name, Qualifier: e.Qualifier, URL: a.functionURL(ctx, e.ID, s.Region), Auth: e.Auth, Mode: e.Mode})
	}
	return list
}
