package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

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

// published finds the version number of a function whose record is latest; nil when there is none.
func (r *Registry) published(latest *Record, id faas.FunctionID, number string) *Record {
	n, err := strconv.Atoi(number)
	if err != nil || strconv.Itoa(n) != number || n < latest.First || n >= latest.Next || slices.Contains(latest.Gone, number) {
		return nil
	}
	if v, ok := r.versions.Load(versionKey{id, number}); ok {
		if rec := v.(*Record); !rec.Deleted {
			return rec
		}
		return nil
	}
	if newest := latest.Newest; newest != nil && newest.Version.ID.Version == number {
		return newest
	}
	return nil
}

// Publish freezes $LATEST under the next number. When nothing changed since the last published version, that one is
// returned. revision and codeSHA256, when not empty, must be the current ones.
func (r *Registry) Publish(ctx context.Context, id faas.FunctionID, revision, codeSHA256, description string) (*Record, error) {
	latest, err := r.Get(id, "")
	if err != nil {
		return nil, err
	}
	if codeSHA256 != "" && codeSHA256 != latest.Version.Code.SHA256 {
		return nil, &faas.Error{Kind: faas.Invalid, Op: "publish version",
			Message: "CodeSHA256 does not match the SHA256 of the function's code"}
	}
	if (revision == "" || revision == latest.Version.ID.Revision) && r.unchanged(latest) {
		return r.newest(latest), nil
	}
	rec, err := r.change(ctx, id, revision, func(rec *Record) error {
		if err := settled(&rec.Version); err != nil {
			return err
		}
		if codeSHA256 != "" && codeSHA256 != rec.Version.Code.SHA256 { // updated since
			return inProgress(faas.Errorf(faas.Conflict, "the code changed"), id)
		}
		return r.publish(ctx, rec, description)
	})
	if err != nil {
		return nil, err
	}
	return r.newest(rec), nil
}

// newest is the newest version of a function as it stands: the copy in the function's record stays what it was when it was published.
func (r *Registry) newest(rec *Record) *Record {
	if v := r.published(rec, rec.Version.ID.FunctionID, rec.Newest.Version.ID.Version); v != nil {
		return v
	}
	return rec.Newest
}

// unchanged tells that the newest version is there and is what would be published.
func (r *Registry) unchanged(rec *Record) bool {
	return rec.Newest != nil && sameDeployment(rec.Newest.Version, rec.Version) &&
		r.published(rec, rec.Version.ID.FunctionID, rec.Newest.Version.ID.Version) != nil
}

// publish makes rec, which is about to be written, hold $LATEST as its newest version. The one before gets its own record first.
func (r *Registry) publish(ctx context.Context, rec *Record, description string) error {
	if r.unchanged(rec) {
		return nil
	}
	if err := r.keep(ctx, rec.Newest); err != nil {
		return err
	}
	r.freeze(rec, description)
	return nil
}

// imaging is where a version stands until its image is made.
var imaging = Standing{State: faas.Pending, Code: "Creating", Reason: "SnapStart: the version is being initialised, and an image is made of it.", Update: faas.Successful}

// Restoring is where a version stands that was Inactive and waits for its image again.
var Restoring = Standing{State: faas.Pending, Code: "Restoring", Reason: "SnapStart: the version was idle, and an image is made of it again.", Update: faas.Successful}

// Imaging reports whether all that a version waits for is its image.
func Imaging(v *faas.Version) bool {
	return v.SnapStart && v.ID.Version != faas.Latest && v.State == faas.Pending && (v.StateReason == imaging.Reason || v.StateReason == Restoring.Reason)
}

// freeze copies $LATEST into rec's newest version under the next number.
func (r *Registry) freeze(rec *Record, description string) {
	v := &Record{Format: format, Version: rec.Version, Created: r.now()}
	v.Version.ID.Version = strconv.Itoa(rec.Next)
	v.Version.ID.Revision = faas.NewUUID()
	switch {
	case !v.Version.SnapStart || v.Version.State != faas.Active:
	case v.Version.Update == faas.InProgress: // what its image has to be made of is not here yet
		v.Version.State, v.Version.StateReason, v.Version.StateCode = faas.Pending, v.Version.UpdateReason, v.Version.UpdateCode
	default:
		imaging.apply(&v.Version)
	}
	if description != "" {
		v.Version.Description = description
	}
	rec.Newest = v
	rec.Next++
}

