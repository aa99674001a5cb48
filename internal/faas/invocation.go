package faas

import (
	"io"
	"time"
)

// Invocation is one request to run a function, whatever triggered it.
type Invocation struct {
	ID            string // request id, a UUID; also the idempotency key of its usage record
	Function      FunctionID
	Qualifier     string // as the caller wrote it; empty means Latest
	Payload       []byte // passed byte for byte; never modified
	ClientContext []byte // JSON, at most 3,583 bytes in base64; may be nil
	Caller        string // ARN of the principal
	Tenant        string // for whom it is, of a version that keeps tenants apart; else empty
	Trace         string // X-Amzn-Trace-Id value; made by the invoker when empty
	Tail          bool   // the caller wants the last 4 KiB of log
	Stream        bool   // the caller takes the answer as it comes, of up to MaxStreamBytes; else up to MaxResponseBytes
	Received      time.Time
}

// Sink takes the answer of one invocation as it is produced. Begin is called at most once, before the first Write; End
// exactly once after Begin, with the outcome. Where the invocation asks for a stream, what the sink does is done on another
// goroutine than the caller's, one call at a time. A platform error returned by the invoker before Begin means that neither
// was called.
type Sink interface {
	Begin(Head) error
	io.Writer
	End(Tail) error
}

// Head is what is known when the first byte of an answer is.
type Head struct {
	ExecutedVersion string
	ContentType     string // of a stream; empty: the function does not stream, and its answer is application/json
}

// Tail is what is known when the last byte is.
type Tail struct {
	FunctionError string // empty, "Unhandled" or "Handled"
	Failure       []byte // the error document, wherever it stands in the answer
	Log           []byte // the last 4 KiB of log when asked for
	Broken        []byte // the error document for an answer that broke off after its first byte: it takes the answer's place
}

// Outcome is how an invocation ended, in one word.
type Outcome string

// The outcomes of an invocation.
const (
	OutcomeOK          Outcome = "ok"
	OutcomeError       Outcome = "error"    // the function's handler reported an error
	OutcomeTimeout     Outcome = "timeout"  // the function's time was up
	OutcomeMemory      Outcome = "memory"   // the memory limit killed it
	OutcomeExit        Outcome = "exit"     // the runtime exited
	OutcomeInit        Outcome = "init"     // initialisation did not succeed
	OutcomeThrottled   Outcome = "throttle" // never ran: over a limit
	OutcomeCancelled   Outcome = "cancel"   // the client left before it was placed
	OutcomeUnavailable Outcome = "platform" // the platform could not run it
)

// Usage is the metered cost of one invocation, recorded once under its request id.
type Usage struct {
	RequestID string    `json:"request_id"`
	Account   string    `json:"account"`
	Region    string    `json:"region"`
	Function  string    `json:"function"`
	Version   string    `json:"version"`
	Runtime   string    `json:"runtime,omitempty"`  // as configured
	TraceID   string    `json:"trace_id,omitempty"` // the trace's root: 1-SECONDS-RANDOM
	Instance  string    `json:"instance,omitempty"` // that ran it; empty when none did
	Start     time.Time `json:"start"`
	Outcome   Outcome   `json:"outcome"`
	Cold      *Cold     `json:"cold,omitempty"` // nil for a warm call

	Idle   time.Duration `json:"idle_ns,omitempty"` // how long the instance of a warm call had rested; 0: it came straight from another call
	Thawed bool          `json:"thawed,omitempty"`  // the instance was frozen
	Ahead  bool          `json:"ahead,omitempty"`   // the instance of a warm call had been made ahead, and served nobody before
	Held   bool          `json:"held,omitempty"`    // the instance is one of those provisioned

	Queue    time.Duration `json:"queue_ns"`  // from receipt until an instance was held
	Run      time.Duration `json:"run_ns"`    // handler time
	Settle   time.Duration `json:"settle_ns"` // from the handler's end until the call was metered, its answer not yet given out
	BilledMS int64         `json:"billed_ms"` // run (and, where Lambda bills it, init) rounded up to 1 ms
	CPU      time.Duration `json:"cpu_ns"`    // CPU time of the whole sandbox during the call
	MemoryMB int           `json:"memory_mb"` // configured
	PeakMB   int           `json:"peak_mb"`   // high-water mark of the instance
	BytesIn  int64         `json:"bytes_in"`
	BytesOut int64         `json:"bytes_out"`
	TmpMB    int           `json:"tmp_mb"`
}

// The ways in which an instance comes to be.
const (
	WayStart    = "start"    // sandbox and runtime made for this call
	WayCell     = "cell"     // a sandbox made ahead, the runtime executed for this call
	WayStem     = "stem"     // a runtime that had been started ahead and waited
	WayFork     = "fork"     // a child of a zygote, forked for this call
	WaySnapshot = "snapshot" // restored
	WayTemplate = "template" // forked from an initialised instance of the same version
)

// Cold splits a cold start into its phases and says why it was.
type Cold struct {
	Way string `json:"way,omitempty"` // how the instance came to be: a Way
	Why string `json:"why,omitempty"` // in words: why no instance was idle, what was ready, how long that took

	Place   time.Duration `json:"place_ns"`   // admission against the node's memory
	Sandbox time.Duration `json:"sandbox_ns"` // namespaces, cgroups, mounts
	Runtime time.Duration `json:"runtime_ns"` // exec until the bootstrap speaks
	Init    time.Duration `json:"init_ns"`    // the function's own module-level code
}

// Restored reports whether the instance went on from an image of one that had been initialised. Sandbox is the restore of that then,
// Runtime what the process took to wake up, and Init what the function wants done after a restore.
func (c *Cold) Restored() bool { return c != nil && c.Way == WaySnapshot }
