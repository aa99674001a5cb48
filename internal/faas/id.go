// Package faas holds the nouns every room speaks: functions, versions, invocations, usage, errors.
// It imports the standard library only and does no I/O.
package faas

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
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

var (
	accountPattern = regexp.MustCompile(`^[0-9]{12}$`)
	regionPattern  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+){1,3}-[0-9]{1,2}$`)
)

// ValidAccount reports whether s is a 12 digit account id.
func ValidAccount(s string) bool { return accountPattern.MatchString(s) }

// ValidRegion reports whether s has the form of a region name.
func ValidRegion(s string) bool { return len(s) <= 32 && regionPattern.MatchString(s) }

// FunctionID names a function within its scope.
type FunctionID struct {
	Scope
	Name string // 1 to 64 of [a-zA-Z0-9-_]
}

// ARN returns the unqualified resource name of the function.
func (f FunctionID) ARN() string {
	return fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", f.Region, f.Account, f.Name)
}

// VersionID names one immutable deployment of a function: Version is Latest or a number, and Revision changes with
// every update of code or configuration, so that instances of two revisions are never mixed.
type VersionID struct {
	FunctionID
	Version  string
	Revision string
}

// ARN returns the resource name qualified by the version.
func (v VersionID) ARN() string { return v.FunctionID.ARN() + ":" + v.Version }

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
