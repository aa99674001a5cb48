// Package admin holds the shapes of the daemon's own API, which the gateway answers and the command line asks. It does
// nothing. All calls but Health are signed with SigV4 under the service name Service and answer JSON; an error answers
// an Error with the status that fits.
package admin

import (
	"time"

	"artesian/internal/faas"
)

// Service is the signing name of this API.
const Service = "artesian"

// Where things are. Each constant says the method, the query and the answer.
const (
	HealthPath   = "/_artesian/health"        // GET, unsigned → Health; 200 once everything is ready, 503 before
	MetricsPath  = "/_artesian/metrics"       // GET, with the token of MetricsKeyFile → Prometheus' text
	PSPath       = "/_artesian/api/ps"        // GET → PS
	CostPath     = "/_artesian/api/cost"      // GET ?days=N (1 to 366, default 30) → Cost
	DoctorPath   = "/_artesian/api/doctor"    // GET → Doctor
	RuntimesPath = "/_artesian/api/runtimes"  // GET → Runtimes; POST AddRuntime → Runtime; DELETE ?path=P → 204
	URLsPath     = "/_artesian/api/urls"      // GET → URLs
	TailPath     = "/_artesian/api/logs/tail" // GET ?group=G[&since=unix milliseconds][&filter=pattern] → LogLine, one per line, until closed
	ReceiptsPath = "/_artesian/api/receipts/" // GET + request id → Receipt, 404 while there is none
	TracesPath   = "/_artesian/api/traces/"   // GET + trace id → Trace
)

// Names of the files in the data directory by which other commands find the daemon.
const (
	DaemonFile      = "daemon.json"      // Daemon
	CredentialsFile = "credentials"      // Credentials
	MetricsKeyFile  = "keys/metrics.key" // the token with which metrics are read, and nothing else
)

// Daemon says where a running daemon listens. It is written with mode 0600 once it is ready and removed when it ends.
type Daemon struct {
	Endpoint string `json:"endpoint"` // http://127.0.0.1:PORT
	PID      int    `json:"pid"`
}

// Credentials are the key that was made at the first start. Mode 0600.
type Credentials struct {
	AccessKeyID     string `json:"access_key_id"`
	SecretAccessKey string `json:"secret_access_key"`
	SessionToken    string `json:"-"` // of temporary credentials, which the file never has
	Account         string `json:"account"`
	User            string `json:"user"`
}

// Health is the daemon's state in a word.
type Health struct {
	Status  string `json:"status"` // ready, starting or stopping
	Version string `json:"version"`
}

// Error is the body of every answer that is not a success.
type Error struct {
	Code    string `json:"code"`    // the kind of faas.Error in one word: NotFound, Invalid, …
	Message string `json:"message"` // one sentence for people
}

// URLs lists the URLs of the functions of the caller's account and region, by function and alias.
type URLs struct {
	URLs []URL `json:"urls"`
}

// URL is where one function, or one of its aliases, answers HTTP requests.
type URL struct {
	Function  string `json:"function"`
	Qualifier string `json:"qualifier,omitempty"` // an alias
	URL       string `json:"url"`                 // as the caller reaches it
	Auth      string `json:"auth"`                // NONE or AWS_IAM
	Mode      string `json:"mode"`                // BUFFERED or RESPONSE_STREAM
}

// PS lists the instances there are now, of the caller's account and region, by function and age.
type PS struct {
	Instances []Instance `json:"instances"`
}

// Instance is one sandbox with a function's code in it.
type Instance struct {
	Function  string     `json:"function"`
	Version   string     `json:"version"`
	Instance  string     `json:"instance"`
	Runtime   string     `json:"runtime"` // as configured: python3.11
	Served    string     `json:"served"`  // what really runs: python 3.11.7 (/usr/bin/python3.11)
	State     string     `json:"state"`   // busy, idle or frozen; one that starts is not listed yet
	MemoryMB  int        `json:"memory_mb"`
	PeakMB    int        `json:"peak_mb"`
	Calls     int64      `json:"calls"`
	Started   time.Time  `json:"started"`
	IdleSince *time.Time `json:"idle_since,omitempty"` // absent while it works
	// Provisioned says that it is one of those that are kept ready.
	Provisioned bool `json:"provisioned,omitempty"`
}

// Cost sums the receipts of the last Days days, today included, of the caller's account and region.
type Cost struct {
	Currency string    `json:"currency"` // USD
	Days     int       `json:"days"`
	Rows     []CostRow `json:"rows"` // by day, newest first, then function
	Total    CostRow   `json:"total"`
}

