package cli

import (
	"errors"
	"path/filepath"
	"time"

	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

// UpOptions are the settings of a daemon, as typed.
type UpOptions struct {
	Data      string        // directory of everything durable
	Listen    string        // host:port; port 0 takes a free one
	Account   string        // 12 digits
	Runtimes  string        // exact (the version asked for or a newer one of the language) or nearest (an older one too)
	Isolation string        // container, gvisor or process
	Idle      time.Duration // how long an instance without work is kept; 0: by its function's habits
	Templates bool          // an experiment: copy initialised instances
	Log       string        // least level of the daemon's own log on stderr: debug, info, warn or error
}

// Ready is what a daemon says of itself once it serves.
type Ready struct {
	Endpoint  string   `json:"endpoint"`
	Data      string   `json:"data"`
	Account   string   `json:"account"` // filled in by the command line
	Isolation string   `json:"isolation"`
	Missing   []string `json:"missing"` // guarantees that this environment cannot give, one line each
}

type upCmd struct {
	Data      string    `help:"Directory of everything durable; made if missing." default:"${data}" env:"ARTESIAN_DATA" placeholder:"DIR" type:"path"`
	Listen    string    `help:"Address to listen on; port 0 takes a free one." default:"127.0.0.1:4566" env:"ARTESIAN_LISTEN" placeholder:"HOST:PORT"`
	Account   string    `help:"Account that the first key belongs to, 12 digits." default:"000000000000" placeholder:"N"`
	Runtimes  string    `help:"What may serve a runtime: exact (its version or a newer one) or nearest (an older one too)." enum:"exact,nearest" default:"exact"`
	Isolation string    `help:"container (namespaces, seccomp, cgroups), gvisor (that, and a kernel in user space for each instance) or process (none: only for code that you trust)." enum:"container,gvisor,process" default:"container"`
	Idle      *duration `help:"How long an instance without work is kept; a bare number is seconds. Without it, as long as the function's habits are worth its memory." placeholder:"TIME"`
	Templates bool      `help:"An experiment, see docs/templates.md: versions that are slow to initialise get instances copied from an initialised one. Isolation container only."`
	Log       string    `help:"Least level of the daemon's own log on stderr." enum:"debug,info,warn,error" default:"info"`
	JSON      bool      `help:"Print the ready line as JSON."`
}

func (c *upCmd) Run(s *session) error {
	o := UpOptions{Data: c.Data, Listen: c.Listen, Account: c.Account, Runtimes: c.Runtimes, Isolation: c.Isolation, Templates: c.Templates, Log: c.Log}
	if c.Idle != nil {
		if o.Idle = time.Duration(*c.Idle); o.Idle == 0 {
			return Usage(errors.New("idle time 0: it must be more than 0; without --idle it follows each function's habits"))
		}
	}
	var before admin.Credentials // of the last start, which are replaced when the account is another
	_ = readJSON(filepath.Join(c.Data, admin.CredentialsFile), &before)
	var unsaid error
	err := s.Up(s.ctx, o, func(r Ready) {
		r.Account = c.Account
		unsaid = c.say(s, r, before.Account)
	})
	if err == nil {
		err = unsaid
	}
	return err
}

// say prints the ready line, with the account when it is not the usual one, and last what is not as it should be.
func (c *upCmd) say(s *session, r Ready, before string) error {
	if c.JSON {
		return s.json(r)
	}
	err := s.printf("ready: %s  data %s  isolation %s%s  credentials: eval \"$(artesian env --data %s)\"\n",
		r.Endpoint, r.Data, r.Isolation, account("  account ", r.Account), shellQuote(r.Data))
	if before != "" && before != r.Account {
		s.note("account %s now, %s before, whose functions are kept: artesian up --account %[2]s", r.Account, before)
	}
	for _, m := range r.Missing {
		if err == nil {
			err = s.printf("not enforced here: %s\n", m)
		}
	}
	return err
}

// account is an account with the words before it, and nothing when it is the usual one or not known.
func account(words, a string) string {
	if a == "" || a == faas.DefaultAccount {
		return ""
	}
	return words + a
}
