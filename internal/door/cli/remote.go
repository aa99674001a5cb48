package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

// remote are the flags of every command that talks to a daemon.
type remote struct {
	Data     string `help:"The daemon's data directory." default:"${data}" env:"ARTESIAN_DATA" placeholder:"DIR" type:"path"`
	Endpoint string `help:"The daemon's URL, instead of what the data directory says." placeholder:"URL"`
	Region   string `help:"Region to work in." default:"us-east-1" env:"AWS_REGION,AWS_DEFAULT_REGION"`
	JSON     bool   `help:"Print JSON."`
}

// connect finds the daemon. It does not yet talk to it.
func (r *remote) connect() (*client, error) {
	if !faas.ValidRegion(r.Region) {
		return nil, &exitError{ExitUsage, fmt.Errorf("--region %q does not look like a region; for example us-east-1", r.Region)}
	}
	endpoint, err := r.endpoint()
	if err != nil {
		return nil, err
	}
	creds, err := r.credentials()
	if err != nil {
		return nil, err
	}
	return &client{endpoint: endpoint, creds: creds, region: r.Region, data: r.Data}, nil
}

func (r *remote) endpoint() (string, error) {
	if r.Endpoint != "" {
		u, err := url.Parse(r.Endpoint)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return "", &exitError{ExitUsage, fmt.Errorf("--endpoint %q is not a URL like http://127.0.0.1:4566", r.Endpoint)}
		}
		return strings.TrimSuffix(r.Endpoint, "/"), nil
	}
	var d admin.Daemon
	if err := readJSON(filepath.Join(r.Data, admin.DaemonFile), &d); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", r.notRunning()
		}
		return "", r.forbidden(err)
	}
	return d.Endpoint, nil
}

func (r *remote) notRunning() error {
	return &exitError{ExitNoDaemon, fmt.Errorf("no daemon runs on %s; start one with: artesian up --data %[1]s", r.Data)}
}

// credentials come from the data directory; with --endpoint, the environment's come first.
func (r *remote) credentials() (admin.Credentials, error) {
	id, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if r.Endpoint != "" && id != "" && secret != "" {
		return admin.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: os.Getenv("AWS_SESSION_TOKEN")}, nil
	}
	var c admin.Credentials
	err := readJSON(filepath.Join(r.Data, admin.CredentialsFile), &c)
	if errors.Is(err, fs.ErrNotExist) && r.Endpoint != "" {
		err = errors.New("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name the data directory with --data")
	}
	return c, r.forbidden(err)
}

// forbidden says how to reach a daemon whose data directory belongs to another user, as root's does.
func (r *remote) forbidden(err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%s belongs to another user: run this as that user, or with --endpoint URL and that user's AWS_ACCESS_KEY_ID and "+
		"AWS_SECRET_ACCESS_KEY, which artesian env prints there (%w)", r.Data, err)
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s is damaged: %w", path, err)
	}
	return nil
}

type envCmd struct {
	remote
}

func (c *envCmd) Run(s *session) error {
	cl, err := c.connect()
	if err != nil {
		return err
	}
	vars := [][2]string{
		{"AWS_ENDPOINT_URL", cl.endpoint},
		{"AWS_ACCESS_KEY_ID", cl.creds.AccessKeyID},
		{"AWS_SECRET_ACCESS_KEY", cl.creds.SecretAccessKey},
		{"AWS_SESSION_TOKEN", cl.creds.SessionToken},
		{"AWS_REGION", c.Region},
		{"AWS_DEFAULT_REGION", c.Region},
	}
	vars = slices.DeleteFunc(vars, func(v [2]string) bool { return v[0] == "AWS_SESSION_TOKEN" && v[1] == "" })
	if c.JSON {
		m := map[string]string{}
		for _, v := range vars {
			m[v[0]] = v[1]
		}
		return s.json(m)
	}
	for _, v := range vars {
		if err := s.printf("export %s=%s\n", v[0], shellQuote(v[1])); err != nil {
			return err
		}
	}
	return nil
}

// shellQuote leaves alone what needs no quotes in a POSIX shell.
func shellQuote(v string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:+=@%", r)
	}
	if v != "" && strings.IndexFunc(v, func(r rune) bool { return !plain(r) }) < 0 {
		return v
	}
	return "'" + strings.ReplaceAll(v, "'", `'\''`) + "'"
}