// CostRow is what one function did in one day (UTC). Prices are decimal numbers in text, so that nothing is rounded.
type CostRow struct {
	Function   string  `json:"function,omitempty"`
	Day        string  `json:"day,omitempty"` // 2006-01-02
	Calls      int64   `json:"calls"`
	Cold       int64   `json:"cold"`
	Errors     int64   `json:"errors"`
	GBSeconds  float64 `json:"gb_seconds"` // of the calls
	CPUSeconds float64 `json:"cpu_seconds"`
	Ours       string  `json:"ours"` // by the price book of this installation
	AWS        string  `json:"aws"`  // by AWS Lambda's public prices, without free tier
	// Provisioned is the memory-time of provisioned instances, called or not, in GB-s.
	Provisioned float64 `json:"provisioned_gb_seconds"`
}

// Doctor is what this installation can and cannot promise.
type Doctor struct {
	Version    string      `json:"version"`
	Endpoint   string      `json:"endpoint"`
	Data       string      `json:"data"`
	Isolation  string      `json:"isolation"` // container, gvisor or process
	Guarantees []Guarantee `json:"guarantees"`
	Runtimes   []Runtime   `json:"runtimes"`
	Paths      []Path      `json:"paths"`
	Ahead      []Ahead     `json:"ahead"` // what is made ahead of the calls that need it
}

// Ahead counts what of one kind waits for a call.
type Ahead struct {
	Form     string `json:"form"`              // blank: a sandbox; stem: with a runtime that waits; fork: with one that a zygote forked
	Runtime  string `json:"runtime,omitempty"` // none: a blank one for any
	Account  string `json:"account,omitempty"` // of a fork, which serves one account only
	Ready    int    `json:"ready"`
	Making   int    `json:"making"`
	MemoryMB int    `json:"memory_mb"` // that the node reckons with
}

// Guarantee is one property and how it is enforced, or what is missing.
type Guarantee struct {
	Name     string `json:"name"`
	Enforced bool   `json:"enforced"`
	How      string `json:"how"`
}

// Path is a place on disk that the daemon uses.
type Path struct {
	Name string `json:"name"` // data, code, sandbox, runtimes, prices, config, credentials
	Path string `json:"path"`
}

// Runtimes are the language runtimes of this node.
type Runtimes struct {
	Runtimes []Runtime `json:"runtimes"`
	Nearest  bool      `json:"nearest"` // an older version of a language may serve a newer one's functions
	Packs    []Pack    `json:"packs"`
	Asking   []Asked   `json:"asking,omitempty"` // who may be among the runtimes in a moment
}

// Asked is a file that may be an interpreter of a language and has not answered yet.
type Asked struct {
	Language string `json:"language"` // python: what the identifiers of its runtimes begin with
	Path     string `json:"path"`
}

// Pack is what runtimes of a language carry beside it.
type Pack struct {
	Name     string `json:"name"`     // boto3
	Language string `json:"language"` // python: what the identifiers of its runtimes begin with
	Title    string `json:"title"`
	Version  string `json:"version"`
	Size     int64  `json:"size"`           // bytes to download
	Path     string `json:"path,omitempty"` // on the host; empty when it is not installed
	State    string `json:"state"`          // installed, installing, or missing
}

// Runtime is one interpreter, or a family that needs none (provided).
type Runtime struct {
	Name    string `json:"name"`           // the identifier it is an exact match for: python3.11, provided.al2023
	Version string `json:"version"`        // 3.11.7; empty for provided
	Path    string `json:"path"`           // on the host; empty for provided
	Added   bool   `json:"added"`          // by `runtime add`, as against found on the host
	Note    string `json:"note,omitempty"` // why it cannot be used, if so: its file is gone
}

// AddRuntime asks to use the interpreter at Path, an absolute path on the daemon's host, or to install the pack of that name.
type AddRuntime struct {
	Path string `json:"path"`
}

// LogLine is one event of a log group, as it arrives.
type LogLine struct {
	Time    time.Time `json:"time"`
	Stream  string    `json:"stream"`
	Message string    `json:"message"`
}

// Trace is what is known of the calls of one trace, oldest first: of the newest 100,000 calls, at most 1,000.
type Trace struct {
	Receipts []Receipt `json:"receipts"`
}

// Receipt is the usage record of one invocation with its price. Prices are decimal numbers in text, in Currency.
type Receipt struct {
	faas.Usage
	Currency string `json:"currency"`
	Ours     string `json:"ours"`
	AWS      string `json:"aws"`
}
