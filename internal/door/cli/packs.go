package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"artesian/internal/door/gateway/admin"
)

// packRows are the runtime packs in the form of runtime list.
func packRows(all []admin.Pack) (rows [][]string) {
	for _, p := range all {
		note := "for " + p.Language + ": " + p.Title
		switch p.State {
		case "missing":
			note += "; installed when a function first needs it"
		case "installing":
			note += "; being installed"
		}
		rows = append(rows, []string{p.Name, p.Version, dash(p.Path), "pack", note})
	}
	return rows
}

// runtimePath makes a path absolute and leaves the name of a pack, which has no folder and is no file here, as it is.
func runtimePath(arg string) (string, error) {
	if _, err := os.Stat(arg); err != nil && arg != "" && !strings.ContainsRune(arg, filepath.Separator) {
		return arg, nil
	}
	path, err := filepath.Abs(arg)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", arg, err)
	}
	return path, nil
}
