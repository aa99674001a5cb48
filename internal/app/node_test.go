package app_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"artesian/internal/app"
)

// nodeFunctions are what testdata/lambda.mjs deploys.
var nodeFunctions = map[string]map[string]string{
	"module": {"index.mjs": `
export const handler = async (event, context) => {
  console.log('hello', event); console.warn('careful')
  if (event.fail) throw new RangeError('too far')
  return [process.env.GREETING, event.name, process.env.AWS_EXECUTION_ENV, context.clientContext]
}
`},
	"callback": {"index.js": `
exports.handler = (event, context, callback) => {
  if (event === 'exit') process.exit(7)
  if (event > 0) setTimeout(() => callback(null, { waited: event, parent: module.parent.filename }), event)
}
`},
	"streaming": {"index.mjs": `
import { pipeline } from 'node:stream/promises'
import { Readable } from 'node:stream'
export const handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.setContentType('text/plain')
  if (event.size) return pipeline(Readable.from((function* () { for (let i = 0; i < event.size; i += 100000) yield 'x'.repeat(100000) })()), stream)
  for (let i = 0; i < event.pieces; i++) stream.write('piece ' + i + '\n')
  if (event.fail) throw new Error('broke off')
  stream.end()
})
`},
}

// TestJavaScriptSDK runs Node.js functions by AWS's SDK for JavaScript.
func TestJavaScriptSDK(t *testing.T) {
	clients, err := filepath.Abs("../../.npm-clients/package.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(clients), "node_modules/@aws-sdk/client-lambda")); err != nil {
		t.Skip("needs @aws-sdk/client-lambda; scripts/setup installs it in .npm-clients:", err)
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("needs node:", err)
	}
	p := start(t, func(c *app.Config) { c.Nearest = true })
	p.role()
	zips := t.TempDir()
	for name, files := range nodeFunctions {
		if err := os.WriteFile(filepath.Join(zips, name+".zip"), zipOf(t, files), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("CLIENTS", clients)
	t.Setenv("ZIPS", zips)
	if out, err := p.client("testdata", "node", "lambda.mjs"); err != nil || strings.TrimSpace(out) != "ok" {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestCompiledAtDeploy: a package's files are compiled in the background when it is deployed, and what nobody has any more goes.
func TestCompiledAtDeploy(t *testing.T) {
	p := start(t, func(c *app.Config) { c.Nearest = true })
	p.role()
	files := map[string]string{"index.js": "exports.handler = async () => require('fs').statSync('/var/runtime/code.cache').size > 0\n" + strings.Repeat("// padding\n", 300)}
	resp, body := p.tryCreate("f", zipOf(t, files), spec{"Runtime": "nodejs20.x", "Handler": "index.handler"})
	if resp.StatusCode != 201 {
		t.Skip(body)
	}
	compiled := func() []string {
		all, _ := filepath.Glob(filepath.Join(p.data, "runtimes", "compiled", strings.Repeat("[0-9a-f]", 64)+"-*")) // not what is being written
		return all
	}
	eventually(t, "the package is compiled", func() bool { return len(compiled()) == 1 })
	p.update("f", map[string]string{"index.js": files["index.js"] + "// another\n"})
	eventually(t, "the next one is, too", func() bool { return len(compiled()) == 2 })
	if a := p.invoke("f", "1"); a.body != "true" {
		t.Errorf("%+v", a)
	}
}
