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
	at := s.position(c.Words)
	var found []string
	switch {
	case at.flag != nil:
		found = choices(at.flag.Value)
	case strings.HasPrefix(at.word, "-"):
		for _, group := range at.node.AllFlags(true) {
			for _, f := range group {
				found = append(found, "--"+f.Name)
			}
		}
	case at.arg != nil && at.arg.Name == "name":
		found = s.functionNames()
	case at.arg != nil && at.arg.Name == "command":
		found = commandNames(s.model.Node)
	case at.arg != nil:
		found = choices(at.arg)
	default:
		found = commandNames(at.node)
	}
	slices.Sort(found)
	for _, f := range slices.Compact(found) {
		if strings.HasPrefix(f, at.word) {
			if err := s.printf("%s\n", f); err != nil {
				return err
			}
		}
	}
	return nil
}

func commandNames(node *kong.Node) (names []string) {
	for _, child := range node.Children {
		if !child.Hidden {
			names = append(names, child.Name)
		}
	}
	return names
}

// choices are the values that an argument or flag is limited to; none when it takes others.
func choices(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return v.EnumSlice()
}

// cursor is where a command line is completed.
type cursor struct {
	node *kong.Node
	word string      // what is typed of the word
	flag *kong.Flag  // whose value the word is; nil if it is none
	arg  *kong.Value // the argument that the word is; nil if none is due
}

// position walks the words typed so far.
func (s *session) position(words []string) cursor {
	at := cursor{node: s.model.Node}
	if len(words) == 0 {
		return at
	}
	at.word = words[len(words)-1]
	args := 0
	for _, w := range words[:len(words)-1] {
		switch child := childOf(at.node, w); {
		case at.flag != nil:
			at.flag = nil
		case strings.HasPrefix(w, "-"):
			at.flag = awaiting(at.node, w)
		case child != nil:
			at.node = child
		default:
			args++
		}
	}
	if all := at.node.Positional; args < len(all) {
		at.arg = all[args]
	} else if n := len(all); n > 0 && all[n-1].IsCumulative() {
		at.arg = all[n-1]
	}
	return at
}

func childOf(node *kong.Node, w string) *kong.Node {
	i := slices.IndexFunc(node.Children, func(c *kong.Node) bool { return c.Name == w || slices.Contains(c.Aliases, w) })
	if i < 0 {
		return nil
	}
	return node.Children[i]
}

// awaiting returns the flag that w is when its value comes with the next word.
func awaiting(node *kong.Node, w string) *kong.Flag {
	for _, group := range node.AllFlags(false) {
		for _, f := range group {
			if (w == "--"+f.Name || f.Short != 0 && w == "-"+string(f.Short)) && !f.IsBool() {
				return f
			}
		}
	}
	return nil
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
