package python_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/host"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// same is a function and its events, for which our runtime and AWS's own, awslambdaric, must answer alike.
var same = []struct {
	name    string
	handler string // app.handler unless given
	code    string
	events  []string
}{
	{"echo", "", "def handler(e, c): return e", []string{
		`{"a": [1, 2.50, -0.0, 1e400, true, null, "é😀\u0000\u2028\ud83d\ude00"]}`, `"text"`, `null`, ` [1 , 2]` + "\n", `{}`, `1e3`,
		`123456789012345678901234567890`, `{"a":1,"a":2}`,
	}},
	{"invalid events", "", "def handler(e, c): return e", []string{``, `{`, `{"a"}`, `[1,]`, `nul`, "\"\xff\"", `"\x"`, `'a'`}},
	{"values", "", `
import collections, datetime, decimal, enum, uuid
Point = collections.namedtuple("Point", "x y")
class Color(enum.IntEnum): RED = 1
class Text(str): pass
class Rec:
    def _asdict(self): return {"rec": 1}
values = {
    "none": None, "tuple": (1, 2), "named": Point(1, [Point(2, 3)]), "nan": float("nan"), "inf": [float("inf"), -float("inf")],
    "decimal": {"d": decimal.Decimal("1.10"), "n": decimal.Decimal("NaN"), "big": decimal.Decimal("1E+30")},
    "bytes": b"raw \xff", "nested bytes": {"b": b"text"}, "bad bytes": {"b": b"\xff"}, "set": {1}, "date": datetime.datetime(2026, 1, 1), "uuid": uuid.UUID(int=1),
    "enum": [Color.RED], "subclass": {"t": Text("x")}, "ordered": collections.OrderedDict(b=1, a=2), "asdict": [Rec()],
    "keys": {1: 1, 1.5: 2, True: 3, None: 4}, "bad keys": {(1, 2): 3}, "byte keys": {b"k": 1}, "unicode": "é\u2028\U0001f600</script>\x7f\x00\"\\",
    "generator": (x for x in [1]), "complex": 1j, "big": 2 ** 70, "float": [0.1, 1e22, 1e-7, 5e-324], "empty": [{}, [], ""], "deque": collections.deque([1]),
    "default": collections.defaultdict(int, a=1), "bytearray": bytearray(b"x"), "long": "x" * 100000,
}
cycle = []; cycle.append(cycle); values["cycle"] = cycle
deep = []
for _ in range(100000): deep = [deep]
values["deep"] = deep
def handler(e, c): return values[e]
`, []string{`"none"`, `"tuple"`, `"named"`, `"nan"`, `"inf"`, `"decimal"`, `"bytes"`, `"nested bytes"`, `"bad bytes"`, `"set"`, `"date"`, `"uuid"`, `"enum"`, `"subclass"`,
		`"ordered"`, `"asdict"`, `"keys"`, `"bad keys"`, `"byte keys"`, `"unicode"`, `"generator"`, `"complex"`, `"big"`, `"float"`, `"empty"`,
		`"deque"`, `"default"`, `"bytearray"`, `"long"`, `"cycle"`, `"deep"`, `"missing"`}},
	{"exceptions", "", `
class Own(Exception): pass
def fail(e): raise Own("own %s é" % e)
def handler(e, c):
    if e == 1: fail(e)
    if e == 2: return 1 / 0
    if e == 3: raise Own()
    if e == 4:
        try: fail(e)
        except Own as x: raise ValueError("second") from x
    if e == 5: raise Exception(b"x", 2)
    if e == 6: return e.missing
    if e == 7: exec("1 +")
    if e == 8: return (lambda f: f(f))(lambda f: f(f))
    if e == 9: import nothing_such
    return "fine"
`, []string{`1`, `2`, `3`, `4`, `5`, `6`, `7`, `9`, `10`}},
	{"context", "", `
import os
def handler(e, c):
    r = c.get_remaining_time_in_millis()
    return [c.function_name, c.function_version, c.invoked_function_arn, c.memory_limit_in_mb, c.aws_request_id, c.log_group_name, c.log_stream_name,
            repr(c.identity), repr(c.client_context), c.tenant_id, repr(c), type(c).__name__, type(r).__name__, 0 < r <= 60000, sorted(k for k in vars(c) if k[0] != "_"),
            os.environ.get("_X_AMZN_TRACE_ID"), os.environ["_HANDLER"], os.environ["TZ"], os.getcwd() == os.environ["LAMBDA_TASK_ROOT"]]
`, []string{`{}`, `{}`}},
	{"no module", "nothing.handler", "", []string{`{}`}},
	{"no function", "app.nothing", "x = 1", []string{`{}`}},
	{"bad name", "app", "", []string{`{}`}},
	{"builtin module", "sys.exit", "", []string{`{}`}},
	{"syntax error", "", "def handler(:\n  pass\n", []string{`{}`}},
	{"import error inside", "", "from os import nothing_such\n", []string{`{}`}},
	{"exception at import", "", "def f(): return {}['k']\nf()\n", []string{`{}`}},
	{"in a package", "pkg/sub.mod.handler", "", []string{`1`}},
	{"in a package, dots", "pkg.sub.mod.handler", "", []string{`1`}},
	{"global state", "", "n = 0\ndef handler(e, c):\n  global n\n  n += 1\n  return n\n", []string{`{}`, `{}`, `{}`}},
	{"big", "", "def handler(e, c): return e * (6 * 1024 * 1024 // len(e))\n", []string{`"` + strings.Repeat("x", 1<<20) + `"`}},
	{"path", "", "import sys\ndef handler(e, c): return [__name__, __file__[-6:], 'app' in sys.modules, handler.__module__]\n", []string{`{}`}},
}

