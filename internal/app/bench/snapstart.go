package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"artesian/internal/door/gateway/admin"
)

const (
	snapTurns = 3
	snapMB    = 1769
	snapIdle  = 50 * time.Millisecond // an instance is gone after it
)

// The functions.
const (
	snapPython = "%sdef handler(event, context):\n    return {'hello': event['name']}\n"
	snapJava   = `import java.util.Map;

public class %[1]s {
    static { %[2]s }
    public Map<String, Object> handle(Map<String, Object> in) {
        return in;
    }
}
`
	// heavyJava is what functions often make at their start: a client, a parser, formats.
	heavyJava = `try {
            java.net.http.HttpClient.newHttpClient();
            javax.net.ssl.SSLContext.getDefault();
            javax.xml.parsers.DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(new java.io.ByteArrayInputStream("<a><b c='d'/></a>".getBytes()));
            javax.xml.transform.TransformerFactory.newInstance().newTransformer();
            java.security.KeyPairGenerator.getInstance("EC").generateKeyPair();
            java.time.format.DateTimeFormatter.ofPattern("EEEE d MMMM yyyy", java.util.Locale.FRANCE).format(java.time.LocalDate.now());
            java.util.logging.Logger.getLogger("x").fine("y");
            java.lang.reflect.Proxy.newProxyInstance(App.class.getClassLoader(), new Class<?>[] {Runnable.class}, (p, m, a) -> null);
        } catch (Exception e) { throw new RuntimeException(e); }`
)

// snapped is a function to be measured with SnapStart, and a peer for it.
type snapped struct {
	title, runtime, handler string
	files                   map[string][]byte
	peer                    func() (time.Duration, error)
	beside                  string
}

// snapStart measures cold calls of versions that go on from an image, beside plain cold calls of the same function, and beside bwrap.
func snapStart(l lab) (rows []row, err error) {
	d, err := startDaemon(l, "snapstart", "--idle", snapIdle.String())
	if err != nil {
		return nil, err
	}
	defer d.stop()
	if err := d.createRole(); err != nil {
		return nil, err
	}
	all, err := d.snapped(l)
	if err != nil {
		return nil, err
	}
	for n, f := range all {
		name := fmt.Sprintf("snap-%d", n)
		if err := d.create(name, f.runtime, f.handler, snapMB, f.files); err != nil {
			return rows, err
		}
		made, err := d.publish(name)
		if err != nil {
			return rows, err
		}
		restored, plain := d.idleCall(name+":1"), d.idleCall(name)
		if _, err := plain(); err != nil { // the first runs what only a new function has
			return rows, err
		}
		before, err := d.ways()
		if err != nil {
			return rows, err
		}
		c, err := turns(snapTurns, restored, plain)
		if err != nil {
			return rows, err
		}
		after, err := d.ways()
		if err != nil {
			return rows, err
		}
		if w := after.less(before); w.count["snapshot"] < snapTurns {
			return rows, fmt.Errorf("calls of a version with an image did not go on from it: %s", w)
		}
		rows = append(rows, c.row(fmt.Sprintf("restored %s, %d MB, p50, beside its plain cold start", f.title, snapMB), goal{},
			fmt.Sprintf("Request to response of a published version with SnapStart, and of $LATEST. The image was made in %s after the version was published. Both ways: %s", took(made), after.less(before))))
		if c, err = turns(snapTurns, restored, f.peer); err != nil {
			return rows, err
		}
		rows = append(rows, c.row(fmt.Sprintf("restored %s, %d MB, p50, beside %s", f.title, snapMB, f.beside), goal{}, ""))
	}
	return rows, nil
}

// snapped are the functions.
func (d *daemon) snapped(l lab) ([]snapped, error) {
	python, err := d.language("python3")
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(l.dir, "snap-heavy")
	heavy, alone, err := calibrate(python.path, dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"app.py": fmt.Appendf(nil, snapPython, "import heavy\n")}
	for name, text := range heavy {
		files[name] = []byte(text)
	}
	all := []snapped{
		{"Python", python.runtime, "app.handler", map[string][]byte{"app.py": fmt.Appendf(nil, snapPython, "")}, bwrap(python.path, "-c", "print('{}')"), "bwrap + python3"},
		{fmt.Sprintf("Python with %d ms of imports", alone.Milliseconds()), python.runtime, "app.handler", files,
			bwrapOn(dir, python.path, "-c", "import sys; sys.path.insert(0, '/mnt'); import heavy; print('{}')"), "bwrap + python3"},
	}
	if _, err := tool("javac"); err != nil {
		return all, nil
	}
	if _, err := d.do("POST", admin.Service, admin.RuntimesPath, "application/json", []byte(`{"path":"java-runtime"}`)); err != nil {
		return nil, fmt.Errorf("install AWS's client: %w", err)
	}
	java, err := d.language("java")
	if err != nil {
		return nil, err
	}
	for _, j := range []struct{ title, init string }{{"Java", ""}, {"Java with an HTTP client and an XML parser", heavyJava}} {
		at := filepath.Join(l.dir, "snap-java", fmt.Sprint(len(j.init)))
		class, err := compileSnapped(at, j.init)
		if err != nil {
			return nil, err
		}
		all = append(all, snapped{j.title, java.runtime, "App::handle", map[string][]byte{"App.class": class},
			func() (time.Duration, error) {
				return bwrapJava(java.path, filepath.Join(d.data, "runtimes", "packs"), at)
			}, "bwrap + java with AWS's client"})
	}
	return all, nil
}

func compileSnapped(dir, init string) ([]byte, error) {
	javac, err := tool("javac")
	if err != nil {
		return nil, err
	}
	if err := write(dir, map[string]string{"App.java": fmt.Sprintf(snapJava, "App", init)}); err != nil {
		return nil, err
	}
	if said, err := exec.Command(javac, "--release", "11", "-d", dir, filepath.Join(dir, "App.java")).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("javac: %w: %s", err, said)
	}
	return os.ReadFile(filepath.Join(dir, "App.class"))
}

// publish publishes the first version of a function with SnapStart, and returns how long it took until its image was made.
func (d *daemon) publish(name string) (time.Duration, error) {
	at := "/2015-03-31/functions/" + name
	if _, err := d.do("PUT", "lambda", at+"/configuration", "application/json", []byte(`{"SnapStart":{"ApplyOn":"PublishedVersions"}}`)); err != nil {
		return 0, err
	}
	begin := time.Now()
	if _, err := d.do("POST", "lambda", at+"/versions", "application/json", []byte(`{}`)); err != nil {
		return 0, err
	}
	for {
		b, err := d.do("GET", "lambda", at+"/configuration?Qualifier=1", "", nil)
		if err != nil {
			return 0, err
		}
		var v struct {
			State, StateReason string
			SnapStart          struct{ OptimizationStatus string }
		}
		switch err := json.Unmarshal(b, &v); {
		case err != nil:
			return 0, err
		case v.SnapStart.OptimizationStatus == "On":
			return time.Since(begin), nil
		case v.State != "Pending" || time.Since(begin) > time.Minute:
			return 0, fmt.Errorf("a version is %s, without an image: %s", v.State, v.StateReason)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// idleCall times a call when the last instance is gone.
func (d *daemon) idleCall(name string) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		time.Sleep(snapIdle + 2*gap)
		_, took, err := d.call(name, event)
		return took, err
	}
}
