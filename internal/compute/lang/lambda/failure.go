package lambda

import (
	"encoding/json"
	"fmt"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// The error types that the platform itself reports. Lambda documents the prefixes only
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html); the rest is what it answers and logs today, see
// testdata/SOURCES.md.
const (
	ErrorTimeout    = "Sandbox.Timedout"
	ErrorExit       = "Runtime.ExitError"
	ErrorMemory     = "Runtime.OutOfMemory"
	ErrorEntrypoint = "Runtime.InvalidEntrypoint"
	ErrorUnknown    = "Runtime.Unknown"
	ErrorPlatform   = "Sandbox.Failure"
	ErrorTooLarge   = "Function.ResponseSizeTooLarge"
)

// document is an error as the platform writes it: the type before the message, and nothing else.
type document struct {
	Type    string `json:"errorType,omitempty"`
	Message string `json:"errorMessage"`
}

func failure(kind, message string) *lang.Failure {
	doc, err := json.Marshal(document{Type: kind, Message: message})
	if err != nil {
		panic(err) // two strings
	}
	return &lang.Failure{Type: kind, Document: doc}
}

// ofRequest is a failure that the platform found out about request id.
func ofRequest(id, kind, format string, args ...any) *lang.Failure {
	return failure(kind, requestPrefix(id)+fmt.Sprintf(format, args...))
}

func requestPrefix(id string) string { return "RequestId: " + id + " Error: " }

// TimeoutFailure is the answer of an invocation that used up its timeout.
func TimeoutFailure(id string, timeout time.Duration) *lang.Failure {
	return ofRequest(id, ErrorTimeout, "Task timed out after %.2f seconds", timeout.Seconds())
}

// ExitFailure is the answer of an invocation whose runtime's process ended before answering.
func ExitFailure(id string, exit sandbox.Exit) *lang.Failure {
	switch {
	case exit.OOM:
		return ofRequest(id, ErrorMemory, "Runtime exited with error: signal: killed")
	case exit.Signal != 0:
		return ofRequest(id, ErrorExit, "Runtime exited with error: signal: %s", exit.Signal)
	case exit.Code != 0:
		return ofRequest(id, ErrorExit, "Runtime exited with error: exit status %d", exit.Code)
	}
	return ofRequest(id, ErrorExit, "Runtime exited without providing a reason")
}

// ProtocolFailure is the answer of an invocation whose function broke the protocol of its runtime.
func ProtocolFailure(id string, e *lang.ProtocolError) *lang.Failure {
	return ofRequest(id, ErrorExit, "%s", e.Reason)
}

// PlatformFailure is the answer of an invocation that the platform could not carry through.
func PlatformFailure(id string) *lang.Failure {
	return ofRequest(id, ErrorPlatform, "the platform could not run the function")
}

// OfRequest completes a failure of the initialisation, which knew no request: what the platform found out (a bootstrap
// that can't be executed) names request id, as in all other failures of the platform's. Others are returned as they are.
func OfRequest(id string, f *lang.Failure) *lang.Failure {
	var d document
	if f.Type != ErrorEntrypoint || json.Unmarshal(f.Document, &d) != nil {
		return f
	}
	return ofRequest(id, f.Type, "%s", d.Message)
}

// TooLargeFailure is the answer in place of one beyond faas.MaxResponseBytes.
func TooLargeFailure() *lang.Failure { return tooLarge(faas.MaxResponseBytes) }

// TooLongFailure is how an answer to c ends that is streamed beyond what its caller takes.
func TooLongFailure(c *lang.Call) *lang.Failure { return tooLarge(c.Limit(true)) }

func tooLarge(limit int) *lang.Failure {
	return failure(ErrorTooLarge, fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", limit))
}
