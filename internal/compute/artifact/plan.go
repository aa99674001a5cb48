package artifact

import (
	"archive/zip"
	"io/fs"
	"strings"
	"unicode/utf8"

	"artesian/internal/faas"
)

type kind uint8

const (
	directory kind = iota
	file
	link
)

// entry is one thing to make. Paths are clean, relative and slash-separated.
type entry struct {
	path   string
	kind   kind
	zip    *zip.File // nil for an implied directory
	target string    // of a link, known once inflated
}

// plan is the tree that a package would unpack to, judged by its names and types alone.
type plan struct {
	order []*entry // parents before children
	tree  map[string]*entry
}

func newPlan(files []*zip.File) (*plan, error) {
	p := &plan{tree: make(map[string]*entry, len(files))}
	for _, f := range files {
		if err := p.add(f); err != nil {
			return nil, err
		}
	}
	for _, e := range p.order {
		if e.kind != directory {
			return p, nil
		}
	}
	return nil, faas.Errorf(faas.Invalid, emptyZip)
}

func (p *plan) add(f *zip.File) error {
	path, why := cleanName(f.Name)
	if why != "" {
		return refuse(f.Name, why)
	}
	k, why := kindOf(f)
	if why != "" {
		return refuse(f.Name, why)
	}
	if path == "" { // "./": the root itself
		if k != directory {
			return refuse(f.Name, "the name is empty")
		}
		return nil
	}
	if err := p.parents(path, f.Name); err != nil {
		return err
	}
	if have := p.tree[path]; have != nil {
		if have.kind == directory && k == directory {
			return nil
		}
		return refuse(f.Name, "the name occurs twice")
	}
	return p.insert(&entry{path: path, kind: k, zip: f})
}

// parents adds the directories above path that no entry has named yet.
func (p *plan) parents(path, name string) error {
	for i, c := range path {
		if c != '/' {
			continue
		}
		dir := path[:i]
		switch have := p.tree[dir]; {
		case have == nil:
			if err := p.insert(&entry{path: dir, kind: directory}); err != nil {
				return err
			}
		case have.kind != directory:
			return refuse(name, "it lies under "+dir+", which is not a directory")
		}
	}
	return nil
}

func (p *plan) insert(e *entry) error {
	if len(p.order) == MaxEntries {
		return tooMany()
	}
	p.order = append(p.order, e)
	p.tree[e.path] = e
	return nil
}

// cleanName returns the path without "." and empty elements, or why it is refused.
func cleanName(name string) (path, why string) {
	switch {
	case name == "":
		return "", "the name is empty"
	case len(name) > maxNameBytes:
		return "", "the name is longer than 1024 bytes"
	case name[0] == '/':
		return "", "the path is absolute"
	case strings.ContainsRune(name, '\\'):
		return "", "the name contains a backslash"
	case !utf8.ValidString(name):
		return "", "the name is not UTF-8"
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", "the name contains a control character"
	}
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part == ".":
		case part == "..":
			return "", "the path leads outside the package"
		case len(part) > maxElement:
			return "", "an element of the path is longer than 255 bytes"
		default:
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "/"), ""
}

func kindOf(f *zip.File) (k kind, why string) {
	switch {
	case f.Flags&1 != 0:
		return 0, "it is encrypted"
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return 0, "its compression method is neither stored nor deflated"
	}
	switch mode := f.Mode(); mode.Type() {
	case fs.ModeDir:
		return directory, ""
	case 0:
		return file, ""
	case fs.ModeSymlink:
		return link, ""
	case fs.ModeNamedPipe:
		return 0, "it is a named pipe"
	case fs.ModeSocket:
		return 0, "it is a socket"
	case fs.ModeDevice, fs.ModeDevice | fs.ModeCharDevice:
		return 0, "it is a device"
	default:
		return 0, "it is neither a file, a directory nor a symbolic link"
	}
}

// links checks every link against the finished tree: following it, also through other links, must never pass the root.
// A link that points at nothing inside is allowed, as it is on Lambda.
func (p *plan) links() error {
	for _, e := range p.order {
		if e.kind != link {
			continue
		}
		if why := p.follow(e); why != "" {
			return refuse(e.zip.Name, why)
		}
	}
	return nil
}

func (p *plan) follow(e *entry) (why string) {
	at := strings.Split(e.path, "/")
	at = at[:len(at)-1]
	rest := strings.Split(e.target, "/")
	for hops := 1; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if len(at) == 0 {
				return "the symbolic link points outside the package"
			}
			at = at[:len(at)-1]
			continue
		}
		at = append(at[:len(at):len(at)], part)
		next := p.tree[strings.Join(at, "/")]
		if next == nil || next.kind != link {
			continue
		}
		if hops++; hops > maxLinkHops {
			return "the symbolic link leads through too many others"
		}
		at = at[:len(at)-1]
		rest = append(strings.Split(next.target, "/"), rest...)
	}
	return ""
}

// linkTarget returns why a target is refused on its own, before it is followed.
func linkTarget(target string) (why string) {
	switch {
	case target == "":
		return "the symbolic link is empty"
	case len(target) > maxLinkBytes:
		return "the symbolic link is longer than 1024 bytes"
	case target[0] == '/':
		return "the symbolic link is absolute"
	case strings.IndexByte(target, 0) >= 0 || !utf8.ValidString(target):
		return "the symbolic link is not valid text"
	}
	return ""
}
