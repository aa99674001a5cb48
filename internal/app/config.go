package app

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"artesian/internal/compute/lang/fetch"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// Config is all that can be set about a daemon. Its defaults are those of DefaultConfig; config.json in the data
// directory, decoded strictly, may change what has a json name; what is typed on the command line wins.
type Config struct {
	Data      string        `json:"-"`         // directory of everything durable
	Listen    string        `json:"-"`         // host:port; port 0 takes a free one
	Account   string        `json:"-"`         // 12 digits
	Isolation sandbox.Level `json:"-"`         // container, gvisor or process
	Nearest   bool          `json:"-"`         // an older version of a language may serve a newer one's functions
	Idle      time.Duration `json:"-"`         // an instance without work lives this long; 0: as long as its function's habits are worth its memory
	Templates bool          `json:"-"`         // an experiment: versions that are slow to initialise get instances copied from an initialised one
	Version   string        `json:"-"`         // of this program
	Logger    *slog.Logger  `json:"-"`         // the daemon's own log
	Hosts     []string      `json:"hosts"`     // public names under which the platform is reached
	MemoryMB  int           `json:"memory_mb"` // of all functions together; default: the machine's less a tenth, at least 512 MB
	// AheadMB is how much of MemoryMB may be taken by sandboxes and runtimes that are started ahead of the calls that need them; 0:
	// nothing is. Default: an eighth, at most 1,024.
	AheadMB int `json:"ahead_mb"`
	// Internet says whether functions reach the internet that say nothing about it themselves.
	Internet bool `json:"internet"`
	// Reclaim has idle instances' memory pushed out where all swap is compressed memory.
	Reclaim bool `json:"reclaim"`
	// EgressAllow are ranges of addresses that are not the internet, such as a private network, and that functions may reach.
	EgressAllow []string `json:"egress_allow"`
	// Concurrency is how many executions may run at once per account and region.
	Concurrency int `json:"concurrency"`
	// MaxTimeout is the longest timeout that a function may be given, in seconds.
	MaxTimeout int `json:"max_timeout"`
	// LogGroupMB and LogTotalMB bound the log of one function and of all, on disk. In a group the oldest lines go first; of
	// all, those of the largest account's largest group.
	LogGroupMB int `json:"log_group_mb"`
	LogTotalMB int `json:"log_total_mb"`
	// ImagesMB bounds what the images of versions with SnapStart take of the disk together. Those that were not used longest go first.
	ImagesMB int `json:"images_mb"`
	// Registries are where runtime packs are got from, when a function first needs them.
	Registries fetch.Registries `json:"registries"`

	machineMB int // the machine's memory
}

// DefaultConfig returns the settings of a daemon of which nothing is said but where its data is.
func DefaultConfig(data string) Config {
	return Config{
		Data:        data,
		Listen:      "127.0.0.1:4566",
		Account:     faas.DefaultAccount,
		Isolation:   sandbox.Container,
		AheadMB:     -1,
		Internet:    true,
		Version:     "dev",
		Logger:      slog.New(slog.DiscardHandler),
		Concurrency: faas.DefaultConcurrency,
		MaxTimeout:  int(faas.MaxTimeout.Seconds()),
		LogGroupMB:  512,
		LogTotalMB:  4096,
		ImagesMB:    10240,
		Registries:  fetch.Public(),
	}
}

// minLogMB is the least that a log may be bounded to.
const minLogMB = 4

// configFile is read from the data directory when it is there.
const configFile = "config.json"

// load applies config.json and fills in what depends on the machine.
func (c *Config) load() error {
	b, err := os.ReadFile(filepath.Join(c.Data, configFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read %s: %w", configFile, err)
	}
	if err == nil {
		if err := decodeOnly(b, c); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(c.Data, configFile), err)
		}
	}
	if c.machineMB, err = machineMemory(); err != nil {
		return err
	}
	if c.MemoryMB == 0 {
		c.MemoryMB = max(c.machineMB-max(c.machineMB/10, 512), faas.MinMemoryMB)
	}
	if c.AheadMB < -1 {
		return fmt.Errorf("ahead_mb %d: it must be at least 0", c.AheadMB)
	}
	if c.AheadMB == -1 {
		c.AheadMB = min(c.MemoryMB/shareOfAhead, mostAheadMB)
	}
	if c.AheadMB > c.MemoryMB {
		return fmt.Errorf("ahead_mb is %d: it is a part of memory_mb, which is %d", c.AheadMB, c.MemoryMB)
	}
	return c.check()
}

// decodeOnly decodes a document that is one JSON value of known fields and nothing else.
func decodeOnly(b []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return inWords(err, b)
	}
	if rest := bytes.TrimSpace(b[dec.InputOffset():]); len(rest) > 0 {
		return fmt.Errorf("after the settings, which end at byte %d, there is more: %.40q", dec.InputOffset(), rest)
	}
	return nil
}

