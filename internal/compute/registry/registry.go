// Package registry is the book of functions: what is deployed under which name and version. Every change is one
// compare-and-set on the durable store, answered only when it is durable; reads come from memory.
package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// The kinds of key that the registry owns in the store.
const (
	kindFunction = "function" // name → record of $LATEST
	kindVersion  = "version"  // name:number → record of a published version
)

// format is the version of the records' layout; a newer one is refused by the store's owner at start.
const format = 1

// StaleRevision is the message of a change whose stated revision is not the current one.
const StaleRevision = "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"

// Record is what is stored for one function or one of its published versions.
type Record struct {
	Format  int               `json:"format"`
	Version faas.Version      `json:"version"`
	Next    int               `json:"next,omitempty"` // number of the next published version; $LATEST only
	Tags    map[string]string `json:"tags,omitempty"` // $LATEST only
	Created time.Time         `json:"created"`

	rev uint64
}

// Store is what the registry needs of the durable store.
type Store interface {
	Create(ctx context.Context, key kv.Key, value []byte) (uint64, error)
	Update(ctx context.Context, key kv.Key, value []byte, rev uint64) (uint64, error)
	Delete(ctx context.Context, key kv.Key, rev uint64) error
	Watch(kind string, fn func(kv.Entry, bool)) (stop func())
}

// Registry holds all functions of all scopes. Safe for concurrent use.
type Registry struct {
	store Store
	now   func() time.Time
	log   *slog.Logger

	functions sync.Map // faas.FunctionID → *Record
	versions  sync.Map // versionKey → *Record
	changed   func(faas.VersionID)
	stops     []func()
}

type versionKey struct {
	faas.FunctionID
	number string
}

// Open follows the store. changed is called, in order, with the id of every $LATEST that is new, replaced by another
// revision, or deleted (then without revision); it must not block.
func Open(store Store, now func() time.Time, log *slog.Logger, changed func(faas.VersionID)) *Registry {
	r := &Registry{store: store, now: now, log: log, changed: changed}
	r.stops = append(r.stops, store.Watch(kindFunction, r.applyFunction), store.Watch(kindVersion, r.applyVersion))
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
	if deleted {
		r.functions.Delete(id)
		r.changed(faas.VersionID{FunctionID: id, Version: faas.Latest})
		return
	}
	rec, ok := r.decode(e)
	if !ok {
		return
	}
	r.functions.Store(id, rec)
	r.changed(rec.Version.ID)
}

