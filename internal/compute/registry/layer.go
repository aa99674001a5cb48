package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// Layer is what is stored for one version of a layer. Only its permissions ever change.
type Layer struct {
	Format        int          `json:"format"`
	ID            faas.LayerID `json:"id"`
	Description   string       `json:"description,omitempty"`
	License       string       `json:"license,omitempty"`
	Code          faas.Code    `json:"code"`
	Runtimes      []string     `json:"runtimes,omitempty"`
	Architectures []string     `json:"architectures,omitempty"`
	Created       time.Time    `json:"created"`
	Grants        []Grant      `json:"grants,omitempty"`
	Revision      string       `json:"revision,omitempty"` // of the grants

	rev uint64
}

// Grant lets others than the owner use a layer version.
type Grant struct {
	ID           string `json:"id"`
	Action       string `json:"action"`
	Principal    string `json:"principal"` // an account, its root's ARN, or *
	Organization string `json:"organization,omitempty"`
}

// layerNumber is the record of a layer's name.
type layerNumber struct {
	Format int   `json:"format"`
	Next   int64 `json:"next"`
}

func (r *Registry) applyLayer(e kv.Entry, deleted bool) {
	name, number, _ := strings.Cut(e.Key.Name, ":")
	n, _ := strconv.ParseInt(number, 10, 64) // we wrote it
	id := faas.LayerID{Scope: e.Key.Scope, Name: name, Version: n}
	if deleted {
		r.layers.Delete(id)
		return
	}
	var l Layer
	err := json.Unmarshal(e.Value, &l)
	if err == nil && l.Format != format {
		err = fmt.Errorf("unknown format %d", l.Format)
	}
	if err != nil {
		r.log.Error("read layer record", "name", e.Key.Name, "account", id.Account, "region", id.Region, "error", err)
		return
	}
	l.rev = e.Rev
	r.layers.Store(id, &l)
}

// PublishLayer stores l under the next number of its name, which it returns in the record. The number is taken first: a publish
// that is cut off leaves a gap and nothing else.
func (r *Registry) PublishLayer(ctx context.Context, l Layer) (*Layer, error) {
	n, err := r.takeLayerNumber(ctx, l.ID)
	if err != nil {
		return nil, err
	}
	l.Format, l.ID.Version, l.Created = format, n, r.now()
	value, err := json.Marshal(&l)
	if err != nil {
		return nil, fmt.Errorf("encode layer: %w", err)
	}
	if _, err := r.store.Create(ctx, contentKey(l.ID), value); err != nil {
		return nil, fmt.Errorf("publish layer: %w", err)
	}
	return &l, nil
}

// takeLayerNumber claims the next number of a layer, durably.
func (r *Registry) takeLayerNumber(ctx context.Context, id faas.LayerID) (int64, error) {
	for try := 1; ; try++ {
		var err error
		e, ok := r.store.Get(layerKey(id))
		next := r.nextLayer(id)
		value, _ := json.Marshal(layerNumber{Format: format, Next: next + 1}) // two numbers
		if ok {
			_, err = r.store.Update(ctx, layerKey(id), value, e.Rev)
		} else {
			_, err = r.store.Create(ctx, layerKey(id), value)
		}
		if err == nil {
			return next, nil
		}
		if faas.KindOf(err) != faas.Conflict || try == configureTries {
			return 0, fmt.Errorf("number layer: %w", err)
		}
		if err := pause(ctx, try); err != nil {
			return 0, err
		}
	}
}

// nextLayer is the number that a layer's next version gets.
func (r *Registry) nextLayer(id faas.LayerID) int64 {
	n := layerNumber{Next: 1}
	if e, ok := r.store.Get(layerKey(id)); ok {
		_ = json.Unmarshal(e.Value, &n) // we wrote it
	}
	return n.Next
}

