package model

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"artesian/internal/door/aws/wire"
	"artesian/internal/faas"
)

// Service says what is built of a model.
type Service struct {
	Name     string              // signing name
	Path     string              // of the model below the folder of models
	Ops      []string            // built operations
	Actions  map[string]string   // operation to IAM action, when they differ
	Refused  map[string][]string // operation to members (dotted) that are answered with an error when set
	Limits   map[string]int64    // operation to the longest request body in bytes
	Content  map[string]string   // operation to the Content-Type of its payload
	Errors   []string            // error shapes that are needed beside those of the built operations
	Lenient  []string            // members (Shape.Member) whose constraints the implementation checks itself
	Most     map[string]float64  // shape to the largest value here, where the model allows more
	Optional []string            // members (Shape.Member) that the model requires and answers leave out
	Codes    wire.Codes
	Statuses map[faas.Kind]wire.Code
}

// Built is a Spec with the names that its Go code needs.
type Built struct {
	Spec wire.Spec
	// Names holds the Go name of each structure's shape, by index.
	Names map[int]string
	// Inputs and Outputs hold the shape names of the built operations, "" for none.
	Inputs, Outputs []string
	// Skipped lists patterns that cannot be checked, by shape.
	Skipped map[string]string
}

type builder struct {
	m     *Model
	s     Service
	out   *Built
	index map[string]int
	// streams holds the shapes that are a built output's stream of events.
	streams map[string]bool
	errs    []error
}

// Build makes the tables of a service.
func Build(m *Model, s Service) (*Built, error) {
	b := &builder{m: m, s: s, index: map[string]int{}, streams: map[string]bool{}, out: &Built{Names: map[int]string{}, Skipped: map[string]string{}}}
	b.head()
	b.out.Spec.Shapes = []wire.Shape{{}} // 0 is the empty structure: the input of operations that take nothing
	for _, name := range s.Ops {
		b.op(name)
	}
	b.errors()
	b.unbuilt()
	b.refusals()
	b.settings()
	return b.out, errors.Join(b.errs...)
}

// settings finds what is said about operations and shapes that are not there.
func (b *builder) settings() {
	names := slices.Concat(slices.Collect(maps.Keys(b.s.Actions)), slices.Collect(maps.Keys(b.s.Limits)), slices.Collect(maps.Keys(b.s.Content)))
	for _, name := range names {
		if !slices.Contains(b.s.Ops, name) {
			b.fail("settings of %s, which is not built", name)
		}
	}
	inUse := map[string]bool{}
	for key := range b.index {
		name, _, _ := strings.Cut(key, "|")
		inUse[name] = true
	}
	for name := range b.s.Most {
		if !inUse[name] {
			b.fail("constraint of shape %s, which is not in use", name)
		}
	}
	for _, dotted := range b.s.Lenient {
		name, member, _ := strings.Cut(dotted, ".")
		if _, ok := b.m.Shapes[name].Members[member]; !ok || !inUse[name] {
			b.fail("constraint of member %s, which is not in use", dotted)
		}
	}
}

func (b *builder) fail(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf(b.s.Name+": "+format, args...))
}

func (b *builder) head() {
	spec, md := &b.out.Spec, b.m.Metadata
	spec.Name, spec.APIVersion, spec.Target, spec.Codes = b.s.Name, md.APIVersion, md.TargetPrefix, b.s.Codes
	switch md.Protocol {
	case "rest-json":
		spec.Protocol, spec.Content = wire.RestJSON, "application/json"
	case "json":
		spec.Protocol, spec.Content = wire.AWSJSON, "application/x-amz-json-"+cmp.Or(md.JSONVersion, "1.0")
	case "query":
		spec.Protocol, spec.Content, spec.Namespace = wire.Query, "text/xml", md.Namespace
	default:
		b.fail("protocol %q is not supported", md.Protocol)
	}
	for kind := range spec.Kinds {
		code, ok := b.s.Statuses[faas.Kind(kind)]
		if !ok {
			b.fail("kind of error %q has no code", faas.Kind(kind))
		}
		spec.Kinds[kind] = code
	}
}

func (b *builder) op(name string) {
	mo, ok := b.m.Operations[name]
	if !ok {
		b.fail("operation %s is not in the model", name)
		return
	}
	op := wire.Op{Name: name, Action: b.s.Actions[name], Limit: b.s.Limits[name], Content: b.s.Content[name]}
	if b.out.Spec.Protocol == wire.RestJSON {
		op.Method, op.URI, op.Status = mo.HTTP.Method, mo.HTTP.RequestURI, mo.HTTP.ResponseCode
	}
	in, out := "", ""
	if mo.Input != nil {
		in = mo.Input.Shape
		op.Input = b.shape(*mo.Input)
		b.locate(op.Input, in)
	}
	if mo.Output != nil {
		out, op.Wrapper = mo.Output.Shape, mo.Output.ResultWrapper
		op.Events = b.events(out)
		op.Output = b.shape(*mo.Output)
		b.locate(op.Output, out)
	}
	b.out.Inputs, b.out.Outputs = append(b.out.Inputs, in), append(b.out.Outputs, out)
	b.out.Spec.Ops = append(b.out.Spec.Ops, op)
}

