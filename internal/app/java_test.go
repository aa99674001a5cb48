package app_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"artesian/internal/app"
	"artesian/internal/compute/lang/fetch"
	"artesian/internal/compute/lang/pack/packtest"
)

// javaSource has a handler of each kind, and of each kind of trouble.
const javaSource = `package odd;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.*;
import java.nio.file.*;
import java.util.*;

public class App implements RequestHandler<Map<String, Object>, Map<String, Object>> {
    public static class Person { public String name; public int age; public Person() {} }
    public Map<String, Object> handleRequest(Map<String, Object> in, Context c) {
        Map<String, Object> out = new TreeMap<>();
        out.put("in", in);
        out.put("name", c.getFunctionName());
        out.put("version", c.getFunctionVersion());
        out.put("arn", c.getInvokedFunctionArn());
        out.put("memory", c.getMemoryLimitInMB());
        out.put("left", c.getRemainingTimeInMillis() > 1000);
        out.put("home", System.getProperty("java.home"));
        out.put("dir", System.getProperty("user.dir"));
        out.put("env", System.getenv("AWS_EXECUTION_ENV"));
        out.put("heap", Runtime.getRuntime().maxMemory() >> 20);
        out.put("marker", System.getProperty("marker", "none"));
        out.put("zone", java.time.ZoneId.systemDefault().getId());
        out.put("trust", new File(System.getProperty("java.home"), "lib/security/cacerts").length() > 0);
        c.getLogger().log("logged " + in.get("n") + "\n");
        System.out.println("printed");
        return out;
    }
    public String person(Person p, Context c) { return p.name + " is " + p.age + " \u00e4\u4e16"; }
    public String fails(Object in) { throw new IllegalStateException("it is wrong", new RuntimeException("because")); }
    public String exits(Object in) { System.exit(3); return ""; }
    public String fills(Object in) { List<byte[]> all = new ArrayList<>(); while (true) all.add(new byte[1 << 20]); }
    public String maps(Object in) throws Exception { return new String(Files.readAllBytes(Paths.get("/proc/self/maps"))); }
    public String sleeps(Object in) throws Exception { Thread.sleep(60000); return ""; }
    public String writes(Object in) throws Exception {
        Files.write(Paths.get("/tmp/x"), new byte[10]);
        Process p = new ProcessBuilder("sh", "-c", "echo child").start();
        return new BufferedReader(new InputStreamReader(p.getInputStream())).readLine();
    }
    public static class Streams implements RequestStreamHandler {
        public void handleRequest(InputStream in, OutputStream out, Context c) throws IOException {
            int b; while ((b = in.read()) >= 0) out.write(Character.toUpperCase(b));
        }
    }
}
class Broken implements RequestHandler<Object, Object> {
    static { if (true) throw new IllegalArgumentException("no start"); }
    public Object handleRequest(Object in, Context c) { return null; }
}
`

var javaClasses struct {
	once  sync.Once
	files map[string]string
	err   error
}

// javaFunction returns the files of a package with the compiled source. They are shared and read-only.
func javaFunction(t *testing.T) map[string]string {
	t.Helper()
	javac, err := exec.LookPath("javac")
	if err != nil {
		t.Skip("needs javac; scripts/setup installs it")
	}
	core, _ := filepath.Glob(filepath.Join(packtest.Dir(t, "java-runtime"), "aws-lambda-java-core-*.jar"))
	javaClasses.once.Do(func() { javaClasses.files, javaClasses.err = compileJava(t.TempDir(), javac, core) })
	if javaClasses.err != nil {
		t.Fatal(javaClasses.err)
	}
	return javaClasses.files
}

