package node_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

const big = 6 << 20

// same is a function and its events, for which our runtime and AWS's own, aws-lambda-ric, must answer and log alike.
var same = []struct {
	name    string
	handler string // index.handler unless given
	files   files
	events  []string
}{
	{"echo", "", files{"index.js": `exports.handler = async (e) => e`}, []string{
		`{"a": [1, 2.50, -0.0, 1e400, true, null, "é😀\u0000\u2028\ud83d\ude00"]}`, `"text"`, `null`, ` [1 , 2]` + "\n", `{}`, `1e3`,
		`123456789012345678901234567890`, `{"a":1,"a":2,"__proto__":{"x":1}}`, `"\ud800"`,
	}},
	{"module", "", files{"index.mjs": "const x = await Promise.resolve(41); export const handler = async (e) => [x, e, typeof require, import.meta.url.slice(-9)]"}, []string{`1`}},
	{"type module", "", files{"index.js": "export const handler = async (e) => e; export default 1", "package.json": `{"type": "module"}`}, []string{`1`}},
	{"type commonjs", "", files{"index.js": "exports.handler = async (e) => [typeof require.main, module.children.length]", "package.json": `{"type": "commonjs"}`}, []string{`1`}},
	{"bad package", "src/index.handler", files{"src/index.js": "exports.handler = async (e) => e", "src/package.json": `{`}, []string{`1`}},
	{"cjs", "", files{"index.cjs": "exports.handler = async (e) => e"}, []string{`1`}},
	{"order of forms", "", files{"index.js": "exports.handler = async () => 'js'", "index.mjs": "export const handler = async () => 'mjs'", "index.cjs": "exports.handler = async () => 'cjs'"}, []string{`1`}},
	{"folder", "src/deep/app.handler", files{"src/deep/app.js": "exports.handler = async (e) => [e, __filename.slice(-15), process.cwd() === process.env.LAMBDA_TASK_ROOT]"}, []string{`1`}},
	{"folder of a module", "src/app.handler", files{"src/app.js": "export const handler = async (e) => e", "src/package.json": `{"type":"module"}`}, []string{`1`}},
	{"nested export", "index.a.b.handler", files{"index.js": "exports.a = { b: { handler: async (e) => [e, this === undefined] } }"}, []string{`1`}},
	{"default export", "", files{"index.mjs": "export default { handler: async (e) => e }"}, []string{`1`}},
	{"default function", "index.default", files{"index.mjs": "export default async (e) => e"}, []string{`1`}},
	{"own modules", "", files{"index.js": "const m = require('m'); exports.handler = async (e) => m", "node_modules/m/index.js": "module.exports = 'own'"}, []string{`1`}},
	{"handler in a package", "m.handler", files{"node_modules/m/index.js": "exports.handler = async () => 'package'"}, []string{`1`}},
	{"values", "", files{"index.js": `
const values = {
  undefined: undefined, function: () => {}, symbol: Symbol('x'), nan: [NaN, Infinity, -0], date: new Date(0), map: new Map([[1, 2]]), buffer: Buffer.from('x'), typed: new Uint8Array(2),
  regexp: /x/, toJSON: { toJSON() { return 'own' } }, throwing: { toJSON() { throw new Error('no') } }, bigint: 1n, holes: [, 1], nested: { u: undefined, f() {}, n: null },
  unicode: 'é\u2028\u{1f600}\ud800</script>\x7f\x00"\\', error: new Error('e'), string: new String('s'), long: 'x'.repeat(100000), wide: 'é'.repeat(70000), class: new (class A { x = 1; get y() { return 2 } })(),
}
values.cycle = { self: null }; values.cycle.self = values.cycle
exports.handler = async (e) => values[e]`}, []string{`"undefined"`, `"function"`, `"symbol"`, `"nan"`, `"date"`, `"map"`, `"buffer"`, `"typed"`, `"regexp"`, `"toJSON"`, `"throwing"`,
		`"bigint"`, `"holes"`, `"nested"`, `"unicode"`, `"error"`, `"string"`, `"long"`, `"wide"`, `"class"`, `"cycle"`, `"missing"`}},
	{"errors", "", files{"index.js": `
class Own extends Error { constructor(m) { super(m); this.name = 'Own'; this.extra = { a: 1 } } }
exports.handler = async (e) => {
  if (e === 1) throw new Own('own é \x7f')
  if (e === 2) return null.x
  if (e === 3) throw 'text'
  if (e === 4) throw { message: 'm', name: 'N', stack: 'line 1\nline 2' }
  if (e === 5) throw { a: 1 }
  if (e === 6) throw null
  if (e === 7) throw undefined
  if (e === 8) throw Object.create(null)
  if (e === 9) throw new Error('outer', { cause: new Error('inner') })
  if (e === 10) { const x = new Error('m'); x.stack = undefined; throw x }
  if (e === 11) { const x = new Error('m'); x.self = x; throw x }
  if (e === 12) throw 42
  if (e === 13) return Promise.reject(new RangeError('r'))
  if (e === 14) throw new AggregateError([new Error('a')], 'all')
  if (e === 15) { const x = new Error('coded'); x.code = 'E_CODE'; throw x }
  if (e === 16) return await import('nothing-such')
  if (e === 17) require('nothing-such')
  if (e === 18) JSON.parse('{')
  return 'fine'
}`}, []string{`1`, `2`, `3`, `4`, `5`, `6`, `7`, `8`, `9`, `10`, `11`, `12`, `13`, `14`, `15`, `18`, `19`}},
	{"context", "", files{"index.js": `
const { inspect } = require('util')
exports.handler = async (e, c) => {
  const r = c.getRemainingTimeInMillis()
  return [Object.keys(c), c, typeof r, r > 0 && r <= 60000, process.env._X_AMZN_TRACE_ID, process.env._HANDLER, process.env.TZ, inspect(c.identity), inspect(c.clientContext), inspect(c), Object.getPrototypeOf(c) === Object.prototype]
}`}, []string{`{}`, `"context"`, `{}`}},
	{"globals", "", files{"index.js": `exports.handler = async () => [Object.keys(awslambda).sort(), typeof awslambda.streamifyResponse, typeof awslambda.HttpResponseStream.from, require.main === undefined, module.parent?.filename?.slice(-9), typeof gc]`}, []string{`1`}},
	{"store", "", files{"index.js": `exports.handler = async () => { const s = awslambda.InvokeStore; return s && [s.getRequestId(), s.getXRayTraceId(), s.getTenantId(), s.hasContext(), s.set('k', 1), s.get('k')] }`}, []string{`1`, `2`}},
	{"logs", "", files{"index.js": `
console.log('at import')
exports.handler = async (e) => {
  console.log('log %s %d', 'a', 1, { b: [1] }); console.info('info\nline'); console.warn(new Error('warned').message); console.error(Object.assign(new Error('e'), { stack: 'stack' }))
  console.debug('debug'); console.trace('trace'); console.fatal && console.fatal('fatal'); console.log(); console.log(undefined, null); console.log({ a: 1 }); process.stdout.write('raw\n')
}`}, []string{`1`}},
	{"no module", "nothing.handler", files{}, []string{`1`}},
	{"no export", "index.nothing", files{"index.js": "exports.handler = 1"}, []string{`1`}},
	{"no function", "", files{"index.js": "exports.handler = 1"}, []string{`1`}},
	{"bad name", "index", files{"index.js": ""}, []string{`1`}},
	{"name with dots", "../index.handler", files{"index.js": ""}, []string{`1`}},
	{"syntax error", "", files{"index.js": "exports.handler = (=> 1"}, []string{`1`}},
	{"syntax error in a module", "", files{"index.mjs": "export const handler = (=> 1"}, []string{`1`}},
	{"missing import", "", files{"index.js": "require('nothing-such')"}, []string{`1`}},
	{"missing import in a module", "", files{"index.mjs": "import x from 'nothing-such'"}, []string{`1`}},
	{"missing name in a module", "", files{"index.mjs": "import { nothing } from 'fs'"}, []string{`1`}},
	{"error at import", "", files{"index.js": "throw new TypeError('at import')"}, []string{`1`}},
	{"text at import", "", files{"index.js": "throw 'text'"}, []string{`1`}},
	{"rejection at import", "", files{"index.mjs": "await Promise.reject(new Error('at import'))"}, []string{`1`}},
	{"require of a module", "", files{"index.js": "exports.handler = async () => { try { return Object.keys(require('./m.mjs')) } catch (e) { return e.code } }", "m.mjs": "export const x = 1"}, []string{`1`}},
	{"state", "", files{"index.js": "let n = 0; exports.handler = async () => ++n"}, []string{`1`, `1`, `1`}},
	{"big", "", files{"index.js": "exports.handler = async (e) => e.repeat(6 * 1024 * 1024 / e.length - 10)"}, []string{`"` + strings.Repeat("x", 1<<20) + `"`}},
	{"big event", "", files{"index.js": "exports.handler = async (e) => e.length"}, []string{`"` + strings.Repeat("x", big-10) + `"`}},
	{"timers", "", files{"index.js": `
exports.handler = async (e) => { const t = Date.now(); await new Promise((r) => setTimeout(r, e)); return Date.now() - t >= e - 1 }`}, []string{`50`, `50`}},
	{"left behind", "", files{"index.js": `
let n = 0
exports.handler = async () => { const was = n; setTimeout(() => n++, 5); await new Promise((r) => setTimeout(r, 30)); return was }`}, []string{`1`, `1`, `1`}},
	{"left behind, in no time", "", files{"index.js": `
let n = 0
exports.handler = async () => { const was = n; n = 0; setImmediate(() => n++); process.nextTick(() => n += 10); queueMicrotask(() => n += 100); return was }`}, []string{`1`, `1`, `1`}},
	{"next ticks", "", files{"index.js": "exports.handler = async (e) => { await new Promise((r) => process.nextTick(r)); await new Promise((r) => setImmediate(r)); await null; return e }"}, []string{`1`, `2`}},
	{"async storage", "", files{"index.js": `
const als = new (require('async_hooks').AsyncLocalStorage)()
exports.handler = async (e) => als.run(e, async () => { const was = als.getStore(); await null; process.nextTick(() => {}); await new Promise((r) => setImmediate(r)); return [was, als.getStore()] })`}, []string{`1`, `2`}},
	{"async hooks", "", files{"index.js": `
const { createHook, executionAsyncId } = require('async_hooks')
let before = 0, after = 0
createHook({ before() { before++ }, after() { after++ } }).enable()
exports.handler = async (e) => { await null; return [executionAsyncId() > 0, before - after > 0, before - after < 5] }`}, []string{`1`, `1`, `1`}},
	{"unhandled and answered", "", files{"index.js": "exports.handler = async () => { Promise.reject(new Error('floating')); return 1 }"}, []string{`1`}},
	{"unhandled and handled", "", files{"index.js": "exports.handler = async () => { const p = Promise.reject(new Error('floating')); process.nextTick(() => p.catch(() => {})); await null; return 1 }"}, []string{`1`, `1`}},
	{"thenable", "", files{"index.js": "exports.handler = () => ({ then(f) { f('then') } })"}, []string{`1`}},
	{"no promise", "", files{"index.js": "exports.handler = (e) => 'returned'"}, []string{`1`, `1`}},
	{"error without promise", "", files{"index.js": "exports.handler = (e) => { throw new Error('sync') }"}, []string{`1`, `1`}},
	{"slow without promise", "", files{"index.js": "exports.handler = (e) => { setTimeout(() => {}, 20); return 'returned' }"}, []string{`1`, `1`}},
	{"never settles", "", files{"index.js": "let n = 0; exports.handler = (e) => new Promise(() => n++)"}, []string{`1`, `1`}},
	{"exit", "", files{"index.js": "exports.handler = async (e) => process.exit(e)"}, []string{`7`}},
	{"exit 0", "", files{"index.js": "exports.handler = async (e) => process.exit(e)"}, []string{`0`}},
	{"exit at import", "", files{"index.js": "process.exit(3)"}, []string{`1`}},
	{"uncaught", "", files{"index.js": "exports.handler = () => new Promise(() => setTimeout(() => { throw new RangeError('late') }, 5))"}, []string{`1`}},
	{"unhandled", "", files{"index.js": "exports.handler = async () => { Promise.reject(new Error('floating')); await new Promise((r) => setTimeout(r, 1000)) }"}, []string{`1`}},
	{"unhandled text", "", files{"index.js": "exports.handler = async () => { Promise.reject('floating'); await new Promise((r) => setTimeout(r, 1000)) }"}, []string{`1`}},
	{"invalid event", "", files{"index.js": "exports.handler = async (e) => e"}, []string{`{`}},
	{"callback", "", files{"index.js": "exports.handler = (e, c, cb) => cb(null, [e, Object.keys(c)])"}, []string{`1`, `2`}},
	{"callback error", "", files{"index.js": "exports.handler = (e, c, cb) => cb(e)"}, []string{`"text"`, `{"a":1}`, `0`, `null`}},
	{"callback late", "", files{"index.js": "exports.handler = (e, c, cb) => { setTimeout(() => cb(null, 'late'), 10) }"}, []string{`1`, `1`}},
	{"callback twice", "", files{"index.js": "exports.handler = (e, c, cb) => { cb(null, 1); cb(null, 2); c.succeed(3) }"}, []string{`1`, `1`}},
	{"callback waits", "", files{"index.js": "let n = 0; exports.handler = (e, c, cb) => { cb(null, n); setTimeout(() => n++, 20) }"}, []string{`1`, `1`}},
	{"callback does not wait", "", files{"index.js": "let n = 0; exports.handler = (e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; cb(null, n); const t = setInterval(() => { n = 1; clearInterval(t) }, 10) }"}, []string{`1`}},
	{"callback does not wait, through others", "", files{"index.js": `
exports.handler = (e, c, cb) => {
  const it = e === 1 ? Object.create(c) : e === 2 ? new Proxy(c, {}) : Object.defineProperties({}, Object.getOwnPropertyDescriptors(c))
  const was = it.callbackWaitsForEmptyEventLoop
  it.callbackWaitsForEmptyEventLoop = false
  cb(null, [was, it.callbackWaitsForEmptyEventLoop, c.callbackWaitsForEmptyEventLoop, { ...it }.callbackWaitsForEmptyEventLoop])
  setInterval(() => {}, 1e6)
}`}, []string{`1`, `2`, `3`}},
	{"callback circular", "", files{"index.js": "exports.handler = (e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; const x = {}; x.x = x; cb(null, x) }"}, []string{`1`, `1`}},
	{"callback circular later", "", files{"index.js": "exports.handler = (e, c, cb) => { const x = {}; x.x = x; cb(null, x) }"}, []string{`1`}},
	{"callback and error", "", files{"index.js": "exports.handler = (e, c, cb) => { cb(null, 1); throw new Error('after') }"}, []string{`1`, `1`}},
	{"never called back", "", files{"index.js": "exports.handler = (e, c, cb) => { setTimeout(() => {}, 10) }"}, []string{`1`, `1`}},
	{"called back after all", "", files{"index.js": "let last; exports.handler = (e, c, cb) => { if (last) last(null, 'old'); last = cb; }"}, []string{`1`}},
	{"done, succeed, fail", "", files{"index.js": `
exports.handler = (e, c) => { if (e === 1) c.done(null, 'done'); if (e === 2) c.done(new Error('d')); if (e === 3) c.succeed('ok'); if (e === 4) c.fail(new Error('f')); if (e === 5) c.fail(); if (e === 6) c.succeed() }`},
		[]string{`1`, `2`, `3`, `4`, `5`, `6`}},
	{"stream", "", files{"index.js": `
exports.handler = awslambda.streamifyResponse(async (e, s, c) => {
  if (e === 1) { s.write('a'); s.write(Buffer.from('b')); s.write({ c: 1 }); s.end('d') }
  if (e === 2) { s.end() }
  if (e === 3) { s.setContentType('text/plain'); s.write(Object.keys(c)); s.end(); return 'ignored' }
  if (e === 4) { s = awslambda.HttpResponseStream.from(s, { statusCode: 201, headers: { a: 'b' } }); s.write('body'); s.end() }
  if (e === 5) { throw new Error('before') }
  if (e === 7) { await require('stream/promises').pipeline(require('stream').Readable.from(['x', 'y']), s) }
  if (e === 8) { s.write('a'); try { s.setContentType('x') } catch (x) { s.write(x.name + x.message) } s.end() }
  if (e === 9) { for (let i = 0; i < 100; i++) if (!s.write('x'.repeat(1000))) await new Promise((r) => s.once('drain', r)); s.end() }
  if (e === 10) { s.end('end'); await new Promise((r) => setTimeout(r, 10)); }
})`}, []string{`1`, `2`, `3`, `4`, `7`, `8`, `9`, `10`, `1`, `5`}},
	{"stream without promise", "", files{"index.js": "exports.handler = awslambda.streamifyResponse((e, s, c) => { s.write('x') })"}, []string{`1`}},
}

