// Package framed speaks to our own bootstraps: a compact framed protocol over the stream socket that is file descriptor
// 3 inside. One frame is a type byte, the payload's length in four bytes (big endian) and the payload.
//
//	from the runtime   H  version (1 byte)                                the bootstrap runs
//	                   R                                                 the function is initialised
//	                   I  type length (2), type, document                initialisation went wrong
//	                   A  call (4), answer                               the answer to that call, in one piece
//	                   E  call (4), type length (2), type, document      the error of that call
//	                   S  call (4), content type                         the answer to that call begins, and comes in pieces
//	                   D  call (4), piece                                its next piece
//	                   F  call (4)                                       it is complete
//	                   P                                                 it may be saved
//	                   N  process id (4)                                 a copy has forked
//	to the runtime     P                                                 it is about to be saved
//	                   W  as B                                           it goes on, from what was saved
//	                   B  arguments (1), NUL-ended strings             a generic process is assigned to a function
//	                   C  call (4), metadata length (4), metadata, event
//	                   T                                                 the process is a copy of another one
//
// A call is a number counting from 1, so an answer out of turn is noticed. It ends with A, F or E; E after S means that the
// answer broke off. A content type is at most 256 bytes of printable ASCII; empty means that the function gave none. The
// pieces may be of any size up to that of a whole answer, and go on to the caller as their bytes come: a runtime should
// send them as the function writes them, in frames of 64 KiB or less. The socket is the flow control: a runtime's write waits while the caller
// reads slowly, and fails only with the end of the sandbox. A runtime need not know whether its caller takes a stream: for
// one who does not, the pieces are put together, and bounded as a whole answer is. Metadata are seven UTF-8 strings with a NUL
// between: request id, function ARN, trace, deadline in Unix milliseconds, client context, Cognito identity, tenant.
//
// A process that has said R may be told P, in place of a call. It runs what the function wants done before a snapshot is made of it, says P
// (or I, and ends) and waits for W, in this process or in any that is restored from the snapshot. W has the form of B, without arguments: the variables
// are set beside those that there are. It makes its random state its own, runs what the function wants done then, and says R or I.
//
// A generic process is one that was started before anybody knew for whom. It says H when it has loaded all that it can, which
// proves that it is alive, and then waits, without using the processor, for exactly one B. Its payload is the number of arguments
// in one byte, then strings that each end with a NUL: the working directory, that many arguments, and all the rest the variables of
// the environment, name=value, in bytes as they are. It is at most 1 MiB. From B on the process is what one would be that was executed
// with these: it says R or I next, and H not again.
//
// A process that can be copied expects T instead of its first call: it is a copy then, of a process that stood in the read of that call. It
// forks, says N with what its child's number is, and ends. The child waits for B: the environment in there are the variables that are others
// than they were, the working directory and arguments mean nothing. It makes new what must not be the same in two processes, and says R.
// T and N are the sandbox's: a session begins with B.
package framed

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"

	"artesian/internal/compute/lang"
	"artesian/internal/faas"
)

// Version is the protocol's; a bootstrap that says another one is refused.
const Version = 1

const (
	frameHello      = 'H'
	frameReady      = 'R'
	frameInitError  = 'I'
	frameAnswer     = 'A'
	frameError      = 'E'
	frameStream     = 'S'
	framePiece      = 'D'
	frameEnd        = 'F'
	frameCall       = 'C'
	frameAssignment = 'B'
	framePrepare    = 'P'
	frameWake       = 'W'

	frameHead = 5 // type and length
	callHead  = 4 // the call's number

	// maxFrame bounds what the runtime may announce: its largest answer with the call's number, and a type's name.
	maxFrame = faas.MaxResponseBytes + callHead + 2 + maxType
	maxType  = 256
)

// greeting is the whole of what a bootstrap says first.
var greeting = [frameHead + 1]byte{frameHello, 0, 0, 0, 1, Version}

// appendCall appends the head of a call's frame, all of it but the event.
func appendCall(b []byte, seq uint32, c *lang.Call) []byte {
	start := len(b)
	b = append(b, frameCall, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = append(b, 0, 0, 0, 0)
	meta := len(b)
	b = appendText(b, c.RequestID)
	b = append(appendText(append(b, 0), c.FunctionARN), 0)
	b = append(appendText(b, c.Trace), 0)
	b = append(strconv.AppendInt(b, c.Deadline.UnixMilli(), 10), 0)
	b = append(appendText(b, c.ClientContext), 0)
	b = append(appendText(b, c.Identity), 0)
	b = appendText(b, c.Tenant)
	binary.BigEndian.PutUint32(b[meta-4:], uint32(len(b)-meta))
	binary.BigEndian.PutUint32(b[start+1:], uint32(len(b)-start-frameHead+len(c.Payload)))
	return b
}

// appendText appends s without the NUL that separates fields; a space is no less wrong where one of them was.
func appendText[T string | []byte](b []byte, s T) []byte {
	at := len(b)
	b = append(b, s...)
	for i := bytes.IndexByte(b[at:], 0); i >= 0; i = bytes.IndexByte(b[at:], 0) {
		at += i
		b[at] = ' '
	}
	return b
}

// parseFailure reads the type and the document that fill an error's frame.
func parseFailure(b []byte) (*lang.Failure, error) {
	if len(b) < 2 {
		return nil, broken("an error of %d bytes", len(b))
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > maxType || n > len(b)-2 {
		return nil, broken("an error type of %d bytes", n)
	}
	return &lang.Failure{Type: string(b[2 : 2+n]), Document: b[2+n:]}, nil
}

func broken(format string, args ...any) error {
	return &lang.ProtocolError{Reason: "the function's process wrote " + fmt.Sprintf(format, args...) + " to the runtime's channel"}
}