func compileJava(dir, javac string, classPath []string) (map[string]string, error) {
	source := filepath.Join(dir, "App.java")
	if err := os.WriteFile(source, []byte(javaSource), 0o600); err != nil {
		return nil, err
	}
	if out, err := exec.Command(javac, "-nowarn", "--release", "11", "-cp", strings.Join(classPath, ":"), "-d", dir, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	files := make(map[string]string)
	for _, name := range []string{"App", "App$Person", "App$Streams", "Broken"} {
		b, err := os.ReadFile(filepath.Join(dir, "odd", name+".class"))
		if err != nil {
			return nil, err
		}
		files["odd/"+name+".class"] = string(b)
	}
	return files, nil
}

func withJava(t *testing.T) func(*app.Config) {
	return registries(fetch.Registries{Maven: packtest.Maven(t, "java-runtime")})
}

func TestJava(t *testing.T) {
	t.Parallel()
	files := javaFunction(t)
	p := start(t, withJava(t))
	p.role()
	make := func(name, runtime, handler string, more spec) {
		in := spec{"Runtime": runtime, "Handler": handler, "MemorySize": 512, "Timeout": 20}
		for k, v := range more {
			in[k] = v
		}
		resp, body := p.tryCreate(name, zipOf(t, files), in)
		if resp.StatusCode == 400 && strings.Contains(body, "needs that version of Java") {
			t.Skip(body)
		}
		if resp.StatusCode != 201 {
			t.Fatalf("create %s: %s: %s", name, resp.Status, body)
		}
		eventually(t, name+" is active", func() bool { return p.standing(name).State == "Active" })
	}
	make("f", "java17", "odd.App", spec{"Environment": spec{"Variables": spec{"JAVA_TOOL_OPTIONS": "-Dmarker=seen -XX:+UseParallelGC"}}})
	a := p.invoke("f", `{"n": 1}`)
	mustContain(t, "answer", a.body, `"in":{"n":1}`, `"name":"f"`, `"version":"$LATEST"`, `"memory":512`, `"left":true`, `"home":"/var/lang"`, `"dir":"/var/task"`,
		`"env":"AWS_Lambda_java17"`, `"marker":"seen"`, `"trust":true`, `:function:f"`)
	mustContain(t, "log", a.log, "logged 1", "printed", "Picked up JAVA_TOOL_OPTIONS", "REPORT RequestId")
	if again := p.invoke("f", `{"n": 2}`); strings.Contains(again.log, "Init Duration") || again.status != 200 {
		t.Errorf("%+v", again)
	}

	make("person", "java21", "odd.App::person", nil)
	if a := p.invoke("person", `{"name": "Ä\u4e16", "age": 3}`); a.body != `"Ä世 is 3 ä世"` {
		t.Errorf("%+v", a)
	}
	make("stream", "java11", "odd.App$Streams::handleRequest", nil)
	if a := p.invoke("stream", `{"a":"b"}`); a.body != `{"A":"B"}` {
		t.Errorf("%+v", a)
	}
	for _, c := range []struct{ name, handler, err, body string }{
		{"fails", "odd.App::fails", "Unhandled", `"errorMessage":"it is wrong","errorType":"java.lang.IllegalStateException","stackTrace":["odd.App.fails(App.java:`},
		{"noclass", "odd.Nothing", "Unhandled", `Class not found: odd.Nothing`},
		{"nomethod", "odd.App::nothing", "Unhandled", `No public method named nothing`},
		{"broken", "odd.Broken", "Unhandled", `"errorMessage":"Error loading class odd.Broken","errorType":"java.lang.ExceptionInInitializerError"`},
		{"exits", "odd.App::exits", "Unhandled", `exit status 3`},
		{"fills", "odd.App::fills", "Unhandled", `java.lang.OutOfMemoryError`},
		{"writes", "odd.App::writes", "", `"child"`},
	} {
		make(c.name, "java17", c.handler, spec{"MemorySize": 256})
		if a := p.invoke(c.name, "{}"); a.err != c.err || !strings.Contains(a.body, c.body) {
			t.Errorf("%s: %+v", c.name, a)
		}
	}
	make("sleeps", "java17", "odd.App::sleeps", spec{"Timeout": 2})
	if a := p.invoke("sleeps", "{}"); a.err != "Unhandled" || !strings.Contains(a.body, "Task timed out after 2.00 seconds") {
		t.Errorf("%+v", a)
	}
	make("json", "java17", "odd.App", spec{"MemorySize": 128, "LoggingConfig": spec{"LogFormat": "JSON"}})
	mustContain(t, "a JSON log", p.invoke("json", `{"n": 5}`).log, `"message":"logged 5`, `"AWSRequestId":"`)
}

// TestJavaArchive: once its archive of classes is written, a JVM that is started ahead maps it, and one that is executed does.
func TestJavaArchive(t *testing.T) {
	files := javaFunction(t)
	p := start(t, withJava(t))
	p.role()
	if resp, body := p.tryCreate("maps", zipOf(t, files), spec{"Runtime": "java17", "Handler": "odd.App::maps", "MemorySize": 256, "Timeout": 20}); resp.StatusCode != 201 {
		t.Skip(body)
	}
	eventually(t, "maps is active", func() bool { return p.standing("maps").State == "Active" })
	eventually(t, "the archive is there", func() bool {
		found, _ := filepath.Glob(filepath.Join(p.data, "runtimes", "packs", "java-runtime-*", ".classes-*.jsa"))
		return len(found) == 1
	})
	if resp, body := p.tryCreate("plain", zipOf(t, files), spec{"Runtime": "java17", "Handler": "odd.App::maps", "MemorySize": 512, "Timeout": 20, "Tags": spec{"artesian:fork": "off"}}); resp.StatusCode != 201 {
		t.Fatal(body)
	}
	eventually(t, "plain is active", func() bool { return p.standing("plain").State == "Active" })
	for _, name := range []string{"maps", "plain"} {
		if a := p.invoke(name, "{}"); !strings.Contains(a.body, "/var/runtime/lib/.classes-") || strings.Contains(a.log, "cds") {
			t.Errorf("%s: %+v", name, a)
		}
	}
}
