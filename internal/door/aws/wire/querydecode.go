package wire

import (
	"cmp"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// node is one level of a form whose parameter names are dotted paths (Tags.member.1.Key).
type node struct {
	value string
	set   bool
	kids  map[string]*node
}

// formInput decodes an awsQuery request.
func (d *decoder) formInput(v reflect.Value, shape int, form url.Values) error {
	root, err := d.formTree(form)
	if err != nil {
		return err
	}
	return d.formValue(root, v, shape)
}

// formTree sorts a form's parameters into a tree. Of a parameter given twice the last counts.
func (d *decoder) formTree(form url.Values) (*node, error) {
	root := &node{}
	for name, values := range form {
		if name == "Action" || name == "Version" || reservedParam(name) || len(values) == 0 {
			continue
		}
		at := root
		depth := 0
		for part := range strings.SplitSeq(name, ".") {
			if depth++; depth > maxDepth {
				return nil, d.deepError()
			}
			if !d.count() {
				return nil, d.tooMany()
			}
			kid := at.kids[part]
			if kid == nil {
				kid = &node{}
				if at.kids == nil {
					at.kids = map[string]*node{}
				}
				at.kids[part] = kid
			}
			at = kid
		}
		at.value, at.set = values[len(values)-1], true
	}
	return root, nil
}

// names returns the names of the children in a fixed order, so that answers do not depend on chance.
func (n *node) names() []string { return slices.Sorted(maps.Keys(n.kids)) }

// formValue decodes n into v.
func (d *decoder) formValue(n *node, v reflect.Value, shape int) error {
	switch sh := d.at(shape); sh.Kind {
	case Structure:
		var seen [maxMembers]bool
		if err := d.formMembers(n, slot(v), sh, &seen); err != nil {
			return err
		}
		return d.checkStruct(sh, &seen)
	case List:
		return d.formList(n, v, sh)
	case Map:
		return d.formMap(n, v, sh)
	default:
		if len(n.kids) > 0 {
			return d.unknown(n.names()[0])
		}
		return d.text(v, sh, n.value)
	}
}

func (d *decoder) formMembers(n *node, v reflect.Value, sh *Shape, seen *[maxMembers]bool) error {
	if n.set && n.value != "" {
		return d.typeError("must be a structure")
	}
	for _, name := range n.names() {
		i := findMember(sh, []byte(name))
		if i < 0 {
			return d.unknown(name)
		}
		seen[i] = true
		d.push(sh.Members[i].Name)
		err := d.formValue(n.kids[name], v.Field(i), sh.Members[i].Shape)
		d.pop()
		if err != nil {
			return err
		}
	}
	return nil
}

// formList reads Name.member.N or, flattened, Name.N. An empty list is written as the bare name.
func (d *decoder) formList(n *node, v reflect.Value, sh *Shape) error {
	name := cmp.Or(sh.ElemName, "member")
	entries, err := d.numbered(n, sh.Flattened, name)
	if err != nil {
		return err
	}
	v.Set(reflect.MakeSlice(v.Type(), len(entries), len(entries)))
	for i, e := range entries {
		d.pushIndex(i)
		err := d.formValue(e, v.Index(i), sh.Elem)
		d.pop()
		if err != nil {
			return err
		}
	}
	d.checkSize(sh, v)
	return nil
}

// formMap reads Name.entry.N.key and Name.entry.N.value or, flattened, Name.N.key and Name.N.value.
func (d *decoder) formMap(n *node, v reflect.Value, sh *Shape) error {
	entries, err := d.numbered(n, sh.Flattened, "entry")
	if err != nil {
		return err
	}
	keyName, valueName := cmp.Or(sh.KeyName, "key"), cmp.Or(sh.ElemName, "value")
	v.Set(reflect.MakeMap(v.Type()))
	for i, e := range entries {
		key, value := e.kids[keyName], e.kids[valueName]
		if key == nil || value == nil || len(key.kids) > 0 {
			d.pushIndex(i)
			defer d.pop()
			return d.typeError("must have a %s and a %s", keyName, valueName)
		}
		d.mapKey(sh, key.value)
		d.push(key.value)
		elem := reflect.New(v.Type().Elem()).Elem()
		err := d.formValue(value, elem, sh.Elem)
		d.pop()
		if err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(key.value), elem)
	}
	d.checkSize(sh, v)
	return nil
}

// numbered returns the numbered children of n, below name unless flattened, in the order of their numbers; gaps close.
func (d *decoder) numbered(n *node, flattened bool, name string) ([]*node, error) {
	if n.set && n.value != "" {
		return nil, d.typeError("must be a list")
	}
	if !flattened {
		for _, k := range n.names() {
			if k != name {
				return nil, d.unknown(k)
			}
		}
		if n = n.kids[name]; n == nil {
			return nil, nil
		}
	}
	type entry struct {
		at int
		n  *node
	}
	var list []entry
	for _, k := range n.names() {
		at, err := strconv.Atoi(k)
		if err != nil || at < 1 || k[0] == '+' {
			return nil, d.unknown(k)
		}
		list = append(list, entry{at, n.kids[k]})
	}
	slices.SortFunc(list, func(a, b entry) int { return cmp.Compare(a.at, b.at) })
	out := make([]*node, len(list))
	for i, e := range list {
		out[i] = e.n
	}
	return out, nil
}
