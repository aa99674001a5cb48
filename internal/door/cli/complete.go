package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" help:"bash, zsh or fish." enum:"bash,zsh,fish"`
}

// scripts hand the words typed so far to the hidden command __complete, the last one being completed.
var scripts = map[string]string{
	"bash": `_artesian() {
  local IFS=$'\n'
  COMPREPLY=($(artesian __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _artesian artesian
`,
	"zsh": `#compdef artesian
_artesian() {
  local -a found
  found=("${(@f)$(artesian __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if (( ${#found} )) && [[ -n ${found[1]} ]]; then compadd -- "${found[@]}"; else _files; fi
}
compdef _artesian artesian
`,
	"fish": `complete -c artesian -f -a '(artesian __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
complete -c artesian -n '__fish_seen_subcommand_from deploy' -F
`,
}

func (c *completionCmd) Run(s *session) error { return s.printf("%s", scripts[c.Shell]) }

type completeCmd struct {
	Words []string `arg:"" optional:""`
}

func (c *completeCmd) Run(s *session) error {
	node, word, takesName := s.position(c.Words)
	var found []string
	switch {
	case strings.HasPrefix(word, "-"):
		for _, group := range node.AllFlags(true) {
			for _, f := range group {
				found = append(found, "--"+f.Name)
			}
		}
	case takesName:
		found = s.functionNames()
	default:
		for _, child := range node.Children {
			if !child.Hidden {
				found = append(found, child.Name)
			}
		}
	}
	slices.Sort(found)
	for _, f := range slices.Compact(found) {
		if strings.HasPrefix(f, word) {
			if err := s.printf("%s\n", f); err != nil {
				return err
			}
		}
	}
	return nil
}

// position walks the commands named by words and returns where that leads, the word under the cursor, and whether a
// function's name belongs there.
func (s *session) position(words []string) (node *kong.Node, word string, takesName bool) {
	node = s.model.Node
	if len(words) == 0 {
		return node, "", false
	}
	typed := words[:len(words)-1]
	for _, w := range typed {
		for _, child := range node.Children {
			if child.Name == w || slices.Contains(child.Aliases, w) {
				node = child
				break
			}
		}
	}
	takesName = len(node.Positional) > 0 && node.Positional[0].Name == "name"
	return node, words[len(words)-1], takesName
}

// functionNames asks the daemon that the environment or the default data directory names, briefly; no answer completes
// nothing.
func (s *session) functionNames() (names []string) {
	parser, root, err := s.parser()
	if err != nil {
		return nil
	}
	if _, err := parser.Parse([]string{"functions"}); err != nil {
		return nil
	}
	cl, err := root.Functions.connect()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, time.Second)
	defer cancel()
	all, err := cl.functions(ctx)
	if err != nil {
		return nil
	}
	for _, f := range all {
		names = append(names, f.FunctionName)
	}
	return names
}
