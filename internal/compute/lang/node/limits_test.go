package node_test

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// TestLimits: what no answer, log record or error may have, and a function that goes on afterwards.
func TestLimits(t *testing.T) {
	both(t, func(t *testing.T, way string) {
		f := start(t, way, "nodejs20.x", "index.handler", files{"index.js": `
exports.handler = async (e) => {
  if (e === 'big') return 'x'.repeat(7 << 20)
  if (e === 'big error') throw new Error('x'.repeat(7 << 20))
  if (e === 'log') console.log('é'.repeat(200000))
  if (e === 'type') { const x = new Error('m'); x.name = 'é'.repeat(300); throw x }
  return e
}`})
		if err := f.init(); err != nil {
			t.Fatal(err)
		}
		for event, kind := range map[string]string{`"big"`: "Function.ResponseSizeTooLarge", `"big error"`: "Function.ResponseSizeTooLarge", `"log"`: "", `"fine"`: ""} {
			if a := f.call(event); a.Type != kind || kind == "" && a.Out != event {
				t.Errorf("%s: %.200v", event, a)
			}
		}
		if a := f.call(`"type"`); !strings.HasPrefix(a.Type, "éé") || len(a.Type) > 256 {
			t.Errorf("%.200v", a)
		}
		logged := 0
		for _, r := range records(f.end()) {
			logged += strings.Count(r, "é")
		}
		if logged < 200000 {
			t.Error("the record has lost something:", logged)
		}
	})
}

// TestWaitsInTheLoop: what a function has started goes on while it waits for the next call, and signals reach it.
func TestWaitsInTheLoop(t *testing.T) {
	both(t, func(t *testing.T, way string) {
		f := start(t, way, "nodejs20.x", "index.handler", files{"index.js": `
process.on('SIGTERM', () => { console.log('told'); process.exit(0) })
let ticks = 0
setInterval(() => ticks++, 1)
exports.handler = async (e) => e === 'ticks' ? ticks : e`})
		if err := f.init(); err != nil {
			t.Fatal(err)
		}
		long := `"` + strings.Repeat("x", 4<<20) + `"`
		for _, event := range []string{"1", long, "2", long} {
			if a := f.call(event); a.Out != event {
				t.Fatalf("%.100v", a)
			}
		}
		if a := f.call(`"ticks"`); a.Out == "0" {
			t.Error("the timer has not run")
		}
		if err := f.sb.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code, out := f.ended(); code != 0 || !strings.Contains(out, "told") {
			t.Error(code, out)
		}
	})
}

// TestOpensLater: what a call starts, after calls that started nothing, goes on while the process waits for the next one.
func TestOpensLater(t *testing.T) {
	for name, code := range map[string]string{
		"timer":     "setTimeout(end, 20)",
		"repeated":  "const i = setInterval(() => { clearInterval(i); end() }, 20)",
		"immediate": "setImmediate(() => setImmediate(() => setImmediate(end)))",
		"file":      "require('fs').readFile(__filename, end)",
		"promised":  "require('fs').promises.readFile(__filename).then(end)",
		"child":     "require('child_process').spawn('true').on('exit', end)",
		"socket":    "const s = require('net').createServer(end).listen(0, '127.0.0.1', () => require('net').connect(s.address().port, '127.0.0.1'))",
		"name":      "require('dns').lookup('localhost', end)",
		"port":      "const { port1, port2 } = new MessageChannel(); port1.onmessage = end; setTimeout(() => port2.postMessage(1), 5).unref()",
		"signal":    "process.on('SIGUSR2', end); process.kill(process.pid, 'SIGUSR2')",
	} {
		for _, runtime := range []string{"nodejs20.x", "nodejs24.x"} {
			t.Run(name+"/"+runtime, func(t *testing.T) {
				f := start(t, "executed", runtime, "index.handler", files{"index.js": "const end = () => process.exit(7)\nexports.handler = async (e) => { if (e) { " + code + " } }"})
				if err := f.init(); err != nil {
					t.Fatal(err, f.end())
				}
				for range 5 {
					if a := f.call("0"); a.Out != "null" {
						t.Fatal(a)
					}
				}
				f.call("1")
				if code, out := f.ended(); code != 7 {
					t.Error(code, out)
				}
			})
		}
	}
}

