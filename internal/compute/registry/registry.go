// Package registry is the book of functions: what is deployed under which name and version. Every change is one
// compare-and-set on the durable store, answered only when it is durable; reads come from memory.
package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// The kinds of key that the registry owns in the store.
const (
	kindFunction = "function" // name → record of $LATEST
	kindVersion  = "version"  // name:number → record of a published version, or that it was deleted
	kindNumber   = "number"   // name → the next version's number, of a function that was deleted
	kindLayer    = "layer"    // name → the next version's number of a layer
	kindContent  = "content"  // name:number → one version of a layer
)

// format is the version of the records' layout; a newer one is refused by the store's owner at start.
const format = 1

// StaleRevision is the message of a change whose stated revision is not the current one.
const StaleRevision = "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"

// Record is what is stored for one function or one of its published versions. A function's record holds its newest
// published version as well: so one write publishes. The version gets a record of its own before the next one is published.
type Record struct {
	Format  int          `json:"format"`
	Version faas.Version `json:"version"`
	Created time.Time    `json:"created"`

	// of $LATEST only
	First  int               `json:"first,omitempty"`  // number of the first published version; lower ones were a deleted function's
	Next   int               `json:"next,omitempty"`   // number of the next published version
	Newest *Record           `json:"newest,omitempty"` // the version before Next, if any
	Tags   map[string]string `json:"tags,omitempty"`
	Gone   []string          `json:"gone,omitempty"` // deleted versions whose own records may not say so yet

	Aliases  map[string]faas.Alias `json:"aliases,omitempty"`
	Policies map[string]Policy     `json:"policies,omitempty"` // by qualifier; "" is the function itself
	Async    map[string]Async      `json:"async,omitempty"`    // by qualifier; "" is the function itself
	Reserved *int                  `json:"reserved,omitempty"` // simultaneous executions that are the function's own
	Loops    bool                  `json:"loops,omitempty"`    // it may take part in loops of calls without end
	URLs     map[string]URL        `json:"urls,omitempty"`     // by alias; the function's own under the empty one
	// Provisions say of which qualifiers (versions and aliases) instances are kept ready.
	Provisions map[string]Provision `json:"provisions,omitempty"`

	// of a published version only
	Deleted bool `json:"deleted,omitempty"` // a number is never used again, so this stays

	rev     uint64
	scope   *standing
	running *atomic.Int64 // executions on places of the function's own
}

// standing is what a scope's functions share.
type standing struct {
	reserved atomic.Int64 // the sum of its functions' reservations
	running  atomic.Int64 // executions of those without one
}

// Store is what the registry needs of the durable store.
type Store interface {
	Create(ctx context.Context, key kv.Key, value []byte) (uint64, error)
	Update(ctx context.Context, key kv.Key, value []byte, rev uint64) (uint64, error)
	Delete(ctx context.Context, key kv.Key, rev uint64) error
	Get(key kv.Key) (kv.Entry, bool)
	Page(scope faas.Scope, kind, prefix, after string, limit int) (page []kv.Entry, more bool)
	Watch(kind string, fn func(kv.Entry, bool)) (stop func())
}

// Registry holds all functions of all scopes. Safe for concurrent use.
type Registry struct {
	store Store
	now   func() time.Time
	log   *slog.Logger

	functions sync.Map     // faas.FunctionID → *Record
	versions  sync.Map     // versionKey → *Record
	layers    sync.Map     // faas.LayerID → *Layer
	scopes    sync.Map     // faas.Scope → *standing
	handovers sync.Map     // handover → faas.Alias: as it was
	handing   atomic.Int64 // how many of them there are
	endpoints sync.Map     // id of a URL → *Endpoint
	changed   func(faas.VersionID)
	stops     []func()

	reserving sync.Mutex // one reservation at a time is weighed against the others and written
}

type versionKey struct {
	faas.FunctionID
	number string
}

// Open follows the store. changed is called, in order, with the id of every $LATEST that is new, replaced by another
// revision or in another state, or published under a new number, or whose instances that are kept ready may be others, and of every version that is deleted (then without revision); it must not block.
func Open(store Store, now func() time.Time, log *slog.Logger, changed func(faas.VersionID)) *Registry {
	r := &Registry{store: store, now: now, log: log, changed: changed}
	r.stops = append(r.stops, store.Watch(kindFunction, r.applyFunction), store.Watch(kindVersion, r.applyVersion),
		store.Watch(kindContent, r.applyLayer))
	return r
}

// Close stops following the store.
func (r *Registry) Close() {
	for _, stop := range r.stops {
		stop()
	}
}

func (r *Registry) applyFunction(e kv.Entry, deleted bool) {
	id := faas.FunctionID{Scope: e.Key.Scope, Name: e.Key.Name}
	var old *Record
	if v, ok := r.functions.Load(id); ok {
		old = v.(*Record)
	}
	if deleted {
		r.count(id, nil)
		r.handOver(id, old, nil)
		r.functions.Delete(id)
		r.indexURLs(id, old, nil)
		r.changed(faas.VersionID{FunctionID: id, Version: faas.Latest})
		return
	}
	rec, ok := r.decode(e)
	if !ok {
		return
	}
	r.count(id, rec)
	rec.scope, rec.running = r.scope(id.Scope), new(atomic.Int64)
	if old != nil {
		rec.running = old.running
	}
	r.handOver(id, old, rec)
	r.functions.Store(id, rec)
	r.indexURLs(id, old, rec)
	if old == nil || old.Version.ID != rec.Version.ID || old.Version.State != rec.Version.State || old.Next != rec.Next || len(old.Provisions)+len(rec.Provisions) > 0 {
		r.changed(rec.Version.ID)
	}
}

