package registry_test

import (
	"errors"
	"testing"

	"artesian/internal/compute/registry"
	"artesian/internal/faas"
)

// TestSettle lets a function that was created and published Pending become Active, cut after every write on the way.
func TestSettle(t *testing.T) {
	c := &cut{left: 100}
	f, rec := open(t, t.TempDir(), func(s registry.Store) registry.Store { c.Store = s; return c }), must[*registry.Record](t)
	v := version("f", "a")
	v.State, v.StateReason, v.StateCode = faas.Pending, "being installed", "Creating"
	rec(f.reg.Create(t.Context(), v, nil, true))
	latest := rec(f.reg.Get(function("f"), "")).Version.ID

	unchanged := func(*registry.Record) error { return nil }
	if _, err := f.reg.Update(t.Context(), function("f"), "", false, unchanged); faas.KindOf(err) != faas.Conflict {
		t.Errorf("update of a pending function: %v", err)
	}

	done := registry.Standing{State: faas.Active, Update: faas.Successful}
	for i, left := range []int{0, 1, 1} { // the version gets its record, its standing, the function its own
		c.left = left
		if err := f.reg.Settle(t.Context(), latest, done); !errors.Is(err, errCut) {
			t.Fatalf("with %d writes: %v", left, err)
		}
		if got := rec(f.reg.Get(function("f"), "")).Version; got.State != faas.Pending {
			t.Fatalf("$LATEST is %s before all is settled", got.State)
		}
		if got, want := rec(f.reg.Get(function("f"), "1")).Version.State, map[int]faas.State{0: faas.Pending, 1: faas.Pending, 2: faas.Active}[i]; got != want {
			t.Fatalf("version 1 is %s, not %s", got, want)
		}
	}
	c.left = 100
	if err := f.reg.Settle(t.Context(), latest, done); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"", "1"} {
		got := rec(f.reg.Get(function("f"), q)).Version
		if got.State != faas.Active || got.StateReason != "" || got.Update != faas.Successful {
			t.Errorf("%q is %s, %q", q, got.State, got.StateReason)
		}
	}
	if now := rec(f.reg.Get(function("f"), "")).Version.ID; now != latest {
		t.Errorf("the revision changed: %v", now)
	}
	if again := rec(f.reg.Publish(t.Context(), function("f"), "", "", "")); again.Version.ID.Version != "1" {
		t.Errorf("a standing made version %s", again.Version.ID.Version)
	}
	updated := rec(f.reg.Update(t.Context(), function("f"), "", false, func(r *registry.Record) error { r.Version.Code.SHA256 = "b"; return nil }))
	if err := f.reg.Settle(t.Context(), latest, registry.Standing{State: faas.Failed}); faas.KindOf(err) != faas.Precondition {
		t.Errorf("a revision that was replaced: %v", err)
	}
	if err := f.reg.Settle(t.Context(), updated.Version.ID, registry.Standing{State: faas.Failed, Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	if got := rec(f.reg.Get(function("f"), "")).Version; got.State != faas.Failed || got.StateReason != "no" {
		t.Errorf("%s %q", got.State, got.StateReason)
	}
}

// TestSettleBeforeImage: a version that was published before what it needs was here waits for its image from then on, whether it was
// created or updated.
func TestSettleBeforeImage(t *testing.T) {
	f, rec := open(t, t.TempDir(), nil), must[*registry.Record](t)
	v := version("f", "a")
	v.SnapStart, v.State, v.StateReason = true, faas.Pending, "being installed"
	rec(f.reg.Create(t.Context(), v, nil, true))
	done := registry.Standing{State: faas.Active, Update: faas.Successful}
	settled := func(number string) {
		t.Helper()
		if one := rec(f.reg.Get(function("f"), number)).Version; one.State != faas.Pending || registry.Imaging(&one) {
			t.Errorf("version %s waits for an image too early: %+v", number, one)
		}
		if err := f.reg.Settle(t.Context(), rec(f.reg.Get(function("f"), "")).Version.ID, done); err != nil {
			t.Fatal(err)
		}
		one := rec(f.reg.Get(function("f"), number)).Version
		if !registry.Imaging(&one) {
			t.Errorf("version %s is %s: %s", number, one.State, one.StateReason)
		}
		if err := f.reg.Settle(t.Context(), one.ID, done); err != nil {
			t.Fatal(err)
		}
		if one := rec(f.reg.Get(function("f"), number)).Version; one.State != faas.Active || one.StateReason != "" {
			t.Errorf("version %s with an image is %s: %s", number, one.State, one.StateReason)
		}
	}
	settled("1")
	rec(f.reg.Update(t.Context(), function("f"), "", true, func(r *registry.Record) error {
		r.Version.Code.SHA256, r.Version.Update, r.Version.UpdateReason = "b", faas.InProgress, "being installed"
		return nil
	}))
	settled("2")
}
