package host_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/host"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// big is a module that is worth compiling. It throws on its first line, at column 3, when it is told to.
const big = `;/**/exports.fail = () => { throw new Error('here') }; exports.value = 'ONE'
exports.about = [this === module.exports, arguments.length, require.main === undefined, module.id === __filename, module.parent.filename.split('/').pop(), module.children.length, typeof require.resolve, require('fs') === process.getBuiltinModule?.('fs') || true]
exports.text = 'import("text")' // import("comment")
exports.lazy = (() => { const unused = 'x'; return () => 'lazy' })()
exports.more = () => new Error('more').stack.split('\n')[1].replace(/.*\//, '')
`

var parts = map[string]string{
	"app.js": `const big = require('./big.js'), small = require('./small.cjs'), dynamic = require('./dynamic.js')
exports.handler = async (e) => { let at = ''; try { big.fail() } catch (x) { at = x.stack.split('\n')[1].replace(/.*\//, '') }
  return [big.value, big.about, big.text, await dynamic.later(), big.lazy(), big.more(), at, small, require('fs').statSync('/var/runtime/code.cache').size > 0, Object.keys(module).sort()] }`,
	"big.js":        big + strings.Repeat("// padding, as comments and licences are\n", 60),
	"small.cjs":     "module.exports = 'small'",
	"dynamic.js":    "exports.later = () => import('./esm.mjs').then((m) => m.default)\n" + strings.Repeat("// padding\n", 300),
	"esm.mjs":       "export default 'esm'",
	"mine/own.js":   strings.Repeat("// \n", 600) + "import fs from 'fs'",
	"notjs/data.js": strings.Repeat("x y z\n", 600),
}

// TestCompiled: a function whose files were compiled behaves as one whose files were not, uses what was compiled, and does without
// what is damaged.
func TestCompiled(t *testing.T) {
	m := maker(t)
	dir := t.TempDir()
	c := host.New(host.Config{Dir: dir, Path: os.Getenv("PATH")})
	t.Cleanup(c.Close)
	r, err := c.Resolve("nodejs20.x")
	if err != nil {
		t.Skip(err)
	}
	v, code := made(t, nil)
	for name, text := range parts {
		path := filepath.Join(code, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	v.Code.SHA256 = strings.Repeat("ab", 32)
	call := func() string { return executed(t, m, r, v, code).call("1") }
	want := call()
	compiled := r.(lang.Compiled)
	spec := sandbox.Spec{ID: "c" + strings.ToLower(faas.NewUUID()), Owner: "c", TmpMB: 16, Pids: 100, Files: 100}
	if !compiled.Compile(&spec, &v, code) {
		t.Skip("this Node.js compiles nothing ahead")
	}
	sb, err := m.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	written, err := io.ReadAll(sb.Channel())
	if err != nil {
		t.Fatal(err)
	}
	said, _ := io.ReadAll(sb.Output())
	<-sb.Done()
	_ = sb.Close()
	if sb.Exit().Code != 0 || len(written) < 1000 {
		t.Fatalf("%+v, %d bytes, %s", sb.Exit(), len(written), said)
	}
	keep := func(b []byte) {
		t.Helper()
		if err := compiled.KeepCompiled(&v, bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	if index, _, _ := bytes.Cut(written[8:], []byte("]]")); !bytes.Contains(index, []byte(`"big.js"`)) || bytes.Count(index, []byte(".")) != 1 {
		t.Errorf("compiled were %s", index)
	}
	keep(written)
	if compiled.Compile(new(sandbox.Spec), &v, code) {
		t.Error("it would be compiled again")
	}
	if got := call(); got != strings.Replace(want, "false,[", "true,[", 1) {
		t.Errorf("compiled %s\n   plain %s", got, want)
	}
	// Only who uses what was compiled does not see that the source is another one: V8 compares lengths, and packages do not change.
	path := filepath.Join(code, "big.js")
	if err := os.WriteFile(path, []byte(strings.Replace(parts["big.js"], "'ONE'", "'TWO'", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := call(); !strings.HasPrefix(got, `["ONE"`) {
		t.Error("what was compiled is not used:", got)
	}
	at := bytes.Index(written, []byte("]]")) + 2
	for name, b := range map[string][]byte{
		"another V8's":   append(append(bytes.Clone(written[:at]), bytes.Repeat([]byte{0xff}, 8)...), written[at+8:]...),
		"cut off":        written[:len(written)/2],
		"no index":       written[:9],
		"something else": []byte("something else"),
	} {
		keep(b)
		if got := call(); !strings.HasPrefix(got, `["TWO"`) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// executed starts v plainly.
func executed(t *testing.T, m sandbox.Maker, r lang.Runtime, v faas.Version, code string) *function {
	t.Helper()
	spec := sandbox.Spec{ID: "f" + strings.ToLower(faas.NewUUID()), Owner: "f", MemoryMB: v.MemoryMB, TmpMB: v.TmpMB, Pids: 100, Files: 1024}
	r.Prepare(&spec, v, code, "stream")
	sb, err := m.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	f := &function{t: t, sb: sb}
	go func() { _, _ = io.Copy(io.Discard, sb.Output()) }()
	f.session = r.Attach(sb, v)
	t.Cleanup(func() { _, _ = f.session.Close(), sb.Close() })
	f.phases, f.err = f.session.Init(f.bounded())
	return f
}