func (r *Registry) applyVersion(e kv.Entry, deleted bool) {
	name, number, _ := strings.Cut(e.Key.Name, ":")
	key := versionKey{faas.FunctionID{Scope: e.Key.Scope, Name: name}, number}
	if deleted {
		r.versions.Delete(key)
		r.changed(faas.VersionID{FunctionID: key.FunctionID, Version: number})
		return
	}
	if rec, ok := r.decode(e); ok {
		r.versions.Store(key, rec)
		if rec.Deleted {
			r.changed(faas.VersionID{FunctionID: key.FunctionID, Version: number})
		}
	}
}

// decode reads a record. One that cannot be read is told in the log and not shown; it stays as it is.
func (r *Registry) decode(e kv.Entry) (*Record, bool) {
	var rec Record
	err := json.Unmarshal(e.Value, &rec)
	if err == nil && rec.Format != format {
		err = fmt.Errorf("unknown format %d", rec.Format)
	}
	if err != nil {
		r.log.Error("read function record", "name", e.Key.Name, "account", e.Key.Scope.Account, "region", e.Key.Scope.Region, "error", err)
		return nil, false
	}
	rec.rev = e.Rev
	return &rec, true
}

// Get returns the record of a qualifier: Latest (or empty), a published number, or an alias, which means its first version. It
// is shared and read-only.
func (r *Registry) Get(id faas.FunctionID, qualifier string) (*Record, error) {
	v, ok := r.functions.Load(id)
	if !ok {
		return nil, notFound(id, qualifier)
	}
	if rec := r.qualified(v.(*Record), id, qualifier); rec != nil {
		return rec, nil
	}
	return nil, notFound(id, qualifier)
}

func notFound(id faas.FunctionID, qualifier string) error {
	arn := id.ARN()
	if qualifier != "" {
		arn += ":" + qualifier
	}
	return &faas.Error{Kind: faas.NotFound, Op: "find function", Message: "Function not found: " + arn}
}

// List returns up to limit functions of a scope by name, those after the name given. It takes time for what it returns, however
// many there are.
func (r *Registry) List(scope faas.Scope, after string, limit int) []*Record {
	var out []*Record
	for more := true; more && len(out) < limit; {
		var page []kv.Entry
		page, more = r.store.Page(scope, kindFunction, "", after, limit-len(out))
		for _, e := range page {
			after = e.Key.Name
			if rec, ok := r.functions.Load(faas.FunctionID{Scope: scope, Name: after}); ok { // else unreadable, or coming or going
				out = append(out, rec.(*Record))
			}
		}
	}
	return out
}

// Each calls fn for all functions of all scopes, in no order.
func (r *Registry) Each(fn func(*Record)) {
	r.functions.Range(func(_, rec any) bool { fn(rec.(*Record)); return true })
}

// Create makes a new function, and with publish its first version, which it returns then. Conflict when the name is taken.
func (r *Registry) Create(ctx context.Context, v faas.Version, tags map[string]string, publish bool) (*Record, error) {
	id := v.ID.FunctionID
	first := r.number(id)
	rec := &Record{Format: format, Version: v, First: first, Next: first, Tags: tags, Created: r.now()}
	set(&rec.Version, tags)
	r.stamp(&rec.Version)
	if publish {
		r.freeze(rec, "")
	}
	value, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	_, err = r.store.Create(ctx, functionKey(id), value)
	if faas.KindOf(err) == faas.Conflict {
		return nil, &faas.Error{Kind: faas.Conflict, Op: "create function", Message: "Function already exist: " + id.Name}
	}
	if err != nil {
		return nil, fmt.Errorf("create function: %w", err)
	}
	r.sweep(ctx, id, 1, first)
	if publish {
		return rec.Newest, nil
	}
	return rec, nil
}

// Update changes $LATEST by mutate, which works on a copy, and gives it a new revision. revision, when not empty, must be
// the current one. With publish, the same write publishes the result, and the published version is returned.
func (r *Registry) Update(ctx context.Context, id faas.FunctionID, revision string, publish bool, mutate func(*Record) error) (*Record, error) {
	rec, err := r.change(ctx, id, revision, func(rec *Record) error {
		if err := settled(&rec.Version); err != nil {
			return err
		}
		if err := mutate(rec); err != nil {
			return err
		}
		r.stamp(&rec.Version)
		if publish {
			return r.publish(ctx, rec, "")
		}
		return nil
	})
	if err != nil || !publish {
		return rec, err
	}
	return rec.Newest, nil
}