// inWords says of a document that it is empty, where it stops being JSON, or which setting is of another kind.
func inWords(err error, b []byte) error {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("it is empty; without settings it is {}, or isn't there")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it ends in the middle: a brace, bracket or quote is not closed")
	case errors.As(err, &syntax):
		before := b[:max(0, min(int(syntax.Offset)-1, len(b)))]
		return fmt.Errorf("line %d, column %d: %w", bytes.Count(before, []byte("\n"))+1, len(before)-bytes.LastIndexByte(before, '\n'), err)
	case errors.As(err, &kind):
		wants := map[reflect.Kind]string{reflect.Bool: "true or false", reflect.Int: "a whole number", reflect.String: "a text in quotes",
			reflect.Slice: "a list in brackets"}[kind.Type.Kind()]
		return fmt.Errorf("%s must be %s; what is there is of the kind %s", cmp.Or(kind.Field, "the document"), cmp.Or(wants, "an object in braces"), kind.Value)
	}
	return err
}

// checkHost refuses what no request's Host can match once its port is taken off.
func checkHost(h string) error {
	refuse := func(why string) error {
		return fmt.Errorf("hosts has %.200q: %s", h, why)
	}
	if _, err := netip.ParseAddr(h); err == nil {
		return nil
	}
	switch {
	case h == "":
		return refuse("a name is needed")
	case strings.Contains(h, "://"):
		return refuse("name the host alone, without a scheme")
	case strings.ContainsAny(h, "/?#@"):
		return refuse("name the host alone, without a path or user")
	case strings.ContainsAny(h, "[]"):
		return refuse("write an IPv6 address without brackets and port")
	case strings.Contains(h, ":"):
		return refuse("name the host alone, without a port: every port is answered")
	case strings.Contains(h, "*"):
		return refuse("there are no patterns; name every host")
	}
	for label := range strings.SplitSeq(h, ".") {
		if label == "" || len(label) > 63 || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return refuse("it is not a host name of letters, digits, hyphens and dots; other letters are written in punycode (xn--…)")
		}
	}
	return nil
}

func (c *Config) check() error {
	for _, h := range c.Hosts {
		if err := checkHost(h); err != nil {
			return err
		}
	}
	if err := c.Registries.Check(); err != nil {
		return err
	}
	if err := c.CheckTyped(); err != nil {
		return err
	}
	if err := c.checkInternet(); err != nil {
		return err
	}
	if c.MemoryMB < faas.MinMemoryMB {
		return fmt.Errorf("memory_mb is %d: functions need at least %d together", c.MemoryMB, faas.MinMemoryMB)
	}
	if c.LogGroupMB < minLogMB || c.LogTotalMB < c.LogGroupMB {
		return fmt.Errorf("log_group_mb is %d and log_total_mb %d: at least %d, and the total at least a group", c.LogGroupMB, c.LogTotalMB, minLogMB)
	}
	if c.ImagesMB < 0 {
		return fmt.Errorf("images_mb is %d: it must be at least 0", c.ImagesMB)
	}
	if c.Concurrency < 1 {
		return fmt.Errorf("concurrency is %d: it must be at least 1", c.Concurrency)
	}
	if c.MaxTimeout < 1 || c.MaxTimeout > math.MaxInt32 {
		return fmt.Errorf("max_timeout is %d: it must be 1 to %d seconds", c.MaxTimeout, math.MaxInt32)
	}
	return nil
}

// CheckTyped refuses what is typed on the command line and can't be.
func (c *Config) CheckTyped() error {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen address %q: it must be HOST:PORT", c.Listen)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("listen address %q: the port must be 0 to 65535", c.Listen)
	}
	if host == "" {
		return fmt.Errorf("listen address %q: name the host; 0.0.0.0 is every network of this machine", c.Listen)
	}
	if !faas.ValidAccount(c.Account) {
		return fmt.Errorf("account %q: it must have 12 digits", c.Account)
	}
	if !c.Isolation.Known() {
		return fmt.Errorf("isolation %q: it must be container, gvisor or process", c.Isolation)
	}
	if c.Templates && c.Isolation != sandbox.Container {
		return fmt.Errorf("templates: isolation level %s copies no process", c.Isolation)
	}
	if c.Idle < 0 {
		return fmt.Errorf("idle time %v: it must not be less than 0", c.Idle)
	}
	return nil
}

// machineMemory is the machine's memory in MB, or what its control group allows.
func machineMemory() (int, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("read the machine's memory: %w", err)
	}
	total := 0
	for line := range strings.Lines(string(b)) {
		if _, err := fmt.Sscanf(line, "MemTotal: %d kB", &total); err == nil {
			break
		}
	}
	mb := total >> 10
	for _, f := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if b, err := os.ReadFile(f); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && int(n>>20) < mb {
				mb = int(n >> 20)
			}
		}
	}
	return mb, nil
}
