package python_test

import (
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/container"
	"artesian/internal/faas"
)

// forkedEnv has the tests run functions in processes that a zygote has forked, in containers.
const forkedEnv = "ARTESIAN_TEST_FORKED"

// TestForked runs the other tests again, forked: a function cannot tell.
func TestForked(t *testing.T) {
	if os.Getenv(forkedEnv) != "" {
		t.Skip("these are they")
	}
	m, err := container.New(container.Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Skip(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run", "^Test(Calls|LargeEvents|Breaking|SecondAnswer|TimeIsUp|Caller|SameAsAWS|Log)")
	cmd.Env = append(os.Environ(), forkedEnv+"=yes")
	out, err := cmd.CombinedOutput()
	passed := len(regexp.MustCompile(`(?m)^ *--- PASS`).FindAll(out, -1))
	if err != nil || passed < 30 {
		t.Fatalf("%d passed; %v:\n%s", passed, err, out)
	}
}

// forks are what the tests fork from; nil where functions are executed.
var forks *forkery

type forkery struct {
	maker *container.Maker
	dir   string

	mu      sync.Mutex
	zygotes map[string]sandbox.Zygote
}

func newForkery() *forkery {
	dir, err := os.MkdirTemp("", "artesian-python-test-")
	if err != nil {
		panic(err)
	}
	m, err := container.New(container.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	return &forkery{maker: m, dir: dir, zygotes: make(map[string]sandbox.Zygote)}
}

func (f *forkery) close() {
	_ = f.maker.Close()
	_ = os.RemoveAll(f.dir)
}

// launch starts v, which Prepare has prepared in spec.
func (f *forkery) launch(t testing.TB, r lang.Forked, spec sandbox.Spec, v faas.Version, dir string) (sandbox.Sandbox, lang.Session) {
	t.Helper()
	if why := r.Unsuited(&v, dir, ""); why != "" {
		t.Skip("not to be forked:", why)
	}
	spec.ID = "f" + strings.ToLower(faas.NewUUID())
	spec.Owner, spec.MemoryMB, spec.TmpMB, spec.Pids, spec.Files = "f", 256, 512, 100, 1024
	spec.Fork = f.zygote(t, r)
	sb, err := f.maker.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sb.Close() })
	return sb, r.Adopt(sb, &spec, v)
}

func (f *forkery) zygote(t testing.TB, r lang.Forked) sandbox.Zygote {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	spec := r.Zygote()
	key := strings.Join(append(spec.Env, spec.Argv...), "\n")
	if z := f.zygotes[key]; z != nil {
		return z
	}
	spec.ID = "zygote-" + strings.ToLower(faas.NewUUID())
	z, err := f.maker.Zygote(t.Context(), spec)
	if err == nil {
		err = z.Ready(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	f.zygotes[key] = z
	return z
}
