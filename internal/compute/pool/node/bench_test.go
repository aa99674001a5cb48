package node

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/host"
	"artesian/internal/compute/pool"
	"artesian/internal/compute/pool/stock"
	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/container"
	"artesian/internal/faas"
)

// folder is a Code with one package.
type folder string

func (f folder) Dir(context.Context, string) (string, error)        { return string(f), nil }
func (folder) Layers(context.Context, []faas.Layer) (string, error) { return "", nil }

type nowhere struct{}

func (nowhere) Write(time.Time, string) {}
func (nowhere) Close()                  {}

// plenty is all the memory that a stock may want.
type plenty struct{}

func (plenty) Borrow(int) bool { return true }
func (plenty) Return(int)      {}

// BenchmarkLaunch is a cold start of a static Go bootstrap, from the launch to its first answer, with a stock of cells and without.
func BenchmarkLaunch(b *testing.B) {
	for name, ahead := range map[string]bool{"stock": true, "plain": false} {
		b.Run(name, func(b *testing.B) { benchmarkLaunch(b, ahead) })
	}
}

func benchmarkLaunch(b *testing.B, ahead bool) {
	n, v := benchNode(b), benchVersion()
	if ahead {
		n.Stock = stock.New(n, plenty{}, stock.Config{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
		b.Cleanup(n.Stock.Close)
		n.Expect(v)
	}
	var took [5][]time.Duration
	for b.Loop() {
		b.StopTimer()
		for deadline := time.Now().Add(5 * time.Second); ahead && (len(n.Stock.List()) == 0 || n.Stock.List()[0].Ready == 0); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				b.Fatal("no cell gets ready")
			}
		}
		b.StartTimer()
		began := time.Now()
		r, err := n.Launch(context.Background(), v)
		if err != nil {
			b.Fatal(err)
		}
		launched := time.Now()
		if _, err := r.Session.Init(context.Background()); err != nil {
			b.Fatal(err)
		}
		inited := time.Now()
		var out bytes.Buffer
		call := lang.Call{RequestID: "r", FunctionARN: v.ID.FunctionID.ARN(), Deadline: time.Now().Add(time.Minute), Payload: []byte("{}")}
		if f, err := r.Session.Invoke(context.Background(), call, &out); f != nil || err != nil || out.String() != "{}" {
			b.Fatalf("%v, %v, %q", f, err, &out)
		}
		answered := time.Now()
		b.StopTimer()
		if want := map[bool]string{true: faas.WayCell, false: faas.WayStart}[ahead]; r.Way != want {
			b.Fatalf("way %q, want %q: %s", r.Way, want, r.Note)
		}
		for i, d := range []time.Duration{r.Sandbox.Started().Sandbox, r.Sandbox.Started().Exec, launched.Sub(began), inited.Sub(launched), answered.Sub(began)} {
			took[i] = append(took[i], d)
		}
		stop(r)
		b.StartTimer()
	}
	for i, name := range []string{"sandbox", "exec", "launch", "init", "answer"} {
		slices.Sort(took[i])
		b.ReportMetric(float64(took[i][len(took[i])/2].Microseconds()), "µs-"+name+"-p50")
	}
}

func stop(r *pool.Running) {
	_ = r.Session.Close()
	_ = r.Sandbox.Close()
	r.Output.Close()
}

func benchVersion() *faas.Version {
	return &faas.Version{ID: faas.VersionID{FunctionID: faas.FunctionID{Scope: faas.Scope{Account: "000000000000", Region: "us-east-1"}, Name: "bench"}, Version: faas.Latest},
		Runtime: "provided.al2023", Handler: "bootstrap", MemoryMB: 1769, TmpMB: 512}
}

func benchNode(b testing.TB) *Node {
	quiet := slog.New(slog.DiscardHandler)
	maker, err := container.New(container.Config{Dir: b.TempDir(), Logger: quiet})
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() { _ = maker.Close() })
	catalog := host.New(host.Config{Dir: b.TempDir(), Path: os.Getenv("PATH"), Logger: quiet})
	b.Cleanup(catalog.Close)
	return &Node{Maker: maker, Code: folder(buildBootstrap(b)), Runtimes: catalog, Now: time.Now, Log: quiet, Listen: []string{"127.0.0.1:4566"},
		OpenLog:  func(*faas.Version, string) (Log, error) { return nowhere{}, nil },
		Env:      func(*faas.Version) []string { return nil },
		Internet: func(*faas.Version) (bool, error) { return true, nil },
		Serve:    func(sandbox.Sandbox, *faas.Version) {}}
}

// buildBootstrap builds a program that answers every event with itself.
func buildBootstrap(b testing.TB) string {
	dir := b.TempDir()
	const source = `package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
)

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		resp, err := http.Get(api + "next")
		if err != nil {
			os.Exit(1)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		out, err := http.Post(api+resp.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json", bytes.NewReader(body))
		if err != nil {
			os.Exit(1)
		}
		out.Body.Close()
	}
}
`
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o644); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", filepath.Join(dir, "bootstrap"), filepath.Join(dir, "main.go"))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Skipf("build a bootstrap: %v: %s", err, out)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}
