package model

import (
	"maps"
	"slices"

	"artesian/internal/door/aws/wire"
)

// maxMembers is the largest structure that the decoder takes.
const maxMembers = 128

var kinds = map[string]wire.Kind{"structure": wire.Structure, "list": wire.List, "map": wire.Map, "string": wire.String,
	"character": wire.String, "boolean": wire.Boolean, "integer": wire.Integer, "long": wire.Long, "float": wire.Float,
	"double": wire.Double, "timestamp": wire.Timestamp, "blob": wire.Blob}

var formats = map[string]wire.TimeFormat{"": wire.Natural, "unixTimestamp": wire.UnixTime, "iso8601": wire.ISO8601, "rfc822": wire.HTTPDate}

// shape returns the index of the shape that ref means, adding it and what it refers to. References that change a shape's form
// (the format of a timestamp, flattening) or lift its constraints make shapes of their own.
func (b *builder) shape(ref Ref) int {
	ms, ok := b.m.Shapes[ref.Shape]
	if !ok {
		b.fail("shape %s is not in the model", ref.Shape)
		return 0
	}
	format := ref.Timestamp
	if format == "" {
		format = ms.Timestamp
	}
	key := ref.Shape + "|" + format
	if ref.Flattened {
		ms.Flattened = true
		key += "|flattened"
	}
	if ref.Lenient {
		key += "|lenient"
	}
	if i, ok := b.index[key]; ok {
		return i
	}
	i := len(b.out.Spec.Shapes)
	b.index[key] = i
	b.out.Spec.Shapes = append(b.out.Spec.Shapes, wire.Shape{}) // taken before recursion comes back to it
	sh := b.basic(ref, ms, format)
	switch sh.Kind {
	case wire.Structure:
		b.out.Names[i] = ref.Shape
		sh.Members = b.members(ref.Shape, ms)
	case wire.List:
		sh.Elem = b.shape(ms.Member)
		if !sh.Flattened {
			sh.ElemName = ms.Member.LocationName
		}
	case wire.Map:
		sh.Key, sh.KeyName = b.shape(ms.Key), ms.Key.LocationName
		sh.Elem, sh.ElemName = b.shape(ms.Value), ms.Value.LocationName
	}
	b.out.Spec.Shapes[i] = sh
	return i
}

// basic fills in what does not refer to other shapes.
func (b *builder) basic(ref Ref, ms Shape, format string) wire.Shape {
	name := ref.Shape
	kind, ok := kinds[ms.Type]
	if !ok {
		b.fail("type %q of %s is not supported", ms.Type, name)
	}
	if ms.EventStream && !b.streams[name] {
		b.fail("event stream %s is supported as the payload of a REST output only", name)
	}
	if ms.Document {
		return wire.Shape{Kind: wire.Document}
	}
	sh := wire.Shape{Kind: kind, Union: ms.Union, Flattened: ms.Flattened, Sensitive: ms.Sensitive}
	if kind == wire.Timestamp {
		sh.Time, ok = formats[format]
		if !ok {
			b.fail("timestamp format %q of %s is not supported", format, name)
		}
	}
	if ms.Exception || ref.Lenient {
		return sh
	}
	if ms.Min != nil {
		sh.HasMin, sh.Min = true, *ms.Min
	}
	if ms.Max != nil {
		sh.HasMax, sh.Max = true, *ms.Max
	}
	if most, ok := b.s.Most[name]; ok {
		sh.HasMax, sh.Max = true, most
	}
	sh.Enum = ms.Enum
	if ms.Pattern != "" {
		if _, err := wire.CompilePattern(ms.Pattern); err != nil {
			b.out.Skipped[name] = ms.Pattern
		} else {
			sh.Pattern = ms.Pattern
		}
	}
	return sh
}

func (b *builder) members(name string, ms Shape) []wire.Member {
	var out []wire.Member
	for _, n := range slices.Sorted(maps.Keys(ms.Members)) {
		ref := ms.Members[n]
		ref.Lenient = slices.Contains(b.s.Lenient, name+"."+n)
		if b.streams[ref.Shape] {
			continue // its events are what Op.Events is about
		}
		if ref.JSONValue && ref.Location == "header" {
			b.fail("member %s.%s: JSON values in headers are not supported", name, n)
		}
		m := wire.Member{Name: n, Shape: b.shape(ref), Required: slices.Contains(ms.Required, n) && !slices.Contains(b.s.Optional, name+"."+n), Attribute: ref.Attribute}
		if ref.LocationName != n {
			m.Wire = ref.LocationName
		}
		switch {
		case ref.EventPayload:
			m.Loc = wire.Payload
		case ref.EventHeader:
			m.Loc = wire.Header
		}
		if list := b.m.Shapes[ref.Shape]; list.Type == "list" && list.Flattened && ref.LocationName == "" {
			m.Wire = list.Member.LocationName // the older way to name the entries of a flattened list
		}
		out = append(out, m)
	}
	if len(out) > maxMembers {
		b.fail("structure %s has %d members, more than %d", name, len(out), maxMembers)
	}
	return out
}