// Layer returns a version of a layer; NotFound when there is none. It is shared and read-only.
func (r *Registry) Layer(id faas.LayerID) (*Layer, error) {
	if l, ok := r.layers.Load(id); ok {
		return l.(*Layer), nil
	}
	return nil, &faas.Error{Kind: faas.NotFound, Op: "find layer", Message: "The resource you requested does not exist."}
}

// LayerVersions calls fn with the versions of a layer that are numbered below before, the newest first, until it returns false.
// before 0 is all.
func (r *Registry) LayerVersions(scope faas.Scope, name string, before int64, fn func(*Layer) bool) {
	id := faas.LayerID{Scope: scope, Name: name}
	if next := r.nextLayer(id); before <= 0 || before > next {
		before = next
	}
	for id.Version = before - 1; id.Version > 0; id.Version-- {
		if l, ok := r.layers.Load(id); ok && !fn(l.(*Layer)) {
			return
		}
	}
}

// LayerNames calls fn with the names of a scope's layers behind after, in order, until it returns false. All versions of one may
// be deleted.
func (r *Registry) LayerNames(scope faas.Scope, after string, fn func(name string) bool) {
	for more := true; more; {
		var page []kv.Entry
		page, more = r.store.Page(scope, kindLayer, "", after, 100)
		for _, e := range page {
			if after = e.Key.Name; !fn(after) {
				return
			}
		}
	}
}

// DeleteLayer removes a version of a layer; one that is not there is fine. Functions that have it keep its content.
func (r *Registry) DeleteLayer(ctx context.Context, id faas.LayerID) error {
	for try := 1; ; try++ {
		l, err := r.Layer(id)
		if err != nil {
			return nil
		}
		if err = r.store.Delete(ctx, contentKey(id), l.rev); err == nil {
			return nil
		}
		if faas.KindOf(err) != faas.Conflict || try == configureTries {
			return fmt.Errorf("delete layer: %w", err)
		}
	}
}

// GrantLayer changes the permissions of a layer version by mutate, which returns the new list and works on no shared one.
// revision, when not empty, must be the current one.
func (r *Registry) GrantLayer(ctx context.Context, id faas.LayerID, revision string, mutate func([]Grant) ([]Grant, error)) (*Layer, error) {
	for try := 1; ; try++ {
		old, err := r.Layer(id)
		if err != nil {
			return nil, err
		}
		if revision != "" && revision != old.Revision {
			return nil, &faas.Error{Kind: faas.Precondition, Op: "change permissions of a layer", Message: "The Revision Id provided does not match the latest " +
				"Revision Id. Call the GetLayerPolicy API to retrieve the latest Revision Id"}
		}
		l := *old
		if l.Grants, err = mutate(old.Grants); err != nil {
			return nil, err
		}
		l.Revision = faas.NewUUID()
		value, err := json.Marshal(&l)
		if err != nil {
			return nil, fmt.Errorf("encode layer: %w", err)
		}
		if _, err = r.store.Update(ctx, contentKey(id), value, old.rev); err == nil {
			return &l, nil
		}
		if faas.KindOf(err) != faas.Conflict || try == configureTries {
			return nil, fmt.Errorf("change permissions of a layer: %w", err)
		}
	}
}

// Readable reports whether functions of account may use the layer version. What is granted to an organisation only is not: no
// account here belongs to one.
func (l *Layer) Readable(account string) bool {
	if account == l.ID.Account {
		return true
	}
	for _, g := range l.Grants {
		if g.Organization == "" && (g.Principal == "*" || g.Principal == account || strings.HasSuffix(g.Principal, "::"+account+":root")) {
			return true
		}
	}
	return false
}

func layerKey(id faas.LayerID) kv.Key {
	return kv.Key{Scope: id.Scope, Kind: kindLayer, Name: id.Name}
}

func contentKey(id faas.LayerID) kv.Key {
	return kv.Key{Scope: id.Scope, Kind: kindContent, Name: id.Name + ":" + strconv.FormatInt(id.Version, 10)}
}
