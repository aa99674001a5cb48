package gateway

import (
	"net/http"

	"artesian/internal/door/aws/functionurl"
	"artesian/internal/door/aws/sigv4"
	"artesian/internal/faas"
)

// visited answers a request to a function's URL, and reports whether it was one. What has such a name is never taken for the
// platform's own, whoever signed it: pages that functions show are of other origins than the platform. host is the request's.
func (g *Gateway) visited(w http.ResponseWriter, r *http.Request, host string) bool {
	to, user := functionurl.ParseHost(host)
	if user {
		if !g.hosts[to.Domain] || g.cfg.URLs == nil {
			refuse(w, r, "", http.StatusMisdirectedRequest, "UnknownHost", "This platform is not configured to answer for the host "+quote(r.Host)+".")
			return true
		}
	} else if to, user = functionurl.ParsePath(r.URL.EscapedPath()); !user || g.cfg.URLs == nil || !g.knownHost(host) {
		return false
	}
	v, ok := g.cfg.URLs.Find(to)
	if !ok {
		g.cfg.URLs.Unknown(w, r)
		return true
	}
	g.visit(w, r, v)
	return true
}

// visit reads the body and establishes the signer where the URL asks for one. A body is read only then, or where anybody may send one.
func (g *Gateway) visit(w http.ResponseWriter, r *http.Request, v *functionurl.Visit) {
	signing := v.Signing(r)
	var signature sigv4.Signature
	if signing != "" {
		signature = sigv4.Read(r)
		if scope, ok := signature.Scope(); !ok || scope.Service != signing || !g.cfg.Known(scope.KeyID, scope.Token) {
			v.Refuse(w, r, faas.Errorf(faas.Denied, "no signature"))
			return
		}
	}
	in := g.arrival(w, &g.guests)
	defer in.letGo()
	body, err := in.read(r, v.Limit(r))
	if err != nil {
		v.Refuse(w, r, err)
		return
	}
	if signing != "" {
		ctx, err := g.cfg.Authenticate(r, &signature, body, signing)
		if err != nil {
			v.Refuse(w, r, faas.Errorf(faas.Denied, "no valid signature"))
			return
		}
		if c, ok := CallerFrom(ctx); !ok || c.Service != signing {
			v.Refuse(w, r, faas.Errorf(faas.Denied, "no signature for this service"))
			return
		}
		r = r.WithContext(ctx)
	}
	v.Serve(w, r, body)
}
