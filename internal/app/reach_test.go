package app_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"artesian/internal/door/gateway/admin"
)

// TestReachesNothingOfOthers has a function try to reach what is not its own: the host's services and files, other
// functions' code, the daemon and its data, other processes. It does reach the platform.
func TestReachesNothingOfOthers(t *testing.T) {
	t.Parallel()
	c := launch(t, filepath.Join(t.TempDir(), "data"))
	c.role()
	c.create("neighbour", map[string]string{"app.py": "def handler(e, c): pass\n"}, nil)
	c.invoke("neighbour", `{}`)
	code := map[string]string{"app.py": string(must(os.ReadFile("testdata/hostile/app.py"))(t))}
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	name := fmt.Sprintf("artesian-test-%d", c.pid())
	abstract := must(net.Listen("unix", "@"+name))(t)
	defer abstract.Close()
	hosts := []string{"127.0.0.1", "localhost"}
	for _, a := range must(net.InterfaceAddrs())(t) {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			hosts = append(hosts, ip.IP.String())
		}
	}
	packages := must(filepath.Glob(filepath.Join(c.data, "code", "*")))(t)
	if len(packages) < 2 {
		t.Fatalf("packages: %v", packages)
	}
	files := []string{"/etc/shadow", "/root/.bashrc", filepath.Join(c.data, admin.CredentialsFile), filepath.Join(c.data, "keys", "blob.key"), "/proc/1/environ", "/proc/1/mem", "/proc/kcore", "/dev/mem", "/dev/loop-control"}
	folders := append(packages, c.data, "/root", filepath.Join("/proc", strconv.Itoa(c.pid())), "/proc/1/fd", "/proc/1/root", "/sys")
	c.create("look_around", code, spec{"Timeout": 20})
	event := spec{"do": "look_around", "files": files, "folders": folders, "hosts": hosts, "port": l.Addr().(*net.TCPAddr).Port, "abstract": name, "pids": []int{c.pid(), os.Getpid()}}
	a := c.invoke("look_around", string(must(json.Marshal(event))(t)))
	var got struct {
		Files, Folders, Hosts map[string]string
		Abstract              string
		Pids                  []int
		Me                    int
		Signal                []any
		Health, Unsigned      int
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatalf("%v: %+v", err, a)
	}
	refused := []string{"ENOENT", "EACCES", "EPERM", "ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH", "ENXIO"}
	for _, m := range []map[string]string{got.Files, got.Folders, got.Hosts, {"abstract socket": got.Abstract, "signal to the daemon": fmt.Sprint(got.Signal[0]), "signal to the test": fmt.Sprint(got.Signal[1])}} {
		for what, how := range m {
			if !slices.Contains(append(refused, "ESRCH"), how) {
				t.Errorf("%s: %s", what, how)
			}
		}
	}
	if len(got.Files) != len(files) || len(got.Hosts) != len(hosts) {
		t.Errorf("not all was tried: %s", a.body)
	}
	for _, pid := range got.Pids {
		if pid != 1 && pid != got.Me {
			t.Errorf("it sees process %d", pid)
		}
	}
	if got.Health != http.StatusOK || got.Unsigned != http.StatusForbidden {
		t.Errorf("the platform answers %d to a health check and %d to a call without signature", got.Health, got.Unsigned)
	}
}
