package wire

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"artesian/internal/faas"
)

// The wording of the messages follows what AWS answers, since clients are known to match on it.

// violate notes that the value at hand, written as value, does not meet a constraint. An empty value is left out.
func (d *decoder) violate(sh *Shape, value, constraint string) {
	if len(d.violations) >= 20 {
		return
	}
	if sh != nil && sh.Sensitive {
		value = ""
	}
	if value != "" {
		value += " "
	}
	d.violations = append(d.violations, "Value "+value+"at '"+d.camelPath()+"' failed to satisfy constraint: "+constraint)
}

// violated returns all that was noted as one error, or nil.
func (d *decoder) violated() error {
	if len(d.violations) == 0 {
		return nil
	}
	noun := " validation errors detected: "
	if len(d.violations) == 1 {
		noun = " validation error detected: "
	}
	return &faas.Error{Kind: faas.Invalid, Code: d.spec.Codes.Validation,
		Message: strconv.Itoa(len(d.violations)) + noun + strings.Join(d.violations, "; ")}
}

// clip bounds what of a caller's value is repeated in a message.
func clip(s string) string {
	const most = 1024
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}

func quote(s string) string { return "'" + clip(s) + "'" }

func (d *decoder) checkString(sh *Shape, s string) {
	if n := utf8.RuneCountInString(s); sh.outside(float64(n)) {
		d.length(sh, n, quote(s))
	}
	if sh.Pattern != "" && !d.patterns.get(sh.Pattern).matches(s) {
		d.violate(sh, quote(s), "Member must satisfy regular expression pattern: "+sh.Pattern)
	}
	if len(sh.Enum) > 0 && !slices.Contains(sh.Enum, s) {
		d.violate(sh, quote(s), "Member must satisfy enum value set: ["+strings.Join(sh.Enum, ", ")+"]")
	}
}

// outside tells a number, or a length, that Min and Max do not allow.
func (sh *Shape) outside(f float64) bool { return sh.HasMin && f < sh.Min || sh.HasMax && f > sh.Max }

// length notes a length that is outside; value may be empty.
func (d *decoder) length(sh *Shape, n int, value string) {
	if sh.HasMin && float64(n) < sh.Min {
		d.violate(sh, value, "Member must have length greater than or equal to "+number(sh.Min))
	} else {
		d.violate(sh, value, "Member must have length less than or equal to "+number(sh.Max))
	}
}

func (d *decoder) checkNumber(sh *Shape, f float64) {
	switch {
	case !sh.outside(f):
	case sh.HasMin && f < sh.Min:
		d.violate(sh, quote(number(f)), "Member must have value greater than or equal to "+number(sh.Min))
	default:
		d.violate(sh, quote(number(f)), "Member must have value less than or equal to "+number(sh.Max))
	}
}

// checkSize checks the number of entries of a list or map.
func (d *decoder) checkSize(sh *Shape, v reflect.Value) {
	if n := v.Len(); sh.outside(float64(n)) {
		d.length(sh, n, d.entries(sh, v))
	}
}

// entries writes a list of strings as AWS does; of other values nothing is repeated.
func (d *decoder) entries(sh *Shape, v reflect.Value) string {
	if sh.Kind != List || d.at(sh.Elem).Kind != String || d.at(sh.Elem).Sensitive {
		return ""
	}
	var parts []string
	for i := range min(v.Len(), 100) {
		parts = append(parts, v.Index(i).String())
	}
	return quote("[" + strings.Join(parts, ", ") + "]")
}

// checkStruct notes the required members that are missing, and refuses a union without exactly one member.
func (d *decoder) checkStruct(sh *Shape, seen *[maxMembers]bool) error {
	set := 0
	for i := range sh.Members {
		m := &sh.Members[i]
		if seen[i] {
			set++
			continue
		}
		if m.Required {
			d.push(m.Name)
			d.violate(nil, "null", "Member must not be null")
			d.pop()
		}
	}
	if sh.Union && set != 1 {
		return d.typeError("must have exactly one of its members set, not %d", set)
	}
	return nil
}

// mapKey checks a key; its constraints are reported on the map, as AWS does.
func (d *decoder) mapKey(sh *Shape, key string) {
	ks := d.at(sh.Key)
	bad := ks.outside(float64(utf8.RuneCountInString(key))) || len(ks.Enum) > 0 && !slices.Contains(ks.Enum, key)
	if !bad && ks.Pattern != "" {
		bad = !d.patterns.get(ks.Pattern).matches(key)
	}
	if bad {
		value := quote(key)
		if ks.Sensitive {
			value = ""
		}
		d.violate(sh, value, "Map keys must satisfy constraint: ["+strings.Join(constraints(ks), ", ")+"]")
	}
}

func constraints(sh *Shape) []string {
	var out []string
	if sh.HasMax {
		out = append(out, "Member must have length less than or equal to "+number(sh.Max))
	}
	if sh.HasMin {
		out = append(out, "Member must have length greater than or equal to "+number(sh.Min))
	}
	if sh.Pattern != "" {
		out = append(out, "Member must satisfy regular expression pattern: "+sh.Pattern)
	}
	if len(sh.Enum) > 0 {
		out = append(out, fmt.Sprintf("Member must satisfy enum value set: [%s]", strings.Join(sh.Enum, ", ")))
	}
	return out
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
