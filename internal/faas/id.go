// Package faas holds the nouns every room speaks: functions, versions, invocations, usage, errors.
// It imports the standard library only and does no I/O.
package faas

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// Defaults of a fresh installation.
const (
	DefaultAccount = "000000000000"
	DefaultRegion  = "us-east-1"
	// Latest is the qualifier of the one mutable version of a function.
	Latest = "$LATEST"
)

// Scope is the pair under which everything durable is kept: two scopes never see each other's data.
type Scope struct {
	Account string // 12 digits
	Region  string // for example us-east-1
}

// ValidAccount reports whether s is a 12 digit account id.
func ValidAccount(s string) bool { return len(s) == 12 && all(s, '0', '9') }

// ValidRegion reports whether s has the form of a region name: two letters, one to three words, one or two digits.
func ValidRegion(s string) bool {
	if len(s) > 32 {
		return false
	}
	first, rest, _ := strings.Cut(s, "-")
	if len(first) != 2 || !all(first, 'a', 'z') {
		return false
	}
	words := 0
	word, rest, more := strings.Cut(rest, "-")
	for ; more; word, rest, more = strings.Cut(rest, "-") {
		if words++; word == "" || words > 3 || !all(word, 'a', 'z') {
			return false
		}
	}
	return words > 0 && (len(word) == 1 || len(word) == 2) && all(word, '0', '9')
}

// all reports whether every byte of s is one from low to high.
func all(s string, low, high byte) bool {
	for i := range len(s) {
		if s[i] < low || s[i] > high {
			return false
		}
	}
	return true
}

// FunctionID names a function within its scope.
type FunctionID struct {
	Scope
	Name string // 1 to 64 of [a-zA-Z0-9-_]
}

// ARN returns the unqualified resource name of the function.
func (f FunctionID) ARN() string {
	return "arn:aws:lambda:" + f.Region + ":" + f.Account + ":function:" + f.Name
}

// VersionID names one immutable deployment of a function: Version is Latest or a number, and Revision changes with
// every update of code or configuration, so that instances of two revisions are never mixed.
type VersionID struct {
	FunctionID
	Version  string
	Revision string
}

// ARN returns the resource name qualified by the version.
func (v VersionID) ARN() string {
	return "arn:aws:lambda:" + v.Region + ":" + v.Account + ":function:" + v.Name + ":" + v.Version
}

// NewUUID returns a random (version 4) UUID in its canonical text form.
func NewUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never returns an error
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var out [36]byte
	hex.Encode(out[0:8], b[0:4])
	out[8] = '-'
	hex.Encode(out[9:13], b[4:6])
	out[13] = '-'
	hex.Encode(out[14:18], b[6:8])
	out[18] = '-'
	hex.Encode(out[19:23], b[8:10])
	out[23] = '-'
	hex.Encode(out[24:36], b[10:16])
	return string(out[:])
}
