package host_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/host"
	"artesian/internal/compute/lang/output"
	"artesian/internal/compute/lang/pack/packtest"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// assigned starts v's runtime in a cell and then makes the cell its sandbox.
func assigned(t *testing.T, m sandbox.Ahead, r lang.Generic, v faas.Version, code string) *function {
	t.Helper()
	id := "s" + strings.ToLower(faas.NewUUID())
	spec := sandbox.Spec{ID: id, MemoryMB: v.MemoryMB, TmpMB: v.TmpMB, Pids: 1024, Files: 1024}
	generic := spec
	r.Generic(&generic, v.MemoryMB)
	cell, err := m.Prepare(t.Context(), generic)
	if err != nil {
		t.Fatal(err)
	}
	spec.Owner = "f"
	r.Prepare(&spec, v, code, "stream")
	sb, err := cell.Become(t.Context(), spec)
	if err != nil {
		_ = cell.Close()
		t.Fatal(err)
	}
	f := &function{t: t, sb: sb}
	var all strings.Builder
	out, err := output.New(sb.Output(), time.Now, func(_ time.Time, m string) { all.WriteString(m + "\n") })
	if err != nil {
		t.Fatal(err)
	}
	f.session = r.Adopt(sb, &spec, v)
	t.Cleanup(func() {
		_ = f.session.Close()
		_ = sb.Close()
		_ = out.Close()
		if t.Failed() {
			t.Log(all.String())
		}
	})
	f.phases, f.err = f.session.Init(f.bounded())
	return f
}

// TestAssignedNode: in a cell as in a sandbox, a function finds its code, its layers' folder, /tmp and its environment.
func TestAssignedNode(t *testing.T) {
	m, ok := maker(t).(sandbox.Ahead)
	if !ok {
		t.Skip("nothing is made ahead here")
	}
	c := host.New(host.Config{Dir: t.TempDir(), Path: os.Getenv("PATH")})
	t.Cleanup(c.Close)
	r, err := c.Resolve("nodejs20.x")
	if err != nil {
		t.Skip(err)
	}
	text := `const fs = require('fs')
exports.handler = async () => ({ cwd: process.cwd(), here: fs.readdirSync('.'), own: fs.readFileSync('app.js', 'utf8').length, up: fs.existsSync('/var/task/app.js'),
  tmp: (fs.writeFileSync('/tmp/x', 'x'), fs.readdirSync('/tmp')), env: Object.entries(process.env).filter(([k]) => !/LOG_STREAM/.test(k)).sort(), uid: process.getuid(), fd: fs.readdirSync('/proc/self/fd').length > 3 })`
	executed := start(t, m, r, "nodejs20.x", map[string]string{"app.js": text})
	want := executed.call("1")
	v, code := made(t, map[string]string{"app.js": text})
	got := assigned(t, m, r.(lang.Generic), v, code).call("1")
	if got != want || !strings.Contains(got, `"cwd":"/var/task","here":["app.js"]`) {
		t.Errorf("assigned %s\nexecuted %s", got, want)
	}
}

// made is a version of those files, and their folder.
func made(t *testing.T, files map[string]string) (faas.Version, string) {
	t.Helper()
	code := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(code, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	v := faas.Version{Handler: "app.handler", MemoryMB: 256, TmpMB: 512}
	v.ID = faas.VersionID{FunctionID: faas.FunctionID{Scope: faas.Scope{Account: "000000000000", Region: "us-east-1"}, Name: "f"}, Version: "$LATEST"}
	return v, code
}

const javaLook = `
import com.amazonaws.services.lambda.runtime.*;
import java.io.*;
import java.nio.file.*;
import java.util.*;
public class App implements RequestHandler<Object, Map<String, Object>> {
  public Map<String, Object> handleRequest(Object event, Context c) {
    try {
      Map<String, Object> m = new TreeMap<>(), env = new TreeMap<>(System.getenv());
      env.remove("AWS_LAMBDA_RUNTIME_API");
      m.put("env", env);
      m.put("file", new String(Files.readAllBytes(Paths.get("data.txt"))));
      m.put("stream", new BufferedReader(new FileReader("data.txt")).readLine());
      m.put("absolute", new File("data.txt").getAbsolutePath());
      m.put("cwd", new BufferedReader(new InputStreamReader(Runtime.getRuntime().exec("pwd").getInputStream())).readLine());
      m.put("heap", Runtime.getRuntime().maxMemory());
      return m;
    } catch (Exception e) { throw new RuntimeException(e); }
  }
}`

func TestAssignedJava(t *testing.T) {
	m, ok := maker(t).(sandbox.Ahead)
	if !ok {
		t.Skip("nothing is made ahead here")
	}
	if _, err := exec.LookPath("javac"); err != nil {
		t.Skip(err)
	}
	pack := packtest.Dir(t, "java-runtime")
	c := host.New(host.Config{Dir: t.TempDir(), Path: os.Getenv("PATH"), Packs: onePack(pack)})
	t.Cleanup(c.Close)
	for _, id := range []string{"java17", "java25"} {
		t.Run(id, func(t *testing.T) {
			r, err := c.Resolve(id)
			if err != nil {
				t.Skip(err)
			}
			v, code := made(t, map[string]string{"data.txt": "data", "App.java": javaLook})
			v.Handler = "App"
			if out, err := exec.Command("javac", "--release", "8", "-cp", filepath.Join(pack, "*"), "-d", code, filepath.Join(code, "App.java")).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var told map[string]any
			text := assigned(t, m, r.(lang.Generic), v, code).call("1")
			if err := json.Unmarshal([]byte(text), &told); err != nil {
				t.Fatal(err)
			}
			env, _ := told["env"].(map[string]any)
			for name, want := range map[string]any{"file": "data", "stream": "data", "absolute": "/var/task/data.txt", "cwd": "/var/task"} {
				if told[name] != want {
					t.Errorf("%s: %v, want %v", name, told[name], want)
				}
			}
			if env["AWS_LAMBDA_FUNCTION_NAME"] != "f" || env["JAVA_HOME"] != "/var/lang" || env["_HANDLER"] != "App" {
				t.Error(env)
			}
		})
	}
}

type onePack string

func (p onePack) Dir(string, int) string { return string(p) }
