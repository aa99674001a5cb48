package app_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"artesian/internal/compute/lang/pack/packtest"
)

// snappedJava registers its hooks by org.crac, as AWS's documentation says, and shows what must not be the same in two instances.
const snappedJava = `package odd;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.*;
import java.util.concurrent.ThreadLocalRandom;
import org.crac.Core;
import org.crac.Resource;

public class Snap implements RequestHandler<Map<String, Object>, Map<String, Object>>, Resource {
    final List<String> seen = new ArrayList<>();
    final double number = Math.random();
    final long began = System.nanoTime();
    final String token = System.getenv("AWS_SESSION_TOKEN");
    static final java.security.SecureRandom secure = new java.security.SecureRandom();
    final java.util.concurrent.ExecutorService other = java.util.concurrent.Executors.newSingleThreadExecutor();

    public Snap() throws Exception {
        Core.getGlobalContext().register(this);
        drawn();
        other.submit(() -> ThreadLocalRandom.current().nextLong()).get();
        System.out.println("initialised");
    }
    static List<Object> drawn() {
        return Arrays.asList(UUID.randomUUID().toString(), secure.nextLong(), new Random().nextLong(), Math.random(), ThreadLocalRandom.current().nextLong(),
            new SplittableRandom().nextLong(), java.util.random.RandomGenerator.of("L64X128MixRandom").nextLong());
    }
    public void beforeCheckpoint(org.crac.Context<? extends Resource> c) { seen.add("before"); }
    public void afterRestore(org.crac.Context<? extends Resource> c) {
        seen.add("after");
        if ("fails".equals(System.getenv("HOOK"))) throw new IllegalStateException("not restored");
    }
    public Map<String, Object> handleRequest(Map<String, Object> in, Context c) {
        Map<String, Object> out = new TreeMap<>();
        out.put("number", number);
        List<Object> drawn = new ArrayList<>(drawn());
        try {
            drawn.add(other.submit(() -> ThreadLocalRandom.current().nextLong()).get());
        } catch (Exception e) { throw new RuntimeException(e); }
        out.put("drawn", drawn);
        out.put("seen", seen);
        out.put("how", System.getenv("AWS_LAMBDA_INITIALIZATION_TYPE"));
        out.put("renewed", !System.getenv("AWS_SESSION_TOKEN").equals(token));
        out.put("stream", c.getLogStreamName().equals(System.getenv("AWS_LAMBDA_LOG_STREAM_NAME")));
        out.put("clock", System.nanoTime() > began && Math.abs(System.currentTimeMillis() - Long.parseLong(in.get("now").toString())) < 60000);
        return out;
    }
}
`

// snappedClasses are the files of its package, the library included.
func snappedClasses(t *testing.T) map[string]string {
	t.Helper()
	javac, err := exec.LookPath("javac")
	if err != nil {
		t.Skip("needs javac; scripts/setup installs it")
	}
	core, _ := filepath.Glob(filepath.Join(packtest.Dir(t, "java-runtime"), "aws-lambda-java-core-*.jar"))
	hooks := packtest.Hooks(t)
	dir := t.TempDir()
	source := filepath.Join(dir, "Snap.java")
	if err := os.WriteFile(source, []byte(snappedJava), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(javac, "-nowarn", "--release", "17", "-cp", strings.Join(append(core, hooks), ":"), "-d", dir, source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	files := make(map[string]string)
	for name, path := range map[string]string{"odd/Snap.class": filepath.Join(dir, "odd", "Snap.class"), "lib/org-crac.jar": hooks} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(b)
	}
	return files
}

type snapJava struct {
	Number float64
	Drawn  []any
	Seen   []string
	How    string

	Renewed, Stream, Clock bool
}

// TestSnapStartJava: a published version of a Java function goes on from its image with its hooks run, and no two instances have the same
// random state.
func TestSnapStartJava(t *testing.T) {
	files := snappedClasses(t)
	p := start(t, withJava(t))
	p.role()
	on := spec{"Runtime": "java17", "Handler": "odd.Snap", "MemorySize": 512, "SnapStart": spec{"ApplyOn": "PublishedVersions"}, "Timeout": 20}
	for _, name := range []string{"snap", "fails"} {
		on["Environment"] = spec{"Variables": spec{"HOOK": name}}
		if resp, body := p.tryCreate(name, zipOf(t, files), on); resp.StatusCode != http.StatusCreated {
			if strings.Contains(body, "not possible on this node") {
				t.Skip(body)
			}
			t.Fatalf("create: %s: %s", resp.Status, body)
		}
		eventually(t, name+" is active", func() bool { return p.stands(name, "%24LATEST").State == "Active" })
		p.call("POST", "/2015-03-31/functions/"+name+"/versions", `{}`, http.StatusCreated)
	}
	if s := p.settles("snap", "1"); s.State != "Active" || s.SnapStart.OptimizationStatus != "On" {
		t.Fatalf("version 1: %+v: %s", s, p.logged("snap"))
	}
	var all [2]snapJava
	for i := range all {
		if i > 0 {
			p = restarted(t, p)
		}
		a := p.invoke("snap:1", `{"now":`+strconv.FormatInt(time.Now().UnixMilli(), 10)+`}`)
		if err := json.Unmarshal([]byte(a.body), &all[i]); err != nil {
			t.Fatalf("%+v: %s", a, p.logged("snap"))
		}
		if !restoreLines.MatchString(a.log) {
			t.Errorf("logged %s", a.log)
		}
		if s := all[i]; strings.Join(s.Seen, " ") != "before after" || s.How != "snap-start" || !s.Renewed || !s.Stream || !s.Clock {
			t.Errorf("an instance says %+v", s)
		}
	}
	if all[0].Number != all[1].Number {
		t.Error("two instances do not come from one initialisation")
	}
	for i, drawn := range all[0].Drawn {
		if reflect.DeepEqual(drawn, all[1].Drawn[i]) {
			t.Errorf("two instances have drawn the same %d. value, %v", i+1, drawn)
		}
	}
	if log := p.logged("snap"); strings.Count(log, "initialised") != 1 || strings.Count(log, "INIT_REPORT Init Duration: ") != 1 {
		t.Errorf("logged %s", log)
	}
	p.settles("fails", "1")
	if a := p.invoke("fails:1", `{}`); a.status != http.StatusBadRequest || a.err != "SnapStartException" {
		t.Errorf("%+v", a)
	}
	if log := p.logged("fails"); !strings.Contains(log, "not restored") || !strings.Contains(log, "\tStatus: error\tError Type: Runtime.AfterRestoreError") {
		t.Errorf("logged %s", log)
	}
}
