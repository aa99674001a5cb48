package node_test

import (
	"bytes"
	"strconv"
	"testing"
	"time"

	"artesian/internal/compute/lang"
)

// lookers are ways to look at the variable that changes with each call. Each handler returns what it sees, null for nothing.
var lookers = map[string]files{
	"name":       {"index.js": `exports.handler = async () => process.env._X_AMZN_TRACE_ID ?? null`},
	"late":       {"index.js": `let n = 0; exports.handler = async (e, c) => n++ < 1 ? e : process.env._X_AMZN_TRACE_ID ?? null`},
	"kept":       {"index.js": `const { env } = process; exports.handler = async () => ({ ...env })._X_AMZN_TRACE_ID ?? null`},
	"module":     {"index.mjs": `import { env } from 'node:process'; export const handler = async () => env._X_AMZN_TRACE_ID ?? null`},
	"imports":    {"index.mjs": `export const handler = async () => (await import('./env.mjs')).default._X_AMZN_TRACE_ID ?? null`, "env.mjs": `export default process.env`},
	"exported":   {"index.mjs": `import { env } from './env.cjs'; export const handler = async () => env._X_AMZN_TRACE_ID ?? null`, "env.cjs": `module.exports = process; exports.env = 1`},
	"replaced":   {"index.js": `process.env = { ...process.env }; exports.handler = async () => process.env._X_AMZN_TRACE_ID ?? null`},
	"overlaid":   {"index.js": `process.env = { A: '1' }; exports.handler = async () => process.env._X_AMZN_TRACE_ID ?? null`},
	"descriptor": {"index.js": `exports.handler = async () => Object.values(Object.getOwnPropertyDescriptors(process)).map((d) => d.get?.call(process) ?? d.value).find((v) => v?.LAMBDA_TASK_ROOT)._X_AMZN_TRACE_ID ?? null`},
	"child":      {"index.js": `const { execFileSync } = require('child_process'); exports.handler = async () => /^_X_AMZN_TRACE_ID=(.*)$/m.exec(execFileSync('/usr/bin/env').toString())?.[1] ?? null`},
	"promised": {"index.js": `const { execFile } = require('child_process')
exports.handler = () => new Promise((resolve) => execFile('/usr/bin/env', (e, out) => resolve(/^_X_AMZN_TRACE_ID=(.*)$/m.exec(out)?.[1] ?? null)))`},
	"thread": {"index.js": `const { Worker } = require('worker_threads')
exports.handler = () => new Promise((resolve) => new Worker('require("worker_threads").parentPort.postMessage(process.env._X_AMZN_TRACE_ID ?? null)', { eval: true }).once('message', resolve))`},
	"thread that shares": {"index.js": `const { Worker, SHARE_ENV } = require('worker_threads')
exports.handler = () => new Promise((resolve) => new Worker('require("worker_threads").parentPort.postMessage(process.env._X_AMZN_TRACE_ID ?? null)', { eval: true, env: SHARE_ENV }).once('message', resolve))`},
	"report": {"index.js": `exports.handler = async () => process.report.getReport().environmentVariables._X_AMZN_TRACE_ID ?? null`},
	"text":   {"index.js": `exports.handler = async () => /_X_AMZN_TRACE_ID: '(.*)'/.exec(require('util').inspect(process.env))?.[1] ?? null`},
	"plain":  {"index.js": `process.env.X; const d = Object.getOwnPropertyDescriptor(process, 'env'); exports.handler = async () => d.writable && d.value === process.env ? process.env._X_AMZN_TRACE_ID ?? null : 'no plain property'`},
}

// TestTraceIsSeen: however a function looks at its environment, and whenever for the first time, it sees the trace of this call.
func TestTraceIsSeen(t *testing.T) {
	for name, code := range lookers {
		for _, runtime := range []string{"nodejs20.x", "nodejs24.x"} {
			t.Run(name+"/"+runtime, func(t *testing.T) {
				t.Parallel()
				both(t, func(t *testing.T, way string) {
					f := start(t, way, runtime, "index.handler", code)
					if err := f.init(); err != nil {
						t.Fatal(err, f.end())
					}
					for _, trace := range []string{"Root=1-a", "Root=1-b", "", "Root=1-c"} {
						want := "null"
						if trace != "" {
							want = strconv.Quote(trace)
						}
						var out bytes.Buffer
						c := lang.Call{RequestID: "r", FunctionARN: "arn:f", Payload: []byte(want), Deadline: time.Now().Add(time.Minute), Trace: trace}
						if failure, err := f.session.Invoke(bounded(t), c, &out); err != nil || failure != nil || out.String() != want {
							t.Fatalf("it sees %s of %s: %v, %v\n%s", out.String(), want, failure, err, f.end())
						}
					}
				})
			})
		}
	}
}