// events returns the structure whose members are the events that the output called name streams, or 0.
func (b *builder) events(name string) int {
	ms := b.m.Shapes[name]
	ref := ms.Members[ms.Payload]
	if b.out.Spec.Protocol != wire.RestJSON || !b.m.Shapes[ref.Shape].EventStream {
		return 0
	}
	b.streams[ref.Shape] = true
	return b.shape(Ref{Shape: ref.Shape})
}

// locate gives a top-level structure's members their places in the HTTP message.
func (b *builder) locate(index int, name string) {
	ms, sh := b.m.Shapes[name], &b.out.Spec.Shapes[index]
	for i := range sh.Members {
		m := &sh.Members[i]
		loc, ok := map[string]wire.Loc{"": wire.Body, "uri": wire.URI, "querystring": wire.QueryParam, "header": wire.Header,
			"headers": wire.Headers, "statusCode": wire.StatusCode}[ms.Members[m.Name].Location]
		if !ok {
			b.fail("location of %s.%s is not supported", name, m.Name)
		}
		if m.Name == ms.Payload {
			loc = wire.Payload
		}
		m.Loc = loc
	}
}

func (b *builder) errors() {
	need := slices.Clone(b.s.Errors)
	for _, name := range b.s.Ops {
		for _, ref := range b.m.Operations[name].Errors {
			need = append(need, ref.Shape)
		}
	}
	slices.Sort(need)
	for _, name := range slices.Compact(need) {
		ms, ok := b.m.Shapes[name]
		if !ok {
			b.fail("error %s is not in the model", name)
			continue
		}
		e := wire.ErrorShape{Code: cmp.Or(ms.Error.Code, name), Status: ms.Error.StatusCode, Shape: b.shape(Ref{Shape: name}), Fault: ms.Fault}
		if e.Status == 0 {
			e.Status = 400
			if ms.Fault {
				e.Status = 500
			}
		}
		b.locate(e.Shape, name)
		b.message(e.Shape)
		b.out.Spec.Errors = append(b.out.Spec.Errors, e)
	}
}

// message gives an error a member for its message where the model leaves it unsaid.
func (b *builder) message(index int) {
	sh := &b.out.Spec.Shapes[index]
	if slices.ContainsFunc(sh.Members, func(m wire.Member) bool { return strings.EqualFold(m.Name, "message") }) {
		return
	}
	text, ok := b.index["|message"]
	if !ok {
		text = len(b.out.Spec.Shapes)
		b.index["|message"] = text
		b.out.Spec.Shapes = append(b.out.Spec.Shapes, wire.Shape{Kind: wire.String})
		sh = &b.out.Spec.Shapes[index]
	}
	sh.Members = append(sh.Members, wire.Member{Name: "message", Shape: text})
}

func (b *builder) unbuilt() {
	for _, name := range slices.Sorted(maps.Keys(b.m.Operations)) {
		if slices.Contains(b.s.Ops, name) {
			continue
		}
		u := wire.Unbuilt{Name: name}
		if b.out.Spec.Protocol == wire.RestJSON {
			mo := b.m.Operations[name]
			u.Method, u.URI = mo.HTTP.Method, mo.HTTP.RequestURI
		}
		b.out.Spec.Unbuilt = append(b.out.Spec.Unbuilt, u)
	}
}

// refusals resolves dotted member names to indices, so that a name that is not in the model is found here and not by a user.
func (b *builder) refusals() {
	for _, name := range slices.Sorted(maps.Keys(b.s.Refused)) {
		i := slices.Index(b.s.Ops, name)
		if i < 0 {
			b.fail("refused members of %s, which is not built", name)
			continue
		}
		op := &b.out.Spec.Ops[i]
		for _, path := range b.s.Refused[name] {
			r := wire.Refusal{Path: path}
			at := op.Input
			for part := range strings.SplitSeq(path, ".") {
				for b.out.Spec.Shapes[at].Kind == wire.List {
					at = b.out.Spec.Shapes[at].Elem
				}
				j := slices.IndexFunc(b.out.Spec.Shapes[at].Members, func(m wire.Member) bool { return m.Name == part })
				if j < 0 {
					b.fail("refused member %s of %s is not in the model", path, name)
					break
				}
				r.Index = append(r.Index, j)
				at = b.out.Spec.Shapes[at].Members[j].Shape
			}
			op.Refused = append(op.Refused, r)
		}
	}
}