// clients are AWS's runtime interface clients, as npm has them, by the identifiers whose ways they have.
var clients = map[string]string{"nodejs20.x": "ric-classic/bin/index.mjs", "nodejs24.x": "ric-modern/index.mjs"}

// custom starts the same function by a bootstrap that executes AWS's client.
func custom(t *testing.T, runtime, handler string, code files, logging faas.Logging) *function {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip(err)
	}
	client, _ := filepath.Abs("../../../../.npm-clients/node_modules/" + clients[runtime])
	if _, err := os.Stat(client); err != nil {
		t.Skip("aws-lambda-ric is not installed, see scripts/setup:", err)
	}
	shim, _ := filepath.Abs("testdata/rapid-client.cjs")
	dir := code.write(t)
	script := fmt.Sprintf("#!/bin/sh\nexec %s --expose-gc %s --require %s %s \"$_HANDLER\"\n", node, flags(t, node, runtime), shim, client)
	if err := os.WriteFile(filepath.Join(dir, "bootstrap"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	v := version(handler)
	v.Code.SHA256, v.Logging = dir, logging
	r, err := shared.Resolve("provided.al2023")
	if err != nil {
		t.Fatal(err)
	}
	return launch(t, r, sandbox.Spec{Env: []string{"AWS_EXECUTION_ENV=AWS_Lambda_" + runtime}}, v, dir)
}

// flags switch off what Lambda switches off, where this Node.js has it on.
func flags(t *testing.T, node, runtime string) string {
	if runtime == "nodejs24.x" || exec.Command(node, "--no-experimental-require-module", "-e", "").Run() != nil {
		return ""
	}
	return "--no-experimental-require-module"
}

func answers(t *testing.T, f *function, events []string) (all []answer) {
	err := f.init()
	if failure, ok := err.(*lang.Failure); ok {
		return []answer{{Out: string(failure.Document), Type: failure.Type}}
	}
	if err == lang.ErrExited {
		return []answer{{Exit: 2000 + f.sb.Exit().Code}}
	}
	if err != nil {
		t.Fatalf("init: %v\n%s", err, f.end())
	}
	for _, e := range events {
		a := f.call(e)
		all = append(all, a)
		if a.Exit != 0 {
			break
		}
	}
	return all
}

// Where the two may differ: the folder of the code, which only a sandbox makes /var/task; the runtime's own frames in a
// stack; and the type of an error, which the native part of AWS's client leaves out of its request.
var (
	folders = regexp.MustCompile(`/tmp/[^" ]*?/00[0-9]+`)
	frames  = regexp.MustCompile(`,"    at [^"]*(?:index\.mjs|\.cjs|node:[^"]*):[0-9]+(?::[0-9]+)?\)?"`)
	anon    = regexp.MustCompile(`,"    at (?:async )?(?:new Promise |Promise\.all |process\.processTicksAndRejections )?\(?<anonymous>\)?"`)
	texts   = regexp.MustCompile(`(?:\r|\\r|\\n)    at [^\r\\"]*(?:index\.mjs|\.cjs|node:[^\r\\"]*):[0-9]+(?::[0-9]+)?\)?`)
	stack   = regexp.MustCompile(`- [^ "]*/index\.mjs`)
)

func normal(s string) string {
	s = folders.ReplaceAllString(s, "/var/task")
	s = texts.ReplaceAllString(s, "")
	s = anon.ReplaceAllString(frames.ReplaceAllString(s, ""), "")
	return stack.ReplaceAllString(s, "- index.mjs")
}

func TestSameAsAWS(t *testing.T) {
	for _, runtime := range []string{"nodejs20.x", "nodejs24.x"} {
		for _, format := range []string{"Text", "JSON"} {
			for _, c := range same {
				if format == "JSON" && !slices.Contains([]string{"logs", "errors", "error at import", "uncaught"}, c.name) {
					continue
				}
				t.Run(runtime+"/"+format+"/"+c.name, func(t *testing.T) {
					t.Parallel()
					handler := c.handler
					if handler == "" {
						handler = "index.handler"
					}
					logging := faas.Logging{Group: "/aws/lambda/f", Format: format}
					theirs := custom(t, runtime, handler, c.files, logging)
					want := answers(t, theirs, c.events)
					logged := records(theirs.end())
					both(t, func(t *testing.T, way string) {
						ours := start(t, way, runtime, handler, c.files, func(v *faas.Version) { v.Logging = logging })
						got := answers(t, ours, c.events)
						compare(t, c.events, got, want)
						compareLogs(t, records(ours.end()), logged)
					})
				})
			}
		}
	}
}

func compare(t *testing.T, events []string, got, want []answer) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d answers, aws-lambda-ric %d:\n%.2000v\n%.2000v", len(got), len(want), got, want)
	}
	for i := range want {
		g, w := got[i], want[i]
		g.Out, w.Out = normal(g.Out), normal(w.Out)
		if g.Type != "" && (w.Type == "" || w.Type == "Runtime.Unknown") {
			w.Type = g.Type
		}
		if g != w {
			t.Errorf("event %.60s\n     ours %s %d %.2000s\n    AWS's %s %d %.2000s", events[i], g.Type, g.Exit, g.Out, w.Type, w.Exit, w.Out)
		}
	}
}

// compareLogs compares what was logged: AWS's client prints to standard output here, where a record has one line and a carriage return stands
// for a line's end.
func compareLogs(t *testing.T, got, want []string) {
	t.Helper()
	tidy := func(all []string) (out []string) {
		for _, s := range all {
			if !strings.HasPrefix(s, "Executing '") && strings.HasPrefix(strings.TrimLeft(s, `{"timesap:`), "TIME") {
				out = append(out, normal(strings.ReplaceAll(s, "\n", "\r")))
			}
		}
		return out
	}
	if g, w := tidy(got), tidy(want); !slices.Equal(g, w) {
		t.Errorf("logs\n     ours %.3000q\n    AWS's %.3000q", g, w)
	}
}
