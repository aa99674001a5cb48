package java_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// hooked has two resources whose hooks say that they run, and says what it sees.
const hooked = `
package example;
import com.amazonaws.services.lambda.crac.*;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.*;
public class Hooked implements RequestHandler<Map<String, Object>, String> {
  static final List<String> seen = new ArrayList<>();
  static final List<Resource> all = new ArrayList<>();
  static void fail(String when) { if (when.equals(System.getenv("FAIL"))) throw new IllegalStateException("no " + when); }
  static void add(String name) {
    Resource r = new Resource() {
      public void beforeCheckpoint(Context<? extends Resource> c) { seen.add("before " + name); fail("before"); }
      public void afterRestore(Context<? extends Resource> c) { seen.add("after " + name + " " + System.getenv("AWS_SESSION_TOKEN")); fail("after"); }
    };
    all.add(r);
    Core.getGlobalContext().register(r);
  }
  public Hooked() { add("1"); add("2"); fail("init"); }
  public String handleRequest(Map<String, Object> event, com.amazonaws.services.lambda.runtime.Context c) {
    return seen + " " + c.getLogStreamName() + " " + System.getenv("MINE");
  }
}`

// savable starts a function of which an image is to be made.
func savable(t *testing.T, r lang.Generic, dir, fail string) (*function, lang.Suspendable) {
	t.Helper()
	v := version("example.Hooked")
	v.SnapStart, v.ID.Version, v.Env = true, "1", map[string]string{"MINE": "kept", "FAIL": fail}
	f := serve(t, nil, keeper{r.(lang.Imaged)}, v, dir)
	return f, f.session.(lang.Suspendable)
}

// keeper starts and attaches to processes that can be saved.
type keeper struct{ lang.Imaged }

func (k keeper) Prepare(spec *sandbox.Spec, v faas.Version, code, stream string) {
	k.Imaged.Prepare(spec, v, code, stream)
	k.Savable(spec, &v)
}
func (k keeper) Attach(sb sandbox.Sandbox, v faas.Version) lang.Session {
	return k.Kept(listening{sb}, v)
}

// listening is a sandbox that listens on when who has served its sockets closes them.
type listening struct{ sandbox.Sandbox }

func (l listening) Listeners() (all []net.Listener) {
	for _, one := range l.Sandbox.Listeners() {
		f, err := one.(*net.TCPListener).File()
		if err != nil {
			panic(err)
		}
		again, err := net.FileListener(f)
		if err = errors.Join(err, f.Close()); err != nil {
			panic(err)
		}
		all = append(all, again)
	}
	return all
}

// TestSuspend: hooks run in the order that CRaC has for them, around a wait that ends with what is new in the environment.
func TestSuspend(t *testing.T) {
	pack, all := runtimes(t)
	dir := compiled(t, pack, map[string]string{"Hooked.java": hooked})
	for name, r := range all {
		t.Run(name, func(t *testing.T) {
			f, s := savable(t, r, dir, "")
			if _, err := s.Init(bounded(t)); err != nil {
				t.Fatal(err, f.end())
			}
			if err := s.Suspend(bounded(t)); err != nil {
				t.Fatal(err, f.end())
			}
			_ = s.Close()
			f.session = r.(lang.Imaged).Resume(f.sb, []string{"AWS_SESSION_TOKEN=fresh", "AWS_LAMBDA_LOG_STREAM_NAME=another"})
			got, failure := f.first(`{}`)
			if want := `"[before 2, before 1, after 1 fresh, after 2 fresh] another kept"`; got != want || failure != nil {
				t.Errorf("answer %s, want %s", got, want)
			}
		})
	}
}

// TestSuspendFails: what goes wrong in a hook, or before, is told as AWS's client tells it.
func TestSuspendFails(t *testing.T) {
	pack, all := runtimes(t)
	dir := compiled(t, pack, map[string]string{"Hooked.java": hooked})
	for name, r := range all {
		for _, c := range []struct{ fail, want string }{
			{"init", "Runtime.BadFunctionCode"}, {"before", "Runtime.BeforeCheckpointError"}, {"after", "Runtime.AfterRestoreError"},
		} {
			t.Run(name+"/"+c.fail, func(t *testing.T) {
				f, s := savable(t, r, dir, c.fail)
				_, err := s.Init(bounded(t))
				if err == nil {
					err = s.Suspend(bounded(t))
				}
				if err == nil {
					_ = s.Close()
					f.session = r.(lang.Imaged).Resume(f.sb, nil)
					_, err = f.session.Init(bounded(t))
				}
				var failure *lang.Failure
				if out := f.end(); !errors.As(err, &failure) || failure.Type != c.want || !strings.Contains(out, "no "+c.fail) {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
	}
}

// TestStartedWithoutItsImage: hooks run one after the other where no image was made between them.
func TestStartedWithoutItsImage(t *testing.T) {
	pack, all := runtimes(t)
	dir := compiled(t, pack, map[string]string{"Hooked.java": hooked})
	for name, r := range all {
		t.Run(name, func(t *testing.T) {
			v := version("example.Hooked")
			v.SnapStart, v.ID.Version, v.Env = true, "1", map[string]string{"MINE": "kept"}
			got, failure := serve(t, nil, r, v, dir).first(`{}`)
			if !strings.HasPrefix(got, `"[before 2, before 1, after 1 null, after 2 null] `) || failure != nil {
				t.Errorf("answer %s", got)
			}
		})
	}
}
