package faas

import (
	"strings"
	"time"
)

// Limits of a function's configuration, as AWS Lambda documents them
// (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const (
	MinMemoryMB, MaxMemoryMB, DefaultMemoryMB = 128, 10240, 128
	MinTimeout, MaxTimeout, DefaultTimeout    = 1 * time.Second, 900 * time.Second, 3 * time.Second
	MinTmpMB, MaxTmpMB, DefaultTmpMB          = 512, 10240, 512
	MaxZipBytes, MaxUnpackedBytes             = 50 << 20, 250 << 20
	MaxRequestBytes, MaxResponseBytes         = 6 << 20, 6<<20 + 100
	MaxStreamBytes                            = 200 << 20 // of an answer that is streamed to a caller who takes a stream
	MaxEnvBytes                               = 4096
	MemoryMBPerCPU                            = 1769 // a function of this size has one full core
	MaxInit                                   = 10 * time.Second
	DefaultConcurrency                        = 1000 // simultaneous executions per account and region
)

// Version is one deployment of a function: everything that determines how it runs.
type Version struct {
	ID           VersionID
	Description  string
	Runtime      string // python3.11, provided.al2023, …
	Handler      string
	Role         string // ARN of the role the function acts as
	Code         Code
	Layers       []Layer `json:",omitempty"` // shown at /opt, later ones over earlier ones
	MemoryMB     int
	Timeout      time.Duration
	TmpMB        int
	Env          map[string]string
	Architecture string // x86_64 or arm64
	Logging      Logging
	Tracing      string // PassThrough or Active
	Internet     string `json:",omitempty"` // on or off; empty is the node's default
	Fork         string `json:",omitempty"` // off: its instances are not forked from a zygote
	Concurrency  int    `json:",omitempty"` // calls that an instance takes at once; 0 is 1
	SnapStart    bool   `json:",omitempty"` // published versions go on from an image of an instance that was initialised
	PerTenant    bool   `json:",omitempty"` // every call names its tenant, and tenants never share an instance
	Modified     time.Time
	State        State
	StateReason  string
	StateCode    string
	Update       State // state of the last update
	UpdateReason string
	UpdateCode   string
	Held         bool `json:"-"` // instances of this copy are made to be kept ready: provisioned concurrency
}

// Shared reports whether calls share instances. Those of a runtime of the platform's take one after the other, whatever a tag says.
func (v *Version) Shared() bool { return v.Concurrency > 1 && strings.HasPrefix(v.Runtime, "provided") }

// Seats is how many calls an instance takes at once.
func (v *Version) Seats() int {
	if v.Shared() {
		return v.Concurrency
	}
	return 1
}

// Code locates a deployment package in the content-addressed store.
type Code struct {
	SHA256 string // lower-case hex of the zip file
	Size   int64  // bytes of the zip file
}

// Logging says where a function's output goes and in what form.
type Logging struct {
	Group            string // log group; defaults to /aws/lambda/<name>
	Format           string // Text or JSON
	ApplicationLevel string // JSON only: TRACE … FATAL; empty is INFO
	SystemLevel      string // JSON only: DEBUG, INFO, WARN; empty is INFO
}

// State is where a version or an update stands.
type State string

// The states, as GetFunctionConfiguration reports them.
const (
	Pending    State = "Pending"
	Active     State = "Active"
	Inactive   State = "Inactive" // what it would start from was let go of; a call has it made again
	Failed     State = "Failed"
	Successful State = "Successful"
	InProgress State = "InProgress"
)