// aws is an interpreter with AWS's runtime interface client.
type aws struct {
	host.Info
	packages string
}

// ric installs awslambdaric for the newest and the oldest interpreter here that it supports.
func ric(t *testing.T) []aws {
	list, err := shared.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]host.Info) // those that serve
	var names []string
	for _, i := range list {
		if _, ok := byName[i.Name]; !ok && strings.HasPrefix(i.Name, "python") && i.Name != "python3.8" { // AWS stopped at an older state there
			byName[i.Name] = i
			names = append(names, i.Name)
		}
	}
	var all []aws
	why := "no Python here"
	install := func(i host.Info) bool {
		packages := filepath.Join(t.TempDir(), "packages")
		out, err := exec.CommandContext(t.Context(), i.Path, "-m", "pip", "install", "--quiet", "--only-binary=:all:", "--target", packages, "awslambdaric").CombinedOutput()
		if err != nil {
			why = fmt.Sprintf("%s: %v: %.300s", i.Path, err, out)
			return false
		}
		all = append(all, aws{i, packages})
		return true
	}
	for _, n := range names {
		if install(byName[n]) {
			break
		}
	}
	slices.Reverse(names)
	for _, n := range names {
		if len(all) == 0 || n == all[0].Name || install(byName[n]) {
			break
		}
	}
	if len(all) == 0 {
		t.Skip("pip can't install awslambdaric:", why)
	}
	return all
}

// custom starts the same function by a bootstrap that executes awslambdaric.
func custom(t *testing.T, a aws, handler, code string) *function {
	dir := t.TempDir()
	write(t, dir, code)
	script := "#!/bin/sh\nexec " + a.Path + " -m awslambdaric \"$_HANDLER\"\n"
	if err := os.WriteFile(filepath.Join(dir, "bootstrap"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	v := version(handler)
	v.Code.SHA256 = dir
	r, err := shared.Resolve("provided.al2023")
	if err != nil {
		t.Fatal(err)
	}
	spec := sandbox.Spec{Env: []string{"AWS_EXECUTION_ENV=AWS_Lambda_" + a.Name, "PYTHONPATH=" + dir + ":" + a.packages}}
	return launch(t, r, spec, v, dir)
}

// answer is what one call came to.
type answer struct {
	Out, Type string
}

func answers(t *testing.T, f *function, events []string) (all []answer) {
	err := f.init()
	if failure, ok := err.(*lang.Failure); ok {
		return []answer{{string(failure.Document), failure.Type}}
	}
	if err != nil {
		t.Fatalf("init: %v\n%s", err, f.end())
	}
	for _, e := range events {
		out, failure := f.call(e)
		a := answer{Out: out}
		if failure != nil {
			a.Type = failure.Type
		}
		all = append(all, a)
	}
	return all
}

// Where the two may differ: the folders of the code and of Python's library, which only a sandbox puts at /var, and what simplejson words
// otherwise than json.
var (
	folders = regexp.MustCompile(`/tmp/[^" ]*/00[0-9]/`)
	library = regexp.MustCompile(`/[^"( ]*/lib/python3\.`)
	worded  = regexp.MustCompile(`(Unable to unmarshal input: |maximum recursion depth exceeded)[^"]*`)
)

func normal(s string) string {
	s = library.ReplaceAllString(folders.ReplaceAllString(s, "/var/task/"), "/var/lang/lib/python3.")
	var doc map[string]any
	if json.Unmarshal([]byte(s), &doc) == nil && doc["errorType"] != nil {
		s = worded.ReplaceAllString(s, "$1…")
	}
	return s
}

func TestSameAsAWS(t *testing.T) {
	for _, a := range ric(t) {
		for _, c := range same {
			t.Run(a.Name+"/"+c.name, func(t *testing.T) {
				handler := c.handler
				if handler == "" {
					handler = "app.handler"
				}
				theirs := custom(t, a, handler, c.code)
				want := answers(t, theirs, c.events)
				theirs.end()
				ours := start(t, a.Name, c.code, func(v *faas.Version) { v.Handler = handler })
				got := answers(t, ours, c.events)
				ours.end()
				if len(got) != len(want) {
					t.Fatalf("%d answers, awslambdaric %d: %v %v", len(got), len(want), got, want)
				}
				for i := range want {
					g, w := answer{normal(got[i].Out), got[i].Type}, answer{normal(want[i].Out), want[i].Type}
					if g != w {
						t.Errorf("event %.60s\n     ours %s %.2000s\n    AWS's %s %.2000s", c.events[i], g.Type, g.Out, w.Type, w.Out)
					}
				}
			})
		}
	}
}

func version(handler string) faas.Version {
	v := faas.Version{Handler: handler, MemoryMB: 128, Logging: faas.Logging{Group: "/aws/lambda/f"}}
	v.ID = faas.VersionID{FunctionID: faas.FunctionID{Scope: faas.Scope{Account: "000000000000", Region: "us-east-1"}, Name: "f"}, Version: "$LATEST"}
	return v
}

func write(t testing.TB, dir, code string) {
	t.Helper()
	sub := filepath.Join(dir, "pkg", "sub")
	if err := os.MkdirAll(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"app.py": code, "pkg/__init__.py": "", "pkg/sub/__init__.py": "",
		"pkg/sub/mod.py": "from . import other\ndef handler(e, c): return other.x + e\n", "pkg/sub/other.py": "x = 41\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
