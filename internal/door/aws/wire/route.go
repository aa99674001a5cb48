package wire

import (
	"net/url"
	"slices"
	"strings"
)

// routes finds the operation of a REST request. It is a tree of path segments; of several templates that match, the one with a
// literal where the others have a label wins, then the one that asks for more of the query.
type routes struct {
	root segment
}

type segment struct {
	literal map[string]*segment
	label   *segment
	ends    []route // templates that end here
	greedy  []route // templates whose last label takes all that follows
}

type route struct {
	method string
	labels []string
	query  [][2]string // parameters the template fixes; a value of "" asks for the name only
	op     int         // index into Spec.Ops, or -1
	name   string
}

func newRoutes(spec *Spec) *routes {
	r := &routes{}
	for i := range spec.Ops {
		op := &spec.Ops[i]
		r.add(op.URI, route{method: op.Method, op: i, name: op.Name})
	}
	for _, op := range spec.Unbuilt {
		r.add(op.URI, route{method: op.Method, op: -1, name: op.Name})
	}
	return r
}

func (r *routes) add(uri string, to route) {
	path, literal, _ := strings.Cut(uri, "?")
	for part := range strings.SplitSeq(literal, "&") {
		if part != "" {
			k, v, _ := strings.Cut(part, "=")
			to.query = append(to.query, [2]string{k, v})
		}
	}
	at := &r.root
	for _, part := range splitPath(path) {
		name, isLabel := strings.CutPrefix(part, "{")
		if !isLabel {
			next := at.literal[part]
			if next == nil {
				next = &segment{}
				if at.literal == nil {
					at.literal = map[string]*segment{}
				}
				at.literal[part] = next
			}
			at = next
			continue
		}
		if len(to.labels) == maxLabels {
			panic("wire: too many labels in " + uri) // a model's defect
		}
		name = strings.TrimSuffix(name, "}")
		if greedy, ok := strings.CutSuffix(name, "+"); ok {
			to.labels = append(to.labels, greedy)
			at.greedy = insertRoute(at.greedy, to)
			return
		}
		to.labels = append(to.labels, name)
		if at.label == nil {
			at.label = &segment{}
		}
		at = at.label
	}
	at.ends = insertRoute(at.ends, to)
}

// insertRoute keeps the routes that ask for more of the query first.
func insertRoute(list []route, r route) []route {
	list = append(list, r)
	slices.SortStableFunc(list, func(a, b route) int { return len(b.query) - len(a.query) })
	return list
}

// splitPath cuts a path into its segments; a slash at the end makes none.
func splitPath(path string) []string {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// escaped are the values of labels as the path has them.
type escaped struct {
	n      int
	values [maxLabels]string
}

// find returns the route of a request and the values of its labels, still escaped. path is in its escaped form, so that an encoded
// slash stays within its label.
func (r *routes) find(method, path string, query url.Values) (*route, escaped) {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	return r.root.find(method, path, path == "", query, escaped{})
}

// find looks for rest below s; nothing is left of the path at its end, which an empty rest alone does not tell.
func (s *segment) find(method, rest string, end bool, query url.Values, l escaped) (*route, escaped) {
	if end {
		return pick(s.ends, method, query), l
	}
	part, after, more := strings.Cut(rest, "/")
	if next := s.literal[part]; next != nil {
		if found, l := next.find(method, after, !more, query, l); found != nil {
			return found, l
		}
	}
	if s.label != nil && part != "" {
		if found, l := s.label.find(method, after, !more, query, l.with(part)); found != nil {
			return found, l
		}
	}
	return pick(s.greedy, method, query), l.with(rest)
}

// with is l and one more value.
func (l escaped) with(value string) escaped {
	if l.n < len(l.values) {
		l.values[l.n] = value
		l.n++
	}
	return l
}

func pick(list []route, method string, query url.Values) *route {
	for i := range list {
		if list[i].method == method && list[i].asks(query) {
			return &list[i]
		}
	}
	return nil
}

func (r *route) asks(query url.Values) bool {
	for _, q := range r.query {
		if values, ok := query[q[0]]; !ok || q[1] != "" && !slices.Contains(values, q[1]) {
			return false
		}
	}
	return true
}

// values unescapes the labels.
func (r *route) values(l *escaped) (out labels, err error) {
	out.names = r.labels
	for i, s := range l.values[:len(r.labels)] {
		if out.values[i], err = url.PathUnescape(s); err != nil {
			return labels{}, err
		}
	}
	return out, nil
}
