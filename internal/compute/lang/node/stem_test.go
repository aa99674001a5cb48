package node_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/framed"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// tells returns all that the documentation of Node.js lets a function find out about its process, as far as it may not differ.
var tells = files{"index.mjs": `
import { createRequire } from 'node:module'
import { execFileSync } from 'node:child_process'
import os from 'node:os'
const require = createRequire(import.meta.url)
const begun = Date.now()
const late = new Promise((resolve) => { setTimeout(() => resolve(Date.now() - begun), 30) })
export const handler = async () => ({
  env: Object.fromEntries(Object.entries(process.env).sort()),
  child: execFileSync('/usr/bin/env').toString().trim().split('\n').filter((l) => !l.startsWith('_=')).sort(),
  argv: process.argv, execArgv: process.execArgv, execPath: process.execPath, cwd: process.cwd(), title: process.title, version: process.version,
  local: new Date(1700000000000).toString(), zone: Intl.DateTimeFormat().resolvedOptions(), home: os.homedir(), tmp: os.tmpdir(),
  paths: require.resolve.paths('x'), layered: require('layered'), own: require('own'),
  cache: Object.keys(require.cache).filter((f) => !f.includes('/node-')), globals: Object.getOwnPropertyNames(globalThis).sort(),
  listeners: process.eventNames().map(String).sort(), umask: process.umask(), report: process.report?.directory,
  warned: process.listenerCount('warning'), early: (await late) < 29, active: process.getActiveResourcesInfo(), limit: Error.stackTraceLimit,
  main: String(require.main), fetch: typeof fetch, gc: typeof gc,
})`, "node_modules/own/index.js": "module.exports = 'own'"}

// TestCannotTell: a function sees the same of a process that was executed for it and of one that was assigned to it.
func TestCannotTell(t *testing.T) {
	layers := files{"nodejs/node_modules/layered/index.js": "module.exports = 'layered'"}.write(t)
	dir := tells.write(t)
	for _, runtime := range []string{"nodejs20.x", "nodejs24.x"} {
		r, err := shared.Resolve(runtime)
		if err != nil {
			t.Skipf("no interpreter for %s: %v", runtime, err)
		}
		v := version("index.handler")
		v.Env = map[string]string{"TZ": "Asia/Kathmandu", "HOME": "/tmp", "MINE": "a=b\né", "EMPTY": "", "NODE_PATH": layers + "/nodejs/node_modules"}
		var out [2]string
		for i, f := range []*function{launch(t, r, sandbox.Spec{}, v, dir), assign(t, r.(lang.Generic), v, dir)} {
			if err := f.init(); err != nil {
				t.Fatal(err, f.end())
			}
			out[i] = f.call("1").Out
		}
		for name, executed := range members(t, out[0]) {
			if assigned := members(t, out[1])[name]; !bytes.Equal(assigned, executed) {
				t.Errorf("%s: %s\nexecuted %s\nassigned %s", runtime, name, executed, assigned)
			}
		}
		for _, want := range []string{`GMT+0545`, `"layered":"layered"`, `"own":"own"`, `"MINE":"a=b\né"`, `"EMPTY":""`, `"early":false`} {
			if !strings.Contains(out[1], want) {
				t.Errorf("%s: no %s in %s", runtime, want, out[1])
			}
		}
	}
}

func members(t *testing.T, object string) (m map[string]json.RawMessage) {
	t.Helper()
	if err := json.Unmarshal([]byte(object), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestWaitsForItsAssignment: a process that waits does nothing, ends with its channel, and takes no time for its start once it has
// said that it is ready, whoever heard it.
func TestWaitsForItsAssignment(t *testing.T) {
	r, err := shared.Resolve("nodejs20.x")
	if err != nil {
		t.Skip(err)
	}
	g := r.(lang.Generic)
	var ahead, spec sandbox.Spec
	g.Generic(&ahead, 128)
	f := run(t, ahead)
	if err := framed.Greeting(bounded(t), f.sb.Channel()); err != nil {
		t.Fatal(err, f.end())
	}
	dir := files{"index.js": "exports.handler = async () => process.cpuUsage()"}.write(t)
	g.Prepare(&spec, version("index.handler"), dir, stream)
	f.session = g.Adopt(f.sb, f.sb.Here(spec), version("index.handler"))
	phases, err := f.session.Init(bounded(t))
	if err != nil || phases.Runtime != 0 || phases.Init == 0 {
		t.Error(phases, err)
	}
	if a := f.call("1"); !strings.Contains(a.Out, "user") {
		t.Error(a)
	}

	idle := run(t, ahead)
	if err := framed.Greeting(bounded(t), idle.sb.Channel()); err != nil {
		t.Fatal(err, idle.end())
	}
	_ = idle.sb.Channel().CloseWrite()
	if code, out := idle.ended(); code != 0 || out != "" {
		t.Errorf("%d %q", code, out)
	}
}

func TestUnsuited(t *testing.T) {
	r, err := shared.Resolve("nodejs20.x")
	if err != nil {
		t.Skip(err)
	}
	g := r.(lang.Generic)
	dir := t.TempDir()
	for name, want := range map[string]bool{"NODE_OPTIONS": true, "NODE_EXTRA_CA_CERTS": true, "NODE_DEBUG": true, "NODE_NO_WARNINGS": true, "UV_THREADPOOL_SIZE": true,
		"SSL_CERT_FILE": true, "LD_PRELOAD": true, "AWS_LAMBDA_EXEC_WRAPPER": true, "NODE_ENV": false, "NODE_PATH": false, "TZ": false, "NODE_CONFIG_DIR": false, "MINE": false} {
		v := version("index.handler")
		v.Env = map[string]string{name: "1"}
		if why := g.Unsuited(&v, dir, ""); (why != "") != want || want && !strings.Contains(why, name) {
			t.Errorf("%s: %q", name, why)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "libx.so"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if why := g.Unsuited(&faas.Version{}, dir, ""); !strings.Contains(why, "libx.so") {
		t.Error(why)
	}
}

// BenchmarkCold is a first call to a process that is executed, and to one that waits: of a CommonJS and of an ES module. Without a
// sandbox around it.
func BenchmarkCold(b *testing.B) {
	for name, code := range map[string]files{"commonjs": {"index.js": "exports.handler = async (e) => e"}, "module": {"index.mjs": "export const handler = async (e) => e"}} {
		for _, way := range ways {
			b.Run(name+"/"+way, func(b *testing.B) {
				r, err := shared.Resolve("nodejs20.x")
				if err != nil {
					b.Skip(err)
				}
				v, dir := version("index.handler"), code.write(b)
				for b.Loop() {
					b.StopTimer()
					var f *function
					if way == "assigned" {
						var ahead sandbox.Spec
						r.(lang.Generic).Generic(&ahead, v.MemoryMB)
						f = run(b, ahead)
						if err := framed.Greeting(bounded(b), f.sb.Channel()); err != nil {
							b.Fatal(err)
						}
					}
					b.StartTimer()
					var spec sandbox.Spec
					r.Prepare(&spec, v, dir, stream)
					if f != nil {
						f.session = r.(lang.Generic).Adopt(f.sb, f.sb.Here(spec), v)
					} else {
						f = run(b, spec)
						f.session = r.Attach(f.sb, v)
					}
					if err := f.init(); err != nil {
						b.Fatal(err)
					}
					var out bytes.Buffer
					if _, err := f.session.Invoke(b.Context(), lang.Call{Payload: []byte("1")}, &out); err != nil {
						b.Fatal(err)
					}
					b.StopTimer()
					f.end()
					b.StartTimer()
				}
			})
		}
	}
}
