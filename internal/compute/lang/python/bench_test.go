package python_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/langtest"
	"artesian/internal/compute/sandbox"
)

const event = `{"name": "Ada", "list": [1, 2, 3], "nested": {"a": true, "b": null, "text": "some words"}}`

// BenchmarkWarm is one call of a function that does nothing, without a sandbox around it.
func BenchmarkWarm(b *testing.B) {
	f := start(b, "python3.11", "def handler(e, c): return {'name': e['name'], 'list': e['list']}\n")
	if err := f.init(); err != nil {
		b.Fatal(err, f.end())
	}
	c := lang.Call{RequestID: "11111111-2222-4333-8444-555555555555", FunctionARN: "arn:aws:lambda:us-east-1:000000000000:function:f",
		Payload: []byte(event), Trace: "Root=1-2-3"}
	ctx := bounded(b)
	var out bytes.Buffer
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		c.Deadline = time.Now().Add(time.Minute)
		if _, err := f.session.Invoke(ctx, c, &out); err != nil {
			b.Fatal(err)
		}
	}
}

const echo = `
import json, os
while True:
    data = os.read(3, 65536)
    if not data: break
    e = json.loads(data)
    os.write(3, json.dumps({'name': e['name'], 'list': e['list']}).encode())
`

// BenchmarkFloor is a bare round trip to the same interpreter, which parses and writes the same JSON.
func BenchmarkFloor(b *testing.B) {
	list, err := shared.List(b.Context())
	if err != nil || list[0].Path == "" {
		b.Skip("no Python here:", err)
	}
	path := ""
	for _, i := range list {
		if i.Name == "python3.11" && path == "" {
			path = i.Path
		}
	}
	if path == "" {
		b.Skip("no python3.11 here")
	}
	sb := langtest.Start(b, sandbox.Spec{Argv: []string{path, "-c", echo}, Channel: true, Mounts: []sandbox.Mount{{Source: "/", Target: "/"}}})
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

// BenchmarkCold is the start of an interpreter until a function is initialised, and its end.
func BenchmarkCold(b *testing.B) {
	for b.Loop() {
		f := start(b, "python3.11", "def handler(e, c): return 1\n")
		if err := f.init(); err != nil {
			b.Fatal(err, f.end())
		}
		f.end()
	}
}
