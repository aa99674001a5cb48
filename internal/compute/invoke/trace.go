package invoke

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"io"
	"strconv"
	"strings"
	"time"

	"artesian/internal/compute/lang/lambda"
	"artesian/internal/faas"
)

// A trace header names the trace, the caller's part in it, whether it is sampled, and its lineage: how often which function was
// called already on the way to this call. SDKs inside functions hand it on, so a loop of calls shows in it
// (https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader,
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html).

const (
	maxRounds  = 16 // a function is called this often on one way; the next call is a loop
	maxLineage = 16 // functions that a lineage tells of: the latest
)

// follow returns the header that a call of v carries on, and how often the function was called on the way before.
func follow(header string, v *faas.Version, at time.Time) (trace string, rounds int) {
	var past lineage
	sampled := ""
	out := make([]byte, 0, 128)
	for field := range strings.SplitSeq(header, ";") {
		field = strings.TrimSpace(field)
		switch key, value, _ := strings.Cut(field, "="); key {
		case "":
		case "Lineage":
			past = parseLineage(value)
		case "Sampled":
			sampled = value
		default:
			out = append(append(out, field...), ';')
		}
	}
	if len(out) == 0 {
		out = append(append(out, newRoot(at)...), ';')
	}
	if sampled != "0" && sampled != "1" {
		sampled = "0"
		if v.Tracing == "Active" {
			sampled = "1"
		}
	}
	rounds = past.enter(v.ID.FunctionID)
	out = append(append(append(out, "Sampled="...), sampled...), ";Lineage="...)
	return string(past.append(out)), rounds
}

// rootOf is the root of a header that follow returned.
func rootOf(header string) string {
	_, rest, _ := strings.Cut(header, "Root=")
	root, _, _ := strings.Cut(rest, ";")
	return root
}

// newRoot begins a trace: Root=1-SECONDS-RANDOM;Parent=RANDOM.
func newRoot(at time.Time) string {
	var b [24]byte
	binary.BigEndian.PutUint32(b[:], uint32(at.Unix()))
	_, _ = rand.Read(b[4:]) // crypto/rand.Read never returns an error
	var out [64]byte
	s := hex.AppendEncode(append(out[:0], "Root=1-"...), b[:4])
	s = hex.AppendEncode(append(s, '-'), b[4:16])
	s = hex.AppendEncode(append(s, ";Parent="...), b[16:])
	return string(s)
}

// lineage tells of the calls on one way, in a header as calls:function:again|function:again|…
type lineage struct {
	calls     int
	functions []round
}

type round struct {
	function string // its mark
	again    int    // calls after its first
}

// parseLineage reads what callers may have made up: from the first word that is none, nothing counts.
func parseLineage(s string) (l lineage) {
	calls, rest, _ := strings.Cut(s, ":")
	n, err := strconv.ParseUint(calls, 10, 31)
	if err != nil {
		return lineage{}
	}
	for part := range strings.SplitSeq(rest, "|") {
		function, again, _ := strings.Cut(part, ":")
		k, err := strconv.ParseUint(again, 10, 31)
		if err != nil || len(function) != 8 || len(l.functions) == maxLineage {
			return lineage{}
		}
		l.functions = append(l.functions, round{function, int(k)})
	}
	l.calls = int(n)
	return l
}

// enter adds a call of a function and returns how often it was called before.
func (l *lineage) enter(id faas.FunctionID) int {
	name := mark(id)
	l.calls++
	for i := range l.functions {
		if l.functions[i].function == name {
			l.functions[i].again++
			return l.functions[i].again
		}
	}
	l.functions = append(l.functions, round{name, 0})
	l.functions = l.functions[max(0, len(l.functions)-maxLineage):]
	return 0
}

func (l *lineage) append(b []byte) []byte {
	b = strconv.AppendInt(b, int64(l.calls), 10)
	for i, r := range l.functions {
		separator := byte('|')
		if i == 0 {
			separator = ':'
		}
		b = append(b, separator)
		b = append(append(b, r.function...), ':')
		b = strconv.AppendInt(b, int64(r.again), 10)
	}
	return b
}

// mark is a function's name in a lineage.
func mark(id faas.FunctionID) string {
	h := fnv.New32a()
	for _, part := range [...]string{id.Account, "/", id.Region, "/", id.Name} {
		_, _ = io.WriteString(h, part) // a hash never returns an error
	}
	var sum [4]byte
	return hex.EncodeToString(h.Sum(sum[:0]))
}

// enter admits a call, unless it would be one more round of a loop that the function may not take part in.
func (i *Invoker) enter(id faas.FunctionID, rounds int) (leave func(), err error) {
	if err := i.loop(id, rounds); err != nil {
		return nil, err
	}
	return i.admit(id)
}

func (i *Invoker) loop(id faas.FunctionID, rounds int) error {
	if rounds < maxRounds || i.cfg.Versions.Loops(id) {
		return nil
	}
	return &faas.Error{Kind: faas.Invalid, Op: "invoke", Code: lambda.CodeRecursive, Message: fmt.Sprintf("The function %s was called "+
		"%d times on the way to this call: a loop, which its recursion configuration does not allow.", id.Name, rounds)}
}
