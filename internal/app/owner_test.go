package app_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"artesian/internal/app"
	"artesian/internal/door/gateway/admin"
)

// TestRuntimesAreTheOwners: a key of another account cannot change what the node runs, and nobody can have the daemon run
// what a package brought.
func TestRuntimesAreTheOwners(t *testing.T) {
	p := start(t)
	guest := tenant{creds: p.creds, account: "000000000000", region: "us-east-1"}
	p.stop()
	data := p.data
	p = start(t, func(c *app.Config) { c.Data, c.Account = data, "111122223333" })
	guest.p = p
	owner := tenant{p, p.creds, "111122223333", "us-east-1"}
	owner.must(200, "POST", "iam", "/", "Action=CreateRole&Version=2010-05-08&RoleName=test&AssumeRolePolicyDocument="+url.QueryEscape(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`))
	ran := filepath.Join(t.TempDir(), "ran")
	p.create("f", map[string]string{"app.py": "def handler(e, c): pass\n", "evil": "#!/bin/sh\ntouch " + ran + "\n"},
		spec{"Role": "arn:aws:iam::111122223333:role/test"})
	p.invoke("f", `{}`)
	found, _ := filepath.Glob(filepath.Join(data, "code", "*", "evil"))
	if len(found) != 1 {
		t.Fatalf("the package is not there: %v", found)
	}
	for name, c := range map[string]struct {
		who          tenant
		method, path string
		body         string
		says         string
	}{
		"guest adds what a package brought": {guest, "POST", "", `{"path":"` + found[0] + `"}`, "only its owner"},
		"guest adds a good interpreter":     {guest, "POST", "", `{"path":"/bin/sh"}`, "only its owner"},
		"guest removes":                     {guest, "DELETE", "?path=/bin/sh", "", "only its owner"},
		"owner adds what a package brought": {owner, "POST", "", `{"path":"` + found[0] + `"}`, "data directory"},
	} {
		resp, body := c.who.call(c.method, admin.Service, admin.RuntimesPath+c.path, "application/json", c.body)
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
		mustContain(t, name, body, c.says)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("the daemon ran a package's program")
	}
	for _, path := range []string{admin.PSPath, admin.CostPath, admin.DoctorPath, admin.RuntimesPath} {
		guest.must(200, "GET", admin.Service, path, "")
	}
	var d admin.Doctor
	if err := json.Unmarshal([]byte(owner.must(200, "GET", admin.Service, admin.DoctorPath, "")), &d); err != nil {
		t.Fatal(err)
	}
	for _, place := range d.Paths {
		if _, err := os.Stat(place.Path); err != nil && place.Name != "config" {
			t.Errorf("%s is not where the doctor says: %v", place.Name, err)
		}
	}
	if len(d.Paths) != 8 {
		t.Errorf("places: %v", d.Paths)
	}
	owner.must(404, "DELETE", admin.Service, admin.RuntimesPath+"?path=/bin/sh", "")
}
