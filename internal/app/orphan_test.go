package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"artesian/internal/compute/lang/fetch"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// TestOrphanedImage: the image of a version that is gone, which a killed daemon had no time to remove, is removed at the next start.
func TestOrphanedImage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the isolation level container is made with it")
	}
	cfg := DefaultConfig(filepath.Join(t.TempDir(), "data"))
	cfg.Listen, cfg.Registries, cfg.Logger = "127.0.0.1:0", fetch.Registries{}, slog.New(slog.DiscardHandler)
	key := kv.Key{Scope: faas.Scope{Account: cfg.Account, Region: "us-east-1"}, Kind: kindImage, Name: "gone:7"}
	running := func(do func(a *App)) {
		t.Helper()
		a, err := Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := a.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		do(a)
	}
	running(func(a *App) {
		if _, err := a.store.Create(t.Context(), key, []byte(`{"revision": "r", "sha256": "0"}`)); err != nil {
			t.Fatal(err)
		}
	})
	running(func(a *App) {
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) { // the condition is polled
			if _, ok := a.store.Get(key); !ok {
				return
			}
			if time.Now().After(end) {
				t.Fatal("it is still there")
			}
		}
	})
}
