package cli

import (
	"slices"
	"strings"

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
		found = append(choices(at.flag.Value), s.known(at)...)
	case strings.HasPrefix(at.word, "-"):
		for _, group := range at.node.AllFlags(true) {
			for _, f := range group {
				found = append(found, "--"+f.Name)
			}
		}
	case at.arg != nil && at.arg.Name == "command":
		found = commandNames(s.model.Node)
	case at.arg != nil:
		found = append(choices(at.arg), s.known(at)...)
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
	args []string    // the arguments before it
}

// position walks the words typed so far.
func (s *session) position(words []string) cursor {
	at := cursor{node: s.model.Node}
	if len(words) == 0 {
		return at
	}
	at.word = words[len(words)-1]
	for _, w := range words[:len(words)-1] {
		switch child := childOf(at.node, w); {
		case at.flag != nil:
			at.flag = nil
		case strings.HasPrefix(w, "-"):
			at.flag = awaiting(at.node, w)
		case child != nil:
			at.node = child
		default:
			at.args = append(at.args, w)
		}
	}
	if all := at.node.Positional; len(at.args) < len(all) {
		at.arg = all[len(at.args)]
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
