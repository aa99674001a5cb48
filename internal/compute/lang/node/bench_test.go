package node_test

import (
	"bytes"
	"io"
	"net"
	"os/exec"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/langtest"
	"artesian/internal/compute/sandbox"
)

const event = `{"name": "Ada", "list": [1, 2, 3], "nested": {"a": true, "b": null, "text": "some words"}}`

// BenchmarkWarm is one call of a function that does nothing, without a sandbox around it: while nothing else is open in it,
// and with a timer, so that the event loop waits for the call.
func BenchmarkWarm(b *testing.B) {
	for name, code := range map[string]string{"quiet": "", "timer": "setInterval(() => {}, 1e6);"} {
		for _, runtime := range []string{"nodejs20.x", "nodejs24.x"} {
			b.Run(name+"/"+runtime, func(b *testing.B) {
				f := start(b, "executed", runtime, "index.handler", files{"index.js": code + "exports.handler = async (e) => ({ name: e.name, list: e.list })"})
				if err := f.init(); err != nil {
					b.Fatal(err, f.end())
				}
				c := lang.Call{RequestID: "11111111-2222-4333-8444-555555555555", FunctionARN: "arn:aws:lambda:us-east-1:000000000000:function:f",
					Payload: []byte(event), Trace: "Root=1-2-3"}
				ctx := b.Context()
				var out bytes.Buffer
				b.ReportAllocs()
				for b.Loop() {
					out.Reset()
					c.Deadline = time.Now().Add(time.Minute)
					if _, err := f.session.Invoke(ctx, c, &out); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

const echo = `
const { readSync, writeSync } = require('fs')
const b = Buffer.alloc(1 << 16)
for (let n; (n = readSync(3, b)) > 0;) {
  const e = JSON.parse(b.utf8Slice(0, n))
  writeSync(3, JSON.stringify({ name: e.name, list: e.list }))
}
`

// BenchmarkFloor is a bare round trip to the same interpreter, which parses and writes the same JSON.
func BenchmarkFloor(b *testing.B) {
	path, err := exec.LookPath("node")
	if err != nil {
		b.Skip(err)
	}
	sb := langtest.Start(b, sandbox.Spec{Argv: []string{path, "-e", echo}, Channel: true, Mounts: []sandbox.Mount{{Source: "/", Target: "/"}}})
	go func() { _, _ = io.Copy(io.Discard, sb.Output()) }()
	var conn net.Conn = sb.Channel()
	payload, buf := []byte(event), make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(payload); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}
