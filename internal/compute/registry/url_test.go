package registry_test

import (
	"testing"

	"artesian/internal/compute/registry"
	"artesian/internal/faas"
)

// TestURLs: a URL is found by its id from its own write until it, its alias or its function is gone, also after a start.
func TestURLs(t *testing.T) {
	dir := t.TempDir()
	configure := func(f *fixture, mutate func(*registry.Record)) {
		t.Helper()
		must[*registry.Record](t)(f.reg.Configure(t.Context(), function("f"), func(r *registry.Record) error { mutate(r); return nil }))
	}
	found := func(f *fixture, id, qualifier, mode string) {
		t.Helper()
		e, ok := f.reg.Endpoint(id)
		if ok != (mode != "") || ok && (e.Function != function("f") || e.Qualifier != qualifier || e.Mode != mode) {
			t.Errorf("%s: %+v %v", id, e, ok)
		}
	}
	t.Run("made", func(t *testing.T) {
		f := open(t, dir, nil)
		must[*registry.Record](t)(f.reg.Create(t.Context(), version("f", "sha"), nil, true))
		must[faas.Alias](t)(f.reg.CreateAlias(t.Context(), function("f"), faas.Alias{Name: "live", Version: "1"}))
		configure(f, func(r *registry.Record) { r.SetURL("", registry.URL{ID: "a", Mode: "BUFFERED"}) })
		configure(f, func(r *registry.Record) { r.SetURL("live", registry.URL{ID: "b", Mode: "BUFFERED"}) })
		found(f, "a", "", "BUFFERED")
		found(f, "b", "live", "BUFFERED")
		found(f, "c", "", "")
		configure(f, func(r *registry.Record) { r.SetURL("", registry.URL{ID: "a", Mode: "RESPONSE_STREAM"}) })
		found(f, "a", "", "RESPONSE_STREAM")
		configure(f, func(r *registry.Record) { r.SetURL("", registry.URL{ID: "c", Mode: "BUFFERED"}) })
		found(f, "a", "", "")
		found(f, "c", "", "BUFFERED")
	})
	t.Run("found again", func(t *testing.T) {
		f := open(t, dir, nil)
		found(f, "b", "live", "BUFFERED")
		found(f, "c", "", "BUFFERED")
		if err := f.reg.DeleteAlias(t.Context(), function("f"), "live"); err != nil {
			t.Fatal(err)
		}
		found(f, "b", "live", "")
		configure(f, func(r *registry.Record) { r.RemoveURL("") })
		found(f, "c", "", "")
		configure(f, func(r *registry.Record) { r.SetURL("", registry.URL{ID: "d", Mode: "BUFFERED"}) })
		if err := f.reg.Delete(t.Context(), function("f"), ""); err != nil {
			t.Fatal(err)
		}
		found(f, "d", "", "")
	})
}
