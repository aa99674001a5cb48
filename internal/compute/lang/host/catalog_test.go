package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"artesian/internal/compute/lang/python"
	"artesian/internal/faas"
)

// fake puts an interpreter of version 3.minor.patch below dir that says of itself what facts need, and counts.
func fake(t *testing.T, dir string, minor, patch int) (path string, asked func() int) {
	t.Helper()
	name := fmt.Sprintf("python3.%d", minor)
	library := filepath.Join(dir, "lib", name)
	for _, d := range []string{library, filepath.Join(dir, "bin")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Skip(err)
	}
	binary, count := filepath.Join(dir, "bin", "real"), filepath.Join(dir, "count")
	script := fmt.Sprintf(`#!/bin/sh
echo x >> %s
echo '{"implementation":"cpython","version":[3,%d,%d],"tag":"fake","executable":"%s","prefix":"%s","stdlib":"%s","dynload":[],"packages":[]}'
`, count, minor, patch, binary, dir, library)
	path = filepath.Join(dir, "bin", name)
	for file, text := range map[string]string{library + "/os.py": "", binary: string(program), path: script} {
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return path, func() int {
		b, _ := os.ReadFile(count)
		return strings.Count(string(b), "x")
	}
}

// compiled has the bootstrap below dir pass for compiled by a fake, which can't.
func compiled(t *testing.T, dir string) {
	t.Helper()
	folder, err := python.Install(dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "bootstrap.py"))
	if err != nil {
		t.Fatal(err)
	}
	sums := fmt.Sprintf(`{"bootstrap.py": "%x"}`, sha256.Sum256(text))
	if err := os.WriteFile(filepath.Join(folder, "__pycache__", "fake.sums"), []byte(sums), 0o644); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, c *Catalog) []string {
	t.Helper()
	list, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, i := range list {
		out = append(out, i.Version+" "+i.Source)
	}
	return out
}

