package host

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var pythonName = regexp.MustCompile(`^python3(\.[0-9]+)?$`)

// places are directories outside PATH where interpreters live, ~ standing for the user's home.
var places = [...]string{
	"/usr/bin", "/usr/local/bin", "/opt/bin", "/opt/*/bin",
	"~/.pyenv/versions/*/bin", "~/.local/share/uv/python/*/bin", "~/.local/share/mise/installs/python/*/bin",
	"~/.asdf/installs/python/*/bin",
}

// candidates returns the real files that may be a Python: in the directories of path (a PATH), then in the usual places.
// pyenv's shims only name what its versions folder has, and cost a shell each, so they are passed over.
func candidates(path, home string) []string {
	dirs := filepath.SplitList(path)
	for _, p := range places {
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
			if !pythonName.MatchString(e.Name()) {
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
