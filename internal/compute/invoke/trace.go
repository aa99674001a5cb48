package invoke

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
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

	maxHeader = 256 // bytes of a header that take no memory of their own
)

// follow returns the header that a call of v carries on, and how often the function was called on the way before.
func follow(header string, v *faas.Version, at time.Time) (trace string, rounds int) {
	var past lineage
	sampled := ""
	var room [maxHeader]byte
	out := room[:0]
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
		out = append(appendRoot(out, at), ';')
	}
	if sampled != "0" && sampled != "1" {
		sampled = "0"
		if v.Tracing == "Active" {
			sampled = "1"
		}
	}
	var one [1]round // of a way that begins here
	if past.functions == nil {
		past.functions = one[:0]
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

// appendRoot begins a trace: Root=1-SECONDS-RANDOM;Parent=RANDOM.
func appendRoot(out []byte, at time.Time) []byte {
	var b [24]byte
	binary.BigEndian.PutUint32(b[:], uint32(at.Unix()))
	_, _ = rand.Read(b[4:]) // crypto/rand.Read never returns an error
	out = hex.AppendEncode(append(out, "Root=1-"...), b[:4])
	out = hex.AppendEncode(append(out, '-'), b[4:16])
	return hex.AppendEncode(append(out, ";Parent="...), b[16:])
}

// lineage tells of the calls on one way, in a header as calls:function:again|function:again|…
type lineage struct {
	calls     int
	functions []round
}

type round struct {
	function mark
	again    int // calls after its first
}

// mark is a function's name in a lineage: eight hexadecimal digits, or what a caller wrote in their place.
type mark [8]byte

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
		if err != nil || len(function) != len(mark{}) || len(l.functions) == maxLineage {
			return lineage{}
		}
		l.functions = append(l.functions, round{mark([]byte(function)), int(k)})
	}
	l.calls = int(n)
	return l
}

// enter adds a call of a function and returns how often it was called before.
func (l *lineage) enter(id faas.FunctionID) int {
	name := markOf(id)
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
		b = append(append(b, r.function[:]...), ':')
		b = strconv.AppendInt(b, int64(r.again), 10)
	}
	return b
}

// markOf hashes a function's name, by FNV-1a.
func markOf(id faas.FunctionID) (m mark) {
	const offset, prime = 2166136261, 16777619
	h := uint32(offset)
	for _, part := range [...]string{id.Account, "/", id.Region, "/", id.Name} {
		for i := range len(part) {
			h = (h ^ uint32(part[i])) * prime
		}
	}
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], h)
	hex.Encode(m[:], sum[:])
	return m
}

// enter admits a call, unless it would be one more round of a loop that the function may not take part in.
func (i *Invoker) enter(id faas.FunctionID, rounds int) (*atomic.Int64, error) {
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
