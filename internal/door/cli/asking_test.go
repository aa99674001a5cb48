package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"artesian/internal/door/gateway/admin"
)

// answers are what the daemon says of its runtimes, one after the other, the last for ever.
type answers struct {
	all   []admin.Runtimes
	asked int
}

func (a *answers) MarshalJSON() ([]byte, error) {
	now := a.all[min(a.asked, len(a.all)-1)]
	a.asked++
	return json.Marshal(now)
}

// TestDeployWaitsForInterpreters: those of the function's language that have not answered are waited for, others are not.
func TestDeployWaitsForInterpreters(t *testing.T) {
	older, newer := admin.Runtime{Name: "python3.9", Version: "3.9.2", Path: "/no/python3.9"}, admin.Runtime{Name: "python3.13", Version: "3.13.1", Path: "/no/python3.13"}
	node := admin.Asked{Language: "nodejs", Path: "/no/node"}
	silent := []admin.Asked{{Language: "python", Path: "/no/python3.13"}, node}
	for name, a := range map[string]*answers{
		"none has answered": {all: []admin.Runtimes{{Asking: silent}, {Asking: silent}, {Runtimes: []admin.Runtime{newer, older}, Asking: []admin.Asked{node}}}},
		"an older one has":  {all: []admin.Runtimes{{Runtimes: []admin.Runtime{older}, Asking: silent}, {Runtimes: []admin.Runtime{newer, older}, Asking: []admin.Asked{node}}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.own[admin.RuntimesPath] = a
			got := f.run(t, "", "deploy", folder(t, map[string]string{"app.py": "def handler(event, context):\n    return 1\n"}))
			if got.status != 0 || a.asked != len(a.all) {
				t.Fatalf("asked %d times: %+v", a.asked, got)
			}
			contains(t, got.out, "runtime python3.13, served by python 3.13.1")
		})
	}
}

// TestRuntimeListTellsOfTheSilent: who has not answered is named beside the list, and in its JSON.
func TestRuntimeListTellsOfTheSilent(t *testing.T) {
	f := newFake(t)
	f.own[admin.RuntimesPath] = admin.Runtimes{Runtimes: []admin.Runtime{}, Asking: []admin.Asked{{Language: "python", Path: "/no/python3.13"}}}
	if got := f.run(t, "", "runtime", "list"); got.status != 0 || !strings.Contains(got.err, "/no/python3.13 has not answered yet") {
		t.Errorf("%+v", got)
	}
	if got := f.run(t, "", "runtime", "list", "--json"); got.status != 0 || !strings.Contains(strings.Join(strings.Fields(got.out), ""), `"asking":[{"language":"python","path":"/no/python3.13"}]`) {
		t.Errorf("%+v", got)
	}
}
