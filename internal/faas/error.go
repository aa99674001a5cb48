package faas

import (
	"errors"
	"fmt"
)

// Kind classifies an error for whoever has to answer it; every protocol maps kinds to its own codes in one place.
type Kind uint8

// The kinds. The zero value is Internal, so an unclassified error never leaks its text to a client.
const (
	Internal        Kind = iota
	Invalid              // the request is malformed or a field is out of range
	NotFound             // the named thing does not exist
	Conflict             // it exists already, or changed meanwhile
	Precondition         // a stated condition (revision) does not hold
	Unauthenticated      // who is calling cannot be established
	Denied               // the caller may not do this
	Throttled            // over a limit now; the same call may succeed later
	TooLarge             // a size limit is exceeded
	LimitExceeded        // a count or storage quota is exhausted
	Unsupported          // a valid request for something this platform does not do
	Unavailable          // the platform cannot serve this now
)

var kindNames = [...]string{"internal", "invalid", "not found", "conflict", "precondition", "unauthenticated", "denied",
	"throttled", "too large", "limit exceeded", "unsupported", "unavailable"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", k)
}

// Error is the one error type at a boundary. Message is for the client; Cause stays in the log.
type Error struct {
	Kind    Kind
	Op      string // what was attempted, for example "create function"
	Code    string // the protocol's specific code, when the kind alone does not determine it; may be empty
	Reason  string // finer than the code, where the protocol tells it apart; may be empty
	Message string // safe to show to the caller
	Cause   error
}

func (e *Error) Error() string {
	s := e.Message
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Cause }

// Errorf returns an Error of kind k with a public message. It wraps nothing: set Cause for what only the log may tell.
func Errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of the first Error in err's tree, or Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Message returns the public message of the first Error in err's tree, or nothing.
func Message(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Message
	}
	return ""
}
