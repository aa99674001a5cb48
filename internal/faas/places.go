package faas

import "sync/atomic"

// Places are the simultaneous executions that a function may have: of a number of its own, or of what its scope's functions without
// one share.
type Places struct {
	Own     bool
	Limit   int           // of the function's own; else how many of the scope's are others' own
	Running *atomic.Int64 // executions now, of all that share the places

	Ready int           // places beside these, for which instances are kept ready
	Kept  *atomic.Int64 // executions now in those
}