// Tag changes the tags of a function, which leaves its revision and its instances alone, but for those that are settings: that is
// a change of $LATEST.
func (r *Registry) Tag(ctx context.Context, id faas.FunctionID, mutate func(map[string]string) error) error {
	_, err := r.Configure(ctx, id, func(rec *Record) error {
		tags := make(map[string]string, len(rec.Tags))
		maps.Copy(tags, rec.Tags)
		rec.Tags = tags
		v := rec.Version
		if err := mutate(tags); err != nil || !set(&v, tags) {
			return err
		}
		if err := settled(&rec.Version); err != nil {
			return err
		}
		set(&rec.Version, tags)
		r.stamp(&rec.Version)
		return nil
	})
	return err
}

// set takes over what tags say about a version, and reports whether that is another thing than before.
func set(v *faas.Version, tags map[string]string) (changed bool) {
	internet, fork, concurrency := v.Internet, v.Fork, v.Concurrency
	v.Internet, v.Fork = tags[faas.InternetTag], tags[faas.ForkTag]
	v.Concurrency, _ = strconv.Atoi(tags[faas.ConcurrencyTag]) // the door has looked at it
	return v.Internet != internet || v.Fork != fork || v.Concurrency != concurrency
}

// configureTries bounds how often Configure starts over because another change of the record came first.
const configureTries = 16

// Configure changes what belongs to a function beside its code and configuration (aliases, permissions, URLs, limits): its
// revision and its instances stay. mutate works on a copy of the record whose maps and slices are shared with the one in
// force, so it replaces what it changes; it may run more than once. Its error leaves all as it was.
func (r *Registry) Configure(ctx context.Context, id faas.FunctionID, mutate func(*Record) error) (*Record, error) {
	for try := 1; ; try++ {
		var refused error
		rec, err := r.change(ctx, id, "", func(rec *Record) error { refused = mutate(rec); return refused })
		if refused != nil || faas.KindOf(err) != faas.Conflict || try == configureTries {
			return rec, err
		}
		if err := pause(ctx, try); err != nil {
			return nil, err
		}
	}
}

// pause waits a while before what came second starts over: those who came at once would meet again.
func pause(ctx context.Context, try int) error {
	select {
	case <-time.After(rand.N(time.Millisecond << min(try, 6))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// change writes a function's record anew, unless another did so meanwhile. fn works on a copy.
func (r *Registry) change(ctx context.Context, id faas.FunctionID, revision string, fn func(*Record) error) (*Record, error) {
	old, err := r.Get(id, "")
	if err != nil {
		return nil, err
	}
	if revision != "" && revision != old.Version.ID.Revision {
		return nil, &faas.Error{Kind: faas.Precondition, Op: "update function", Message: StaleRevision}
	}
	rec := *old
	if err := fn(&rec); err != nil {
		return nil, err
	}
	value, err := json.Marshal(&rec)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	if _, err := r.store.Update(ctx, functionKey(id), value, old.rev); err != nil {
		return nil, inProgress(err, id)
	}
	return &rec, nil
}

// inProgress is the error of a write that came second, in the words of Lambda's API.
func inProgress(err error, id faas.FunctionID) error {
	if faas.KindOf(err) == faas.Conflict {
		return &faas.Error{Kind: faas.Conflict, Op: "update function", Cause: err,
			Message: "The operation cannot be performed at this time. An update is in progress for resource: " + id.ARN()}
	}
	return fmt.Errorf("update function: %w", err)
}

// Delete removes a function with all its versions, or one published version.
func (r *Registry) Delete(ctx context.Context, id faas.FunctionID, qualifier string) error {
	rec, err := r.Get(id, "")
	if err != nil {
		return err
	}
	if qualifier != "" && qualifier != faas.Latest {
		return r.deleteVersion(ctx, id, qualifier)
	}
	if err := r.keepNumber(ctx, id, rec.Next); err != nil {
		return inProgress(err, id)
	}
	if err := r.store.Delete(ctx, functionKey(id), rec.rev); err != nil {
		return inProgress(err, id)
	}
	r.sweep(ctx, id, rec.First, rec.Next)
	return nil
}

// References returns the names of all content that some function, version or layer uses. Functions are read before versions,
// so that a version on its way from one to the other is seen.
func (r *Registry) References() map[string]bool {
	used := make(map[string]bool)
	use := func(v *faas.Version) {
		for _, sha := range v.Needs() {
			used[sha] = true
		}
	}
	for _, m := range []*sync.Map{&r.functions, &r.versions} {
		m.Range(func(_, v any) bool {
			rec := v.(*Record)
			if !rec.Deleted {
				use(&rec.Version)
			}
			if rec.Newest != nil {
				use(&rec.Newest.Version)
			}
			return true
		})
	}
	r.layers.Range(func(_, l any) bool {
		used[l.(*Layer).Code.SHA256] = true
		return true
	})
	return used
}

func (r *Registry) stamp(v *faas.Version) {
	v.ID.Version = faas.Latest
	v.ID.Revision = faas.NewUUID()
	v.Modified = r.now()
}

func functionKey(id faas.FunctionID) kv.Key {
	return kv.Key{Scope: id.Scope, Kind: kindFunction, Name: id.Name}
}
