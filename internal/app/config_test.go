package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"artesian/internal/app"
)

// TestBadConfig starts nothing and writes nothing where a setting is wrong.
func TestBadConfig(t *testing.T) {
	for name, c := range map[string]struct {
		file   string
		change func(*app.Config)
		want   string
	}{
		"unknown field":  {`{"memroy_mb": 5}`, nil, "memroy_mb"},
		"not JSON":       {`{`, nil, "config.json"},
		"not closed":     {`{"hosts": [`, nil, "ends in the middle"},
		"bad JSON":       {"{\n \"hosts\": nope}", nil, "line 2, column 12"},
		"empty":          {" \n", nil, "it is empty"},
		"text":           {`{"internet": "off"}`, nil, "internet must be true or false; what is there is of the kind string"},
		"fraction":       {`{"memory_mb": 512.5}`, nil, "memory_mb must be a whole number"},
		"list":           {`[]`, nil, "the document must be an object"},
		"ahead":          {`{"memory_mb": 500, "ahead_mb": 501}`, nil, "ahead_mb is 501"},
		"memory":         {`{"memory_mb": 5}`, nil, "memory_mb"},
		"concurrency":    {`{"concurrency": -1}`, nil, "concurrency"},
		"timeout":        {`{"max_timeout": 0}`, nil, "max_timeout"},
		"log sizes":      {`{"log_group_mb": 100, "log_total_mb": 10}`, nil, "log_group_mb"},
		"small log":      {`{"log_group_mb": 3}`, nil, "log_group_mb"},
		"more text":      {`{"memory_mb": 500} {"memory_mb": 600}`, nil, "there is more"},
		"stray brace":    {`{"memory_mb": 500}}`, nil, "there is more"},
		"host scheme":    {`{"hosts": ["https://a.example"]}`, nil, "without a scheme"},
		"host port":      {`{"hosts": ["good.example", "a.example:443"]}`, nil, `"a.example:443"`},
		"host path":      {`{"hosts": ["a.example/x"]}`, nil, "without a path"},
		"host brackets":  {`{"hosts": ["[::1]"]}`, nil, "without brackets"},
		"host pattern":   {`{"hosts": ["*.a.example"]}`, nil, "no patterns"},
		"host empty":     {`{"hosts": [""]}`, nil, "hosts has"},
		"host dot":       {`{"hosts": ["a.example."]}`, nil, "not a host name"},
		"host letters":   {`{"hosts": ["bücher.example"]}`, nil, "punycode"},
		"no host":        {``, func(c *app.Config) { c.Listen = ":80" }, "name the host"},
		"no port":        {``, func(c *app.Config) { c.Listen = "localhost" }, "HOST:PORT"},
		"port too large": {``, func(c *app.Config) { c.Listen = "127.0.0.1:70000" }, "port"},
		"account":        {``, func(c *app.Config) { c.Account = "12" }, "12 digits"},
		"isolation":      {``, func(c *app.Config) { c.Isolation = "hope" }, "isolation"},
		"egress":         {`{"egress_allow": ["10.0.0.0/8", "0.0.0.0/0"]}`, nil, "egress_allow: 0.0.0.0/0"},
		"egress text":    {`{"egress_allow": ["my network"]}`, nil, `"my network" is no range`},
		"offline plain":  {`{"internet": false}`, func(c *app.Config) { c.Isolation = "process" }, "internet is false"},
		"templates":      {``, func(c *app.Config) { c.Templates, c.Isolation = true, "process" }, "templates"},
		"idle":           {``, func(c *app.Config) { c.Idle = -1 }, "idle"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := app.DefaultConfig(t.TempDir())
			cfg.Listen = "127.0.0.1:0"
			if c.file != "" {
				if err := os.WriteFile(filepath.Join(cfg.Data, "config.json"), []byte(c.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if c.change != nil {
				c.change(&cfg)
			}
			a, err := app.Start(t.Context(), cfg)
			if err == nil {
				_ = a.Stop(t.Context())
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v does not name %q", err, c.want)
			}
			entries, _ := os.ReadDir(cfg.Data)
			for _, e := range entries {
				if e.Name() != "config.json" {
					t.Errorf("%s was written", e.Name())
				}
			}
		})
	}
}