func (r *Registry) applyVersion(e kv.Entry, deleted bool) {
	name, number, _ := strings.Cut(e.Key.Name, ":")
	key := versionKey{faas.FunctionID{Scope: e.Key.Scope, Name: name}, number}
	if deleted {
		r.versions.Delete(key)
		return
	}
	if rec, ok := r.decode(e); ok {
		r.versions.Store(key, rec)
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

// Resolve finds what a qualifier means: Latest (or empty) or a published number. The result is shared and read-only.
func (r *Registry) Resolve(id faas.FunctionID, qualifier string) (*faas.Version, error) {
	rec, err := r.Get(id, qualifier)
	if err != nil {
		return nil, err
	}
	return &rec.Version, nil
}

// Get returns the record of a qualifier. It is shared and read-only.
func (r *Registry) Get(id faas.FunctionID, qualifier string) (*Record, error) {
	v, ok := r.functions.Load(id)
	if !ok {
		return nil, notFound(id, qualifier)
	}
	rec := v.(*Record)
	if qualifier == "" || qualifier == faas.Latest {
		return rec, nil
	}
	v, ok = r.versions.Load(versionKey{id, qualifier})
	if n, err := strconv.Atoi(qualifier); !ok || err != nil || n >= rec.Next {
		return nil, notFound(id, qualifier)
	}
	return v.(*Record), nil
}

func notFound(id faas.FunctionID, qualifier string) error {
	arn := id.ARN()
	if qualifier != "" {
		arn += ":" + qualifier
	}
	return &faas.Error{Kind: faas.NotFound, Op: "find function", Message: "Function not found: " + arn}
}

// List returns up to limit functions of a scope by name, those after the name given.
func (r *Registry) List(scope faas.Scope, after string, limit int) []*Record {
	var out []*Record
	r.functions.Range(func(k, v any) bool {
		if id := k.(faas.FunctionID); id.Scope == scope && id.Name > after {
			out = append(out, v.(*Record))
		}
		return true
	})
	sort.Slice(out, func(i, j int) bool { return out[i].Version.ID.Name < out[j].Version.ID.Name })
	return out[:min(limit, len(out))]
}

// Versions returns $LATEST and the published versions of a function by number.
func (r *Registry) Versions(id faas.FunctionID) ([]*Record, error) {
	latest, err := r.Get(id, "")
	if err != nil {
		return nil, err
	}
	out := []*Record{latest}
	for n := 1; n < latest.Next; n++ {
		if rec, err := r.Get(id, strconv.Itoa(n)); err == nil {
			out = append(out, rec)
		}
	}
	return out, nil
}

// Create publishes a new function. Conflict when the name is taken.
func (r *Registry) Create(ctx context.Context, v faas.Version, tags map[string]string) (*Record, error) {
	rec := &Record{Format: format, Version: v, Next: 1, Tags: tags, Created: r.now()}
	r.stamp(&rec.Version)
	value, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	_, err = r.store.Create(ctx, functionKey(v.ID.FunctionID), value)
	if faas.KindOf(err) == faas.Conflict {
		return nil, &faas.Error{Kind: faas.Conflict, Op: "create function", Message: "Function already exist: " + v.ID.Name}
	}
	if err != nil {
		return nil, fmt.Errorf("create function: %w", err)
	}
	return rec, nil
}

// Update changes $LATEST by mutate, which works on a copy. revision, when not empty, must be the current one. The new
// record has a new revision.
func (r *Registry) Update(ctx context.Context, id faas.FunctionID, revision string, mutate func(*Record) error) (*Record, error) {
	old, err := r.Get(id, "")
	if err != nil {
		return nil, err
	}
	if revision != "" && revision != old.Version.ID.Revision {
		return nil, &faas.Error{Kind: faas.Precondition, Op: "update function", Message: StaleRevision}
	}
	rec := *old
	if err := mutate(&rec); err != nil {
		return nil, err
	}
	r.stamp(&rec.Version)
	if err := r.put(ctx, &rec); err != nil {
		return nil, err
	}
	return &rec, nil
}

// Tag changes the tags of a function, which leaves its revision and its instances alone.
func (r *Registry) Tag(ctx context.Context, id faas.FunctionID, mutate func(map[string]string) error) error {
	old, err := r.Get(id, "")
	if err != nil {
		return err
	}
	rec := *old
	rec.Tags = make(map[string]string, len(old.Tags))
	for k, v := range old.Tags {
		rec.Tags[k] = v
	}
	if err := mutate(rec.Tags); err != nil {
		return err
	}
	return r.put(ctx, &rec)
}

func (r *Registry) put(ctx context.Context, rec *Record) error {
	value, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	_, err = r.store.Update(ctx, functionKey(rec.Version.ID.FunctionID), value, rec.rev)
	if faas.KindOf(err) == faas.Conflict {
		return &faas.Error{Kind: faas.Conflict, Op: "update function",
			Message: "The operation cannot be performed at this time. An update is in progress for resource: " + rec.Version.ID.FunctionID.ARN()}
	}
	if err != nil {
		return fmt.Errorf("update function: %w", err)
	}
	return nil
}

// Publish freezes $LATEST under the next number. When nothing changed since the last published version, that one is
// returned. The number counts only once $LATEST's record says so, so a crash in between leaves nothing half visible.
func (r *Registry) Publish(ctx context.Context, id faas.FunctionID, revision, codeSHA256, description string) (*Record, error) {
	latest, err := r.Get(id, "")
	if err != nil {
		return nil, err
	}
	if revision != "" && revision != latest.Version.ID.Revision {
		return nil, &faas.Error{Kind: faas.Precondition, Op: "publish version", Message: StaleRevision}
	}
	if codeSHA256 != "" && codeSHA256 != latest.Version.Code.SHA256 {
		return nil, &faas.Error{Kind: faas.Invalid, Op: "publish version",
			Message: "CodeSHA256 does not match the SHA256 of the function's code"}
	}
	if last, err := r.Get(id, strconv.Itoa(latest.Next-1)); err == nil && sameDeployment(last.Version, latest.Version) {
		return last, nil
	}
	rec := &Record{Format: format, Version: latest.Version, Created: r.now()}
	rec.Version.ID.Version = strconv.Itoa(latest.Next)
	rec.Version.ID.Revision = faas.NewUUID()
	if description != "" {
		rec.Version.Description = description
	}
	value, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	key := kv.Key{Scope: id.Scope, Kind: kindVersion, Name: id.Name + ":" + rec.Version.ID.Version}
	if _, err := r.store.Create(ctx, key, value); faas.KindOf(err) == faas.Conflict {
		// left by a publish that did not finish: replace it
		v, ok := r.versions.Load(versionKey{id, rec.Version.ID.Version})
		if !ok {
			return nil, fmt.Errorf("publish version: %w", err)
		}
		if _, err := r.store.Update(ctx, key, value, v.(*Record).rev); err != nil {
			return nil, fmt.Errorf("publish version: %w", err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("publish version: %w", err)
	}
	next := *latest
	next.Next++
	if err := r.put(ctx, &next); err != nil {
		return nil, err
	}
	return rec, nil
}

func sameDeployment(a, b faas.Version) bool {
	for _, v := range []*faas.Version{&a, &b} {
		v.ID, v.Description, v.Modified = faas.VersionID{}, "", time.Time{}
	}
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

// Delete removes a function with all its versions, or one published version.
func (r *Registry) Delete(ctx context.Context, id faas.FunctionID, qualifier string) error {
	rec, err := r.Get(id, qualifier)
	if err != nil {
		return err
	}
	if qualifier != "" && qualifier != faas.Latest {
		return r.store.Delete(ctx, kv.Key{Scope: id.Scope, Kind: kindVersion, Name: id.Name + ":" + qualifier}, rec.rev)
	}
	if err := r.store.Delete(ctx, functionKey(id), rec.rev); err != nil {
		return fmt.Errorf("delete function: %w", err)
	}
	for n := 1; n <= rec.Next; n++ { // the function is gone already; what is left of a crash here is swept at its next creation
		if v, ok := r.versions.Load(versionKey{id, strconv.Itoa(n)}); ok {
			key := kv.Key{Scope: id.Scope, Kind: kindVersion, Name: id.Name + ":" + strconv.Itoa(n)}
			if err := r.store.Delete(ctx, key, v.(*Record).rev); err != nil {
				return fmt.Errorf("delete version %d: %w", n, err)
			}
		}
	}
	return nil
}

// References returns every code hash that some function or version uses.
func (r *Registry) References() map[string]bool {
	used := make(map[string]bool)
	for _, m := range []*sync.Map{&r.functions, &r.versions} {
		m.Range(func(_, v any) bool {
			used[v.(*Record).Version.Code.SHA256] = true
			return true
		})
	}
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
