package app

import (
	"context"
	"net/http"
	"time"

	"artesian/internal/account/identity"
	"artesian/internal/door/aws/functionurl"
	"artesian/internal/door/gateway"
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