// TestFollows: calls that follow one another in one turn of the event loop hold up nothing that waits for it to turn, and what nobody caught
// in one is not the next one's affair.
func TestFollows(t *testing.T) {
	for name, c := range map[string]struct{ code, want string }{
		"timer that does not hold the loop":  {"let n = 0; setTimeout(() => n++, 1).unref(); exports.handler = async () => n", "1"},
		"whatever the function's clock says": {"let n = 0; Date.now = () => 0; setTimeout(() => n++, 1).unref(); exports.handler = async () => n", "1"},
		"caught by the function":             {"let n = 0; process.on('uncaughtException', () => n++); exports.handler = async (e) => { queueMicrotask(() => process.nextTick(() => { throw new Error('late') })); return Math.min(n, 2) }", "2"},
		"rejection":                          {"let n = 0; process.on('unhandledRejection', () => n++); exports.handler = async (e) => { Promise.reject(new Error('late')); return Math.min(n, 2) }", "2"},
		"without next ticks":                 {"let n = 0; exports.handler = async (e) => { await null; process.nextTick(() => n++); return Math.min(n, 2) }", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, "executed", "nodejs24.x", "index.handler", files{"index.js": c.code, "early.cjs": "delete process._tickCallback"}, func(v *faas.Version) {
				if name == "without next ticks" {
					v.Env = map[string]string{"NODE_OPTIONS": "--require=./early.cjs"}
				}
			})
			if err := f.init(); err != nil {
				t.Fatal(err, f.end())
			}
			for end := time.Now().Add(20 * time.Second); ; {
				a := f.call("1")
				if a.Out == c.want {
					return
				}
				if a.Type != "" || time.Now().After(end) {
					t.Fatal(a, f.end())
				}
			}
		})
	}
}

func TestBadMark(t *testing.T) {
	both(t, func(t *testing.T, way string) {
		f := start(t, way, "nodejs20.x", "index.handler", files{"index.js": "exports.handler = async () => 1; exports.handler[Symbol.for('aws.lambda.runtime.handler.streaming')] = 'request'"})
		var failure *lang.Failure
		if err := f.init(); !errors.As(err, &failure) || failure.Type != "Runtime.MalformedStreamingHandler" {
			t.Error(err)
		}
	})
}

// TestChildHasNoChannel: what a function starts can't answer in its place.
func TestChildHasNoChannel(t *testing.T) {
	both(t, func(t *testing.T, way string) {
		f := start(t, way, "nodejs20.x", "index.handler", files{"index.js": `
exports.handler = async () => require('child_process').execFileSync('sh', ['-c', 'ls /proc/self/fd/3 2>&1; true']).toString()`})
		if err := f.init(); err != nil {
			t.Fatal(err)
		}
		if a := f.call("1"); strings.Contains(a.Out, "socket") || !strings.Contains(a.Out, "/fd/3") {
			t.Error(a)
		}
	})
}

// TestQuietSDK: the AWS SDK warns of old versions of Node.js unless it is told not to.
func TestQuietSDK(t *testing.T) {
	both(t, func(t *testing.T, way string) {
		code := files{"index.js": "exports.handler = async () => process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"}
		for own, want := range map[string]string{"": `"true"`, "false": `"false"`} {
			f := start(t, way, "nodejs20.x", "index.handler", code, func(v *faas.Version) {
				if own != "" {
					v.Env = map[string]string{"AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED": own}
				}
			})
			if err := f.init(); err != nil {
				t.Fatal(err)
			}
			if a := f.call("1"); a.Out != want {
				t.Errorf("%q: %s", own, a.Out)
			}
		}
	})
}

// TestFlags: what Lambda switches off is off, unless the function wants it.
func TestFlags(t *testing.T) {
	both(t, func(t *testing.T, way string) {
		code := files{"index.js": "exports.handler = async () => [process.execArgv, process.env.AWS_EXECUTION_ENV]"}
		for _, c := range []struct {
			runtime, options string
			off              bool
		}{{"nodejs20.x", "", true}, {"nodejs20.x", "--experimental-require-module", false}, {"nodejs24.x", "", false}} {
			r, err := shared.Resolve(c.runtime)
			if err != nil {
				t.Skipf("no interpreter for %s: %v", c.runtime, err)
			}
			old := strings.HasPrefix(r.Served(), "node 16.") || strings.HasPrefix(r.Served(), "node 18.")
			if old && c.options != "" {
				continue // it refuses to start with a flag that it does not know
			}
			f := start(t, way, c.runtime, "index.handler", code, func(v *faas.Version) { v.Env = map[string]string{"NODE_OPTIONS": c.options} })
			if err := f.init(); err != nil {
				t.Fatal(err)
			}
			a := f.call("1")
			if !strings.Contains(a.Out, "--max-old-space-size=231") || !strings.Contains(a.Out, "AWS_Lambda_"+c.runtime) {
				t.Error(a)
			}
			if !old && strings.Contains(a.Out, "--no-experimental-require-module") != c.off {
				t.Errorf("%+v: %v", c, a)
			}
		}
	})
}

// TestLayered: the modules of layers are where ES modules look, and nothing is where there are none.
func TestLayered(t *testing.T) {
	r, err := shared.Resolve("nodejs18.x")
	if err != nil {
		t.Skip("no interpreter:", err)
	}
	with, without := files{"nodejs/node_modules/m/index.js": ""}.write(t), files{"python/m.py": ""}.write(t)
	for _, c := range []struct{ dir, want string }{{with, filepath.Join(with, "nodejs/node_modules")}, {without, ""}} {
		spec := sandbox.Spec{Mounts: []sandbox.Mount{{Source: c.dir, Target: "/opt"}}}
		r.Prepare(&spec, version("index.handler"), t.TempDir(), "stream")
		got := ""
		for _, m := range spec.Mounts {
			if m.Target == "/var/node_modules" {
				got = m.Source
			}
		}
		if got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
