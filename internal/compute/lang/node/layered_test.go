package node

import (
	"os"
	"path/filepath"
	"testing"

	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/sandbox"
)

// TestLayeredStaysInside: the modules of layers are shown, through links of theirs too, and nothing that is outside of them.
func TestLayeredStaysInside(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"plain/nodejs/node_modules", "linked/real/node_modules", "out/nodejs", "secret"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"linked/nodejs": "real", "out/nodejs/node_modules": "../../secret", "data": "."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for layer, want := range map[string]string{"plain": "plain/nodejs/node_modules", "linked": "linked/real/node_modules", "data/plain": "plain/nodejs/node_modules", "out": "", "secret": ""} {
		got := layered([]sandbox.Mount{{Source: "/usr", Target: "/usr"}, {Source: filepath.Join(dir, layer), Target: lambda.LayerDir}})
		if len(got) != min(len(want), 1) || len(got) > 0 && got[0].Source != filepath.Join(dir, want) {
			t.Errorf("%s: %v", layer, got)
		}
	}
}
