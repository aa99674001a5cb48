package node

import (
	"context"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/pool/stock"
	"artesian/internal/faas"
)

// TestLaunchFromStock: a launch takes what is ready and says so; when nothing is, it makes all itself and says that.
func TestLaunchFromStock(t *testing.T) {
	n, v := benchNode(t), benchVersion()
	n.Stock = stock.New(n, plenty{}, stock.Config{})
	t.Cleanup(n.Stock.Close)
	launch := func(way, note string) {
		t.Helper()
		r, err := n.Launch(context.Background(), v)
		if err != nil {
			t.Fatal(err)
		}
		defer stop(r)
		if r.Way != way || !strings.Contains(r.Note, note) {
			t.Errorf("way %q, note %q; want %q and %q", r.Way, r.Note, way, note)
		}
		if _, err := r.Session.Init(context.Background()); err != nil {
			t.Error(err)
		}
	}
	launch(faas.WayStart, "no cell ready")
	for deadline := time.Now().Add(30 * time.Second); len(n.Stock.List()) == 0 || n.Stock.List()[0].Ready == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing was made after a launch that lacked it")
		}
	}
	launch(faas.WayCell, "cell ready")
}