func TestFindsAndRemembers(t *testing.T) {
	bin, dir := t.TempDir(), t.TempDir()
	path, asked := fake(t, bin, 77, 5)
	for name, text := range map[string]string{"python3.78": "#!/bin/sh\nexit 1\n", "python3.79": "#!/bin/sh\necho nonsense\n",
		"python3.80": `#!/bin/sh` + "\n" + `echo '{"implementation":"pypy","version":[3,80,1]}'` + "\n"} {
		if err := os.WriteFile(filepath.Join(bin, "bin", name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cfg := Config{Dir: dir, Path: "/nowhere:relative:" + filepath.Dir(path)}
	if got := names(t, New(cfg)); got[0] != "3.77.5 found" || got[len(got)-1] != " built in" {
		t.Fatal(got)
	}
	names(t, New(cfg))
	if asked() != 1 {
		t.Errorf("it was asked %d times", asked())
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	names(t, New(cfg))
	if asked() != 2 {
		t.Errorf("it has changed and was asked %d times", asked())
	}
	if err := os.WriteFile(filepath.Join(dir, "interpreters.json"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := names(t, New(cfg)); got[0] != "3.77.5 found" || asked() != 3 {
		t.Error("without its memory:", got, asked())
	}
}

func TestShimsArePassedOver(t *testing.T) {
	home := t.TempDir()
	fake(t, filepath.Join(home, ".pyenv", "versions", "3.77.1"), 77, 1)
	shims := filepath.Join(home, ".pyenv", "shims")
	if err := os.MkdirAll(shims, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(shims, "python3.90"), []byte("#!/bin/sh\ntouch \"$0.ran\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := names(t, New(Config{Dir: t.TempDir(), Path: shims, Home: home})); got[0] != "3.77.1 found" {
		t.Error(got)
	}
	if _, err := os.Stat(filepath.Join(shims, "python3.90.ran")); err == nil {
		t.Error("a shim was run")
	}
}

func TestAddAndRemove(t *testing.T) {
	path, _ := fake(t, t.TempDir(), 77, 1)
	cfg := Config{Dir: t.TempDir()}
	compiled(t, cfg.Dir)
	c := New(cfg)
	info, err := c.Add(t.Context(), path)
	if err != nil || info.Name != "python3.77" || info.Source != "added" {
		t.Fatal(info, err)
	}
	if got := names(t, New(cfg)); got[0] != "3.77.1 added" {
		t.Error("after a restart:", got)
	}
	r, err := c.Resolve("python3.13")
	if err != nil {
		t.Fatal(err)
	}
	if list := names(t, c); len(list) == 2 && !strings.HasSuffix(r.Served(), " in place of python3.13") {
		t.Error(r.Served())
	}
	if err := c.Remove(t.Context(), info.Path); err != nil {
		t.Fatal(err)
	}
	if got := names(t, c); slices.Contains(got, "3.77.1 added") {
		t.Error("after its removal:", got)
	}
	if err := c.Remove(t.Context(), info.Path); faas.KindOf(err) != faas.NotFound {
		t.Error(err)
	}
	for _, bad := range []string{"", "relative", "/nowhere", "/etc/passwd", "/bin/sh"} {
		if _, err := c.Add(t.Context(), bad); faas.KindOf(err) != faas.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := os.WriteFile(filepath.Join(cfg.Dir, "added.json"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg).List(t.Context()); err == nil {
		t.Error("what the user added is lost silently")
	}
}

func TestChoose(t *testing.T) {
	have := func(minors ...int) (all []*entry) {
		for _, m := range minors {
			all = append(all, &entry{number: m})
		}
		return all
	}
	for _, c := range []struct {
		have    []*entry
		want    int
		nearest bool
		got     int // 0: none
	}{
		{have(13, 12, 11, 9), 11, false, 11},
		{have(13, 12, 11, 9), 10, false, 11},
		{have(13, 12, 11, 9), 14, false, 0},
		{have(13, 12, 11, 9), 14, true, 13},
		{have(13, 9), 11, true, 13},
		{have(9, 8), 10, true, 9},
		{have(9, 8), 6, false, 8},
		{nil, 11, true, 0},
	} {
		got := 0
		if e := choose(c.have, c.want, c.nearest); e != nil {
			got = e.number
		}
		if got != c.got {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestRanking(t *testing.T) {
	e := func(minor, patch int, source string) *entry {
		return &entry{number: minor, source: source, facts: &facts{Version: []int{3, minor, patch}}}
	}
	all := []*entry{e(11, 2, "found"), e(11, 7, "found"), e(12, 1, "found"), e(11, 1, "added")}
	rank(all)
	var got []string
	for _, e := range all {
		got = append(got, fmt.Sprint(e.facts.Version, e.source))
	}
	if want := []string{"[3 12 1]found", "[3 11 1]added", "[3 11 7]found", "[3 11 2]found"}; !slices.Equal(got, want) {
		t.Error(got)
	}
}

func TestRefusals(t *testing.T) {
	c := New(Config{Dir: t.TempDir()})
	for runtime, want := range map[string]struct {
		kind faas.Kind
		text string
	}{
		"python2.6":     {faas.Invalid, "Value python2.6 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [python3.14, "},
		"":              {faas.Invalid, "Member must satisfy enum value set"},
		"Python3.11":    {faas.Invalid, "Member must satisfy enum value set"},
		"nodejs14.x":    {faas.Unsupported, "runtime nodejs14.x is not served here"},
		"dotnetcore3.1": {faas.Unsupported, ""}, "go1.x": {faas.Unsupported, ""}, "ruby3.3": {faas.Unsupported, ""},
	} {
		_, err := c.Resolve(runtime)
		if faas.KindOf(err) != want.kind || err == nil || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%q: %v", runtime, err)
		}
	}
	err := missing(&pythonLanguage, "python3.14", []*entry{{number: 11, facts: &facts{Version: []int{3, 11, 2}, Executable: "/p"}}})
	if faas.KindOf(err) != faas.Invalid || !strings.Contains(err.Error(), "artesian runtime add PATH") || !strings.Contains(err.Error(), "--runtimes=nearest") {
		t.Error(err)
	}
	err = missing(&nodeLanguage, "nodejs24.x", []*entry{{number: 20, facts: &facts{Version: []int{20, 20, 2}, Executable: "/n"}}})
	if !strings.Contains(err.Error(), "there is only 20.20.2 (/n) on this machine. Have one installed with: artesian runtime add node@24; or") {
		t.Error(err)
	}
}

// TestHangingInterpreter: only who needs an interpreter that hangs waits for it, and a stop ends it.
func TestHangingInterpreter(t *testing.T) {
	defer goleak.VerifyNone(t)
	path, _ := fake(t, t.TempDir(), 13, 5)
	bin := filepath.Dir(path)
	pid := filepath.Join(bin, "pid")
	if err := os.WriteFile(filepath.Join(bin, "python3.99"), []byte("#!/bin/sh\necho $$ > "+pid+"\nsleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var logged bytes.Buffer
	c := New(Config{Dir: dir, Path: bin, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	discovered := make(chan error, 1)
	go func() { discovered <- c.Discover(ctx) }()
	begun := time.Now()
	if _, err := c.Resolve("provided.al2023"); err != nil {
		t.Fatal(err)
	}
	l, err := c.join(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if e, _ := l.choose(&pythonLanguage, 13, false); e == nil || e.number != 13 {
		t.Fatal("python3.13 is not found:", e)
	}
	if took := time.Since(begun); took > probeTime/2 {
		t.Error("the others have waited:", took)
	}
	hung := Asked{Language: "python", Path: filepath.Join(bin, "python3.99")}
	if asking, err := c.Asking(t.Context()); err != nil || !slices.Contains(asking, hung) {
		t.Error("it is not said to hang:", asking, err)
	}
	select {
	case <-l.done:
		t.Error("it does not hang")
	default:
	}
	for _, want := range []struct {
		minor int
		waits bool
	}{{99, true}, {98, true}, {13, false}, {12, false}} {
		k := &candidate{language: &pythonLanguage, path: filepath.Join(bin, "python3.99")}
		all, _, _ := l.ranked(&pythonLanguage)
		if k.beats(choose(all, want.minor, false), want.minor, false) != want.waits {
			t.Errorf("python3.%d waits: %v", want.minor, !want.waits)
		}
	}
	cancel()
	if err := <-discovered; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	text, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/" + strings.TrimSpace(string(text))); err == nil {
		t.Error("it lives on")
	}
	if text, err := os.ReadFile(filepath.Join(dir, "interpreters.json")); err == nil && strings.Contains(string(text), "python3.99") {
		t.Error("that it hung is remembered")
	}
	if logged.Len() > 0 {
		t.Error("who was broken off is blamed:", logged.String())
	}
}

// TestDamagedTools: a copy that a power loss cut short is made anew.
func TestDamagedTools(t *testing.T) {
	dir := t.TempDir()
	folder, lacks, _, err := installTools(t.Context(), dir)
	if err != nil || slices.Contains(lacks, "sh") {
		t.Fatal(err, lacks)
	}
	shell := filepath.Join(folder, "sh")
	want, err := os.Stat(shell)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func() error{
		"empty": func() error { return os.Truncate(shell, 0) }, "cut": func() error { return os.Truncate(shell, 5000) },
		"gone": func() error { return os.Remove(shell) }, "mode": func() error { return os.Chmod(shell, 0o644) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := installTools(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		if got, err := os.Stat(shell); err != nil || got.Size() != want.Size() || got.Mode() != want.Mode() {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
}
