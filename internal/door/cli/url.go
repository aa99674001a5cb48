package cli

import (
	"context"
	"net/http"
	"net/url"

	"artesian/internal/door/gateway/admin"
)

// authTypes are what --url says, in Lambda's words.
var authTypes = map[string]string{"none": "NONE", "iam": "AWS_IAM"}

// urls returns the URLs of all functions, and those of their aliases.
func (c *client) urls(ctx context.Context) (byName map[string]admin.URL, aliases map[string][]aliasURL, err error) {
	var list admin.URLs
	err = c.own(ctx, http.MethodGet, admin.URLsPath, nil, nil, &list)
	if isCode(err, "NotFound") { // an older daemon
		err = nil
	}
	byName, aliases = make(map[string]admin.URL, len(list.URLs)), make(map[string][]aliasURL)
	for _, u := range list.URLs {
		if u.Qualifier == "" {
			byName[u.Function] = u
		} else {
			aliases[u.Function] = append(aliases[u.Function], aliasURL{u.Qualifier, u.URL, u.Auth})
		}
	}
	return byName, aliases, err
}

// expose gives the function the URL that --url asks for, and finds out which it has.
func (d *deployment) expose() error {
	urls, _, err := d.cl.urls(d.s.ctx)
	if err != nil {
		return err
	}
	have, ok := urls[d.Name]
	path := "/2021-10-31/functions/" + url.PathEscape(d.Name) + "/url"
	if d.URL == "off" && ok {
		err := d.step("url off", func() error { return d.cl.lambda(d.s.ctx, http.MethodDelete, path, nil, nil, nil) })
		if err != nil {
			return err
		}
		have = admin.URL{}
		d.urlChanged()
	}
	if want := authTypes[d.URL]; want != "" && want != have.Auth {
		method := http.MethodPost
		if ok {
			method = http.MethodPut
		}
		err := d.step("url", func() error {
			var made struct{ FunctionUrl, AuthType string }
			err := d.cl.lambda(d.s.ctx, method, path, nil, map[string]string{"AuthType": want}, &made)
			have.URL, have.Auth = made.FunctionUrl, made.AuthType
			return err
		})
		if err != nil {
			return err
		}
		d.urlChanged()
	}
	d.done.URL, d.done.URLAuth = have.URL, have.Auth
	return nil
}

func (d *deployment) urlChanged() {
	if d.done.Action == "unchanged" {
		d.done.Action = "updated"
	}
}
