package host

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// places are directories outside PATH where interpreters of any language live.
var places = [...]string{"/usr/bin", "/usr/local/bin", "/opt/bin", "/opt/*/bin"}

// candidates returns the real files that may be an interpreter: in the directories of path (a PATH), then in the usual
// places. Shims only name what is in one of these places, and cost a shell each, so they are passed over.
func (g *language) candidates(path, home string) []string {
	dirs := filepath.SplitList(path)
	for _, p := range slices.Concat(places[:], g.places) {
		if rest, ok := strings.CutPrefix(p, "~"); ok {
			if home == "" {
				continue
			}
			p = home + rest
		}
		found, _ := filepath.Glob(p) // the patterns are constant and well-formed
		dirs = append(dirs, found...)
	}
	var out []string
	seen := make(map[string]bool)
	for _, dir := range dirs {
		if !filepath.IsAbs(dir) || filepath.Base(dir) == "shims" {
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // PATH often names what does not exist
		}
		for _, e := range entries {
			if !g.file.MatchString(e.Name()) {
				continue
			}
			real, err := filepath.EvalSymlinks(filepath.Join(dir, e.Name()))
			if err != nil || seen[real] {
				continue
			}
			seen[real] = true
			out = append(out, real)
		}
	}
	return slices.Clip(out)
}
