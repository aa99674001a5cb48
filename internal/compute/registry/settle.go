package registry

import (
	"context"
	"encoding/json"
	"fmt"

	"artesian/internal/faas"
)

// Standing is where a version stands, and where its last update does. Reasons and codes are for people and for tools; both
// are empty when there is nothing to say.
type Standing struct {
	State        faas.State // Pending, Active or Failed
	Reason, Code string
	Update       faas.State // InProgress, Successful or Failed
	UpdateReason string
	UpdateCode   string
}

func (s Standing) apply(v *faas.Version) {
	v.State, v.StateReason, v.StateCode = s.State, s.Reason, s.Code
	v.Update, v.UpdateReason, v.UpdateCode = s.Update, s.UpdateReason, s.UpdateCode
}

// unsettled reports whether something about v is still under way.
func unsettled(v *faas.Version) bool { return v.State == faas.Pending || v.Update == faas.InProgress }

// Settle says how what was Pending or InProgress came out, without a new revision: instances stay. The revision in id must be
// the current one (Precondition otherwise: a newer update has a standing of its own). Settling $LATEST settles the version that
// was published by the same write first, so a $LATEST that is settled leaves nothing of it behind but the wait for an image.
func (r *Registry) Settle(ctx context.Context, id faas.VersionID, s Standing) error {
	rec, err := r.Get(id.FunctionID, id.Version)
	if err != nil {
		return err
	}
	if rec.Version.ID.Revision != id.Revision {
		return stale()
	}
	if id.Version != faas.Latest {
		return r.settleVersion(ctx, rec, s)
	}
	if n := rec.Newest; n != nil && n.Version.Modified.Equal(rec.Version.Modified) {
		if v := r.published(rec, id.FunctionID, n.Version.ID.Version); v != nil && unsettled(&v.Version) {
			published := s
			if v.Version.SnapStart && s.State == faas.Active {
				published = imaging
			}
			if err := r.settleVersion(ctx, v, published); err != nil {
				return err
			}
		}
	}
	_, err = r.Configure(ctx, id.FunctionID, func(rec *Record) error {
		if rec.Version.ID.Revision != id.Revision {
			return stale()
		}
		s.apply(&rec.Version)
		return nil
	})
	return err
}

func stale() error {
	return &faas.Error{Kind: faas.Precondition, Op: "settle version", Message: StaleRevision}
}

// settleVersion writes into the version's own record, which it makes first: the copy in the function's record stays what it was.
func (r *Registry) settleVersion(ctx context.Context, v *Record, s Standing) error {
	id := v.Version.ID
	if err := r.keep(ctx, v); err != nil {
		return err
	}
	own, ok := r.versions.Load(versionKey{id.FunctionID, id.Version})
	if !ok || own.(*Record).Deleted {
		return notFound(id.FunctionID, id.Version)
	}
	rec := *own.(*Record)
	s.apply(&rec.Version)
	value, err := json.Marshal(&rec)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	if _, err := r.store.Update(ctx, keyOf(id.FunctionID, id.Version), value, rec.rev); err != nil {
		return inProgress(err, id.FunctionID)
	}
	return nil
}

// settled refuses a change of a function whose last one is still under way, in the words of Lambda's API.
func settled(v *faas.Version) error {
	if v.State == faas.Pending {
		return &faas.Error{Kind: faas.Conflict, Op: "update function",
			Message: "The operation cannot be performed at this time. The function is currently in the following state: Pending"}
	}
	if v.Update == faas.InProgress {
		return inProgress(&faas.Error{Kind: faas.Conflict, Message: "an update is in progress"}, v.ID.FunctionID)
	}
	return nil
}
