package java_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/framed"
	"artesian/internal/compute/lang/host"
	"artesian/internal/compute/lang/langtest"
	"artesian/internal/compute/lang/pack/packtest"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// carried is a host.Packs of one pack.
type carried string

func (c carried) Dir(string, int) string { return string(c) }

// runtimes are those of the JVMs here, with the interface client.
func runtimes(t testing.TB) (pack string, all map[string]lang.Generic) {
	t.Helper()
	pack = packtest.Dir(t, "java-runtime")
	c := host.New(host.Config{Dir: t.TempDir(), Path: os.Getenv("PATH"), Home: os.Getenv("HOME"), Packs: carried(pack)})
	t.Cleanup(c.Close)
	infos, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all = make(map[string]lang.Generic)
	for _, i := range infos {
		if !strings.HasPrefix(i.Name, "java") {
			continue
		}
		r, err := c.Resolve(i.Name)
		if err != nil {
			t.Fatal(err)
		}
		all[i.Name] = r.(lang.Generic)
	}
	if len(all) == 0 {
		t.Skip("there is no JVM")
	}
	return pack, all
}

// compiled returns a folder with the classes of sources, by file name.
func compiled(t testing.TB, pack string, sources map[string]string) string {
	t.Helper()
	if _, err := exec.LookPath("javac"); err != nil {
		t.Skip(err)
	}
	from, to := t.TempDir(), t.TempDir()
	args := []string{"--release", "8", "-Xlint:-options", "-cp", filepath.Join(pack, "*"), "-d", to}
	for name, text := range sources {
		path := filepath.Join(from, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	if out, err := exec.Command("javac", args...).CombinedOutput(); err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}
	return to
}

// function is a Java function in a running JVM.
type function struct {
	t       testing.TB
	sb      *langtest.Direct
	session lang.Session
	output  chan string
}

func version(handler string) faas.Version {
	v := faas.Version{Handler: handler, MemoryMB: 256, Logging: faas.Logging{Group: "/aws/lambda/f"}}
	v.ID = faas.VersionID{FunctionID: faas.FunctionID{Scope: faas.Scope{Account: "000000000000", Region: "us-east-1"}, Name: "f"}, Version: "$LATEST"}
	return v
}

func run(t testing.TB, spec sandbox.Spec) *function {
	f := &function{t: t, sb: langtest.Start(t, spec), output: make(chan string, 1)}
	go func() {
		all, _ := io.ReadAll(f.sb.Output())
		f.output <- string(all)
	}()
	t.Cleanup(func() {
		if f.session != nil {
			_ = f.session.Close()
		}
	})
	return f
}

// ahead starts a JVM that waits, and returns when it does. Only a sandbox makes task /var/task.
func ahead(t testing.TB, r lang.Generic, memoryMB int, task string) *function {
	t.Helper()
	spec := sandbox.Spec{ID: "x"}
	r.Generic(&spec, memoryMB)
	for i, a := range spec.Argv {
		spec.Argv[i] = strings.Replace(a, "user.dir=/var/task", "user.dir="+task, 1)
	}
	f := run(t, spec)
	if err := framed.Greeting(bounded(t), f.sb.Channel()); err != nil {
		t.Fatal(err, f.end())
	}
	return f
}

// serve has the JVM of f, or one of its own when f is nil, serve v.
func serve(t testing.TB, f *function, r lang.Runtime, v faas.Version, dir string) *function {
	t.Helper()
	spec := sandbox.Spec{ID: "x"}
	r.Prepare(&spec, v, dir, "2026/01/01/[$LATEST]0")
	if f == nil {
		f = run(t, spec)
		f.session = r.Attach(f.sb, v)
	} else {
		f.session = r.(lang.Generic).Adopt(f.sb, f.sb.Here(spec), v)
	}
	return f
}

func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func (f *function) end() string {
	_ = f.sb.Close()
	return <-f.output
}

// first is what the first call answers.
func (f *function) first(event string) (string, *lang.Failure) {
	f.t.Helper()
	if _, err := f.session.Init(bounded(f.t)); err != nil {
		f.t.Fatalf("init: %v\n%s", err, f.end())
	}
	var out bytes.Buffer
	failure, err := f.session.Invoke(bounded(f.t), lang.Call{RequestID: "11111111-2222-4333-8444-555555555555", FunctionARN: "arn:f", Payload: []byte(event), Deadline: time.Now().Add(time.Minute)}, &out)
	if err != nil {
		f.t.Fatalf("invoke: %v\n%s", err, f.end())
	}
	return out.String(), failure
}

// tells returns what a function finds out about its process, as far as it may not differ.
const tells = `
package example;
import com.amazonaws.services.lambda.runtime.*;
import java.io.*;
import java.nio.file.*;
import java.util.*;
public class Tells implements RequestHandler<Map<String, Object>, Map<String, Object>> {
  static final String early = System.getenv("MINE");
  static String run(String... command) throws Exception {
    Scanner s = new Scanner(Runtime.getRuntime().exec(command).getInputStream(), "UTF-8").useDelimiter("\\A");
    return s.hasNext() ? s.next() : "";
  }
  public Map<String, Object> handleRequest(Map<String, Object> event, Context c) {
    try {
      Map<String, Object> m = new TreeMap<>();
      m.put("env", new TreeMap<>(System.getenv()));
      m.put("one", System.getenv("MINE"));
      m.put("early", early);
      List<String> child = new ArrayList<>(Arrays.asList(run("/usr/bin/env").split("\n")));
      Collections.sort(child);
      m.put("child", child);
      ProcessBuilder b = new ProcessBuilder("/usr/bin/env");
      b.environment().put("MORE", "1");
      m.put("built", new TreeMap<>(b.environment()));
      m.put("cwd", run("/bin/pwd"));
      m.put("fds", run("/bin/sh", "-c", "ls /proc/self/fd/3 2>/dev/null"));
      m.put("property", System.getProperty("user.dir"));
      m.put("relative", new String(Files.readAllBytes(Paths.get("file.txt"))));
      m.put("stream", new BufferedReader(new FileReader("file.txt")).readLine());
      m.put("zone", TimeZone.getDefault().getID() + " " + new Date(1700000000000L));
      m.put("locale", Locale.getDefault().toString() + " " + java.nio.charset.Charset.defaultCharset());
      m.put("context", c.getFunctionName() + " " + c.getMemoryLimitInMB() + " " + c.getLogStreamName() + " " + c.getAwsRequestId());
      m.put("heap", Runtime.getRuntime().maxMemory());
      m.put("loader", Thread.currentThread().getContextClassLoader().getClass().getName() + " " + Thread.currentThread().getName());
      m.put("path", System.getProperty("java.class.path"));
      m.put("threads", Thread.activeCount());
      return m;
    } catch (Exception e) { throw new RuntimeException(e); }
  }
}`

// TestCannotTell: a function sees the same of a JVM that was executed for it and of one that was assigned to it.
func TestCannotTell(t *testing.T) {
	pack, all := runtimes(t)
	dir := compiled(t, pack, map[string]string{"Tells.java": tells})
	if err := os.WriteFile(filepath.Join(dir, "file.txt"), []byte("file"), 0o644); err != nil {
		t.Fatal(err)
	}
	v := version("example.Tells")
	v.Env = map[string]string{"MINE": "a=b é", "EMPTY": "", "TZ": "Asia/Kathmandu", "PATH": "/usr/bin:/bin"}
	for name, r := range all {
		t.Run(name, func(t *testing.T) {
			if why := r.Unsuited(&v, dir, ""); why != "" {
				t.Skip(why)
			}
			var out [2]map[string]json.RawMessage
			for i, f := range []*function{serve(t, nil, r, v, dir), serve(t, ahead(t, r, v.MemoryMB, dir), r, v, dir)} {
				text, failure := f.first("{}")
				if failure != nil {
					t.Fatal(text, f.end())
				}
				text = strings.ReplaceAll(text, f.sb.Listeners()[0].Addr().String(), "API")
				if err := json.Unmarshal([]byte(text), &out[i]); err != nil {
					t.Fatal(err)
				}
			}
			for name, executed := range out[0] {
				if assigned := out[1][name]; !bytes.Equal(assigned, executed) {
					t.Errorf("%s\nexecuted %s\nassigned %s", name, executed, assigned)
				}
			}
			if got := string(out[1]["zone"]); !strings.HasPrefix(got, `"Asia/Kathmandu`) || !strings.HasPrefix(string(out[1]["one"]), `"a=b `) || string(out[1]["early"]) != string(out[1]["one"]) {
				t.Errorf("%s %s %s", got, out[1]["one"], out[1]["early"])
			}
		})
	}
}

// TestAdoptedEnds: a JVM that waits ends with its channel and says nothing; one that is told of a handler that is not there says so as
// one does that was executed for it.
func TestAdoptedEnds(t *testing.T) {
	pack, all := runtimes(t)
	dir := compiled(t, pack, map[string]string{"Tells.java": tells})
	for name, r := range all {
		t.Run(name, func(t *testing.T) {
			idle := ahead(t, r, 128, dir)
			_ = idle.sb.Channel().CloseWrite()
			select {
			case <-idle.sb.Done():
			case <-bounded(t).Done():
				t.Fatal("it lives on", idle.end())
			}
			if code, out := idle.sb.Exit().Code, idle.end(); code != 0 || out != "" {
				t.Errorf("%d %q", code, out)
			}
			v := version("example.Nothing")
			want, _ := serve(t, nil, r, v, dir).first("{}")
			if got, failure := serve(t, ahead(t, r, 256, dir), r, v, dir).first("{}"); failure == nil || got != want || !strings.Contains(got, "example.Nothing") {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

func TestUnsuited(t *testing.T) {
	_, all := runtimes(t)
	dir := t.TempDir()
	for _, r := range all {
		for name, want := range map[string]bool{"JAVA_TOOL_OPTIONS": true, "JDK_JAVA_OPTIONS": true, "_JAVA_OPTIONS": true, "HOME": true, "LD_LIBRARY_PATH": true, "MALLOC_ARENA_MAX": true,
			"AWS_LAMBDA_EXEC_WRAPPER": true, "TZ": false, "PATH": false, "MINE": false} {
			v := version("example.Tells")
			v.Env = map[string]string{name: "1"}
			if why := r.Unsuited(&v, dir, ""); (why != "") != want || want && !strings.Contains(why, name) {
				t.Errorf("%s: %q", name, why)
			}
		}
	}
}

// TestClassesAreCurrent: what is embedded was compiled from the sources that are here.
func TestClassesAreCurrent(t *testing.T) {
	sources, err := filepath.Glob("runtime/artesian/*.java")
	if err != nil || len(sources) == 0 {
		t.Fatal(sources, err)
	}
	sum := sha256.New()
	for _, name := range sources {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(sum, "%s %d\n%s", filepath.Base(name), len(text), text)
	}
	if said, err := os.ReadFile("runtime/classes/SOURCES"); err != nil || strings.TrimSpace(string(said)) != hex.EncodeToString(sum.Sum(nil)) {
		t.Error("the classes are not those of the sources; run: go generate ./internal/compute/lang/java", err)
	}
}

// BenchmarkCold is a first call to a JVM that is executed, and to one that waits, without a sandbox around it.
func BenchmarkCold(b *testing.B) {
	pack, all := runtimes(b)
	dir := compiled(b, pack, map[string]string{"App.java": `
package example;
import com.amazonaws.services.lambda.runtime.*;
import java.util.*;
public class App implements RequestHandler<Map<String, Object>, Map<String, Object>> {
  public Map<String, Object> handleRequest(Map<String, Object> event, Context c) { return event; }
}`})
	for name, r := range all {
		for _, way := range []string{"executed", "assigned"} {
			b.Run(name+"/"+way, func(b *testing.B) {
				v := version("example.App")
				for b.Loop() {
					b.StopTimer()
					var f *function
					if way == "assigned" {
						f = ahead(b, r, v.MemoryMB, dir)
					}
					b.StartTimer()
					f = serve(b, f, r, v, dir)
					if out, failure := f.first(`{"a":1}`); failure != nil || out != `{"a":1}` {
						b.Fatal(out, f.end())
					}
					b.StopTimer()
					f.end()
					b.StartTimer()
				}
			})
		}
	}
}
