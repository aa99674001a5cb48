package registry

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"artesian/internal/faas"
)

// URL is the HTTP endpoint of a function or of one of its aliases.
type URL struct {
	ID       string    `json:"id"`   // never used again, and known to nobody before
	Auth     string    `json:"auth"` // NONE or AWS_IAM
	Mode     string    `json:"mode"` // BUFFERED or RESPONSE_STREAM
	CORS     *CORS     `json:"cors,omitempty"`
	Created  time.Time `json:"created"`
	Modified time.Time `json:"modified"`
}

// CORS says which pages of other origins may call a URL.
type CORS struct {
	Credentials bool     `json:"credentials,omitempty"`
	Headers     []string `json:"headers,omitempty"`
	Methods     []string `json:"methods,omitempty"`
	Origins     []string `json:"origins,omitempty"`
	Expose      []string `json:"expose,omitempty"`
	MaxAge      *int     `json:"max_age,omitempty"` // seconds
}

// Endpoint is what a URL stands for.
type Endpoint struct {
	URL
	Function  faas.FunctionID
	Qualifier string // the alias; empty is the function itself
}

// Endpoint finds a URL by its id. What it returns is shared and read-only.
func (r *Registry) Endpoint(id string) (*Endpoint, bool) {
	e, ok := r.endpoints.Load(id)
	if !ok {
		return nil, false
	}
	return e.(*Endpoint), true
}

// Endpoints lists a scope's URLs by function and alias. What it returns is shared and read-only.
func (r *Registry) Endpoints(s faas.Scope) []*Endpoint {
	var list []*Endpoint
	r.endpoints.Range(func(_, v any) bool {
		if e := v.(*Endpoint); e.Function.Scope == s {
			list = append(list, e)
		}
		return true
	})
	slices.SortFunc(list, func(a, b *Endpoint) int {
		return cmp.Or(strings.Compare(a.Function.Name, b.Function.Name), strings.Compare(a.Qualifier, b.Qualifier))
	})
	return list
}

// SetURL gives a qualifier a URL, or another one, in a record that is about to be written.
func (rec *Record) SetURL(qualifier string, u URL) { rec.URLs = replaced(rec.URLs, qualifier, u) }

// RemoveURL takes it away.
func (rec *Record) RemoveURL(qualifier string) { rec.URLs = without(rec.URLs, qualifier) }

// indexURLs makes a function's URLs found by their ids. rec or old may be nil.
func (r *Registry) indexURLs(id faas.FunctionID, old, rec *Record) {
	var now map[string]URL
	if rec != nil {
		now = rec.URLs
	}
	kept := make(map[string]bool, len(now))
	for qualifier, u := range now {
		kept[u.ID] = true
		r.endpoints.Store(u.ID, &Endpoint{URL: u, Function: id, Qualifier: qualifier})
	}
	if old == nil {
		return
	}
	for _, u := range old.URLs {
		if !kept[u.ID] {
			r.endpoints.Delete(u.ID)
		}
	}
}
