package host_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"artesian/internal/compute/lang/host"
)

const lookNode = `
const fs = require('fs'), os = require('os'), http = require('http'), crypto = require('crypto'), zlib = require('zlib')
const { Worker } = require('worker_threads'), { execFileSync } = require('child_process')
const serve = () => new Promise((resolve, reject) => {
  const s = http.createServer((q, r) => r.end('served')).listen(0, '127.0.0.1', () => {
    http.get({ port: s.address().port, host: '127.0.0.1' }, (r) => { r.setEncoding('utf8').on('data', (d) => { s.close(); resolve(d) }) }).on('error', reject)
  })
})
const work = () => new Promise((resolve, reject) => new Worker("require('worker_threads').parentPort.postMessage('worked')", { eval: true }).on('message', resolve).on('error', reject))
exports.handler = async () => {
  await fs.promises.writeFile('/tmp/x', 'x')
  return {
    exec: process.execPath, cwd: process.cwd(), argv: process.argv, path: module.paths[0], root: fs.readdirSync('/'), lang: fs.readdirSync('/var/lang'), task: fs.readdirSync('/var/task'),
    shadow: fs.existsSync('/etc/shadow'), host: fs.existsSync('/root'), home: os.homedir(), pid: process.pid, env: process.env.NODE_PATH,
    shell: execFileSync('sh', ['-c', 'echo $((1+1)); ls /proc/self/fd | wc -l']).toString(), child: execFileSync('node', ['-p', '1+1']).toString(),
    served: await serve(), worked: await work(), zipped: zlib.gunzipSync(zlib.gzipSync('zip')).toString(), random: crypto.randomBytes(4).length,
    zone: new Intl.DateTimeFormat('de', { timeZone: 'Europe/Berlin', timeStyle: 'short' }).format(new Date(0)), heap: Math.round(require('v8').getHeapStatistics().heap_size_limit / 2 ** 20),
    wasm: WebAssembly.validate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])), fetch: typeof fetch,
  }
}
`

// TestNodeInContainer: every Node.js of this machine finds all it needs inside, and nothing of the host.
func TestNodeInContainer(t *testing.T) {
	m := maker(t)
	c := host.New(host.Config{Dir: t.TempDir(), Path: os.Getenv("PATH"), Home: os.Getenv("HOME")})
	needs(t, c, "sh", "ls", "wc")
	list, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, i := range list {
		if !strings.HasPrefix(i.Name, "nodejs") {
			continue
		}
		found = true
		t.Run(i.Version+strings.ReplaceAll(i.Path, "/", "_"), func(t *testing.T) {
			only := host.New(host.Config{Dir: t.TempDir(), Path: os.Getenv("PATH"), Home: os.Getenv("HOME"), Nearest: true})
			if _, err := only.Add(t.Context(), i.Path); err != nil {
				t.Fatal(err)
			}
			r, err := only.Resolve(i.Name)
			if err != nil {
				t.Fatal(err)
			}
			f := start(t, m, r, i.Name, map[string]string{"app.js": lookNode})
			var got struct {
				Exec, Cwd, Env, Shell, Child, Served, Worked, Zipped, Zone, Fetch string
				Argv, Root, Lang, Task                                            []string
				Shadow, Host, Wasm                                                bool
				Pid, Random, Heap                                                 int
			}
			if err := json.Unmarshal([]byte(f.call(`{}`)), &got); err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v runtime %v init %v sandbox %+v", got, f.phases.Runtime, f.phases.Init, f.sb.Started())
			if got.Exec != "/var/lang/bin/node" || got.Cwd != "/var/task" || got.Argv[1] != "/var/runtime/index.mjs" || !strings.HasPrefix(got.Env, "/opt/nodejs/node") {
				t.Errorf("not as on Lambda: %+v", got)
			}
			if got.Shadow || got.Host || got.Pid > 100 {
				t.Errorf("something of the host is there: %+v", got)
			}
			if got.Shell != "2\n4\n" || got.Child != "2\n" || got.Served != "served" || got.Worked != "worked" || got.Zipped != "zip" || got.Random != 4 || got.Zone != "01:00" || !got.Wasm {
				t.Errorf("something is missing: %+v", got)
			}
			if got.Heap < 230 || got.Heap > 320 {
				t.Errorf("the heap of a function with 256 MB may have %d", got.Heap)
			}
		})
	}
	if !found {
		t.Skip("no Node.js here")
	}
}