// keep writes a published version's own record, unless it has one. Only what the function's record held is ever written
// under a number, so whoever else does so writes the same.
func (r *Registry) keep(ctx context.Context, v *Record) error {
	if v == nil {
		return nil
	}
	if _, ok := r.versions.Load(versionKey{v.Version.ID.FunctionID, v.Version.ID.Version}); ok {
		return nil
	}
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	if _, err := r.store.Create(ctx, keyOf(v.Version.ID.FunctionID, v.Version.ID.Version), value); err != nil && faas.KindOf(err) != faas.Conflict {
		return fmt.Errorf("keep version: %w", err)
	}
	return nil
}

// deleteVersion deletes a version by noting it in the function's record, unless an alias serves it. The version's own record
// says so afterwards; what could not be written then, the next deletion writes.
func (r *Registry) deleteVersion(ctx context.Context, id faas.FunctionID, number string) error {
	rec, err := r.Configure(ctx, id, func(rec *Record) error {
		if r.published(rec, id, number) == nil {
			return notFound(id, number)
		}
		var names []string
		for name, a := range rec.Aliases {
			if a.Serves(number) {
				names = append(names, name)
			}
		}
		if slices.Sort(names); len(names) > 0 {
			return &faas.Error{Kind: faas.Conflict, Op: "delete version", Message: fmt.Sprintf(
				"Unable to delete version because the following aliases reference it: [%s]", strings.Join(names, ", "))}
		}
		rec.Gone = append(slices.DeleteFunc(slices.Clone(rec.Gone), func(n string) bool { return r.buried(id, n) }), number)
		rec.forget(number)
		return nil
	})
	if err != nil {
		return err
	}
	for _, n := range rec.Gone {
		if err := r.bury(ctx, rec, id, n); err != nil {
			r.log.LogAttrs(ctx, slog.LevelWarn, "mark a deleted version", slog.String("function", id.ARN()), slog.String("version", n), slog.Any("error", err))
		}
	}
	return nil
}

// buried reports whether a version's own record says that it is deleted.
func (r *Registry) buried(id faas.FunctionID, number string) bool {
	own, ok := r.versions.Load(versionKey{id, number})
	return ok && own.(*Record).Deleted
}

// bury writes into a version's own record that it is deleted.
func (r *Registry) bury(ctx context.Context, latest *Record, id faas.FunctionID, number string) error {
	if newest := latest.Newest; newest != nil && newest.Version.ID.Version == number {
		if err := r.keep(ctx, newest); err != nil {
			return err
		}
	}
	own, ok := r.versions.Load(versionKey{id, number})
	if !ok || own.(*Record).Deleted {
		return nil
	}
	value, err := json.Marshal(&Record{Format: format, Deleted: true, Created: r.now()})
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	_, err = r.store.Update(ctx, keyOf(id, number), value, own.(*Record).rev)
	return err
}

// number is where the versions of a new function begin: numbers are not used again, even by another function of the name
// (https://docs.aws.amazon.com/lambda/latest/dg/versioning-intro.html).
func (r *Registry) number(id faas.FunctionID) int {
	if e, ok := r.store.Get(numberKey(id)); ok {
		if n, err := strconv.Atoi(string(e.Value)); err == nil {
			return n
		}
	}
	return 1
}

// keepNumber remembers the next version's number beyond the function's end.
func (r *Registry) keepNumber(ctx context.Context, id faas.FunctionID, next int) error {
	if next == r.number(id) {
		return nil
	}
	key, value := numberKey(id), []byte(strconv.Itoa(next))
	if e, ok := r.store.Get(key); ok {
		_, err := r.store.Update(ctx, key, value, e.Rev)
		return err
	}
	_, err := r.store.Create(ctx, key, value)
	return err
}

// sweep removes the records of versions from one number to below another. They are out of sight already: what it can't
// remove now, it removes when the function is next created.
func (r *Registry) sweep(ctx context.Context, id faas.FunctionID, from, below int) {
	for n := from; n < below; n++ {
		v, ok := r.versions.Load(versionKey{id, strconv.Itoa(n)})
		if !ok {
			continue
		}
		if err := r.store.Delete(ctx, keyOf(id, strconv.Itoa(n)), v.(*Record).rev); err != nil {
			r.log.LogAttrs(ctx, slog.LevelWarn, "remove record of a deleted version", slog.String("function", id.ARN()), slog.Any("error", err))
			return
		}
	}
}

func sameDeployment(a, b faas.Version) bool {
	for _, v := range []*faas.Version{&a, &b} {
		v.ID, v.Description, v.Modified = faas.VersionID{}, "", time.Time{}
		Standing{}.apply(v)
	}
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func keyOf(id faas.FunctionID, number string) kv.Key {
	return kv.Key{Scope: id.Scope, Kind: kindVersion, Name: id.Name + ":" + number}
}

func numberKey(id faas.FunctionID) kv.Key {
	return kv.Key{Scope: id.Scope, Kind: kindNumber, Name: id.Name}
}
