package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const helloJava = `import java.util.Map;

public class App {
    public Map<String, Object> handle(Map<String, Object> in) { return in; }
}
`

// javaTurns is how many cold starts in Java are measured: each takes about half a second.
const javaTurns = 9

// coldJava measures a function in Java beside the same JVM with the same client and code, started by bwrap.
func coldJava(d *daemon, dir string) (row, error) {
	const memory = 1769
	r := row{name: fmt.Sprintf("cold Java, %d MB, beside bwrap + java with AWS's client", memory)}
	class, err := compileJava(dir)
	if err != nil {
		return r, err
	}
	if _, err := d.do("POST", "artesian", "/_artesian/api/runtimes", "application/json", []byte(`{"path":"java-runtime"}`)); err != nil {
		return r, fmt.Errorf("install the client: %w", err)
	}
	if err := d.create("java", "java17", "App::handle", memory, map[string][]byte{"App.class": class}); err != nil {
		return r, err
	}
	var instances struct {
		Instances []struct{ Function, Served string }
	}
	if _, err := d.do("POST", "lambda", invokePath("java"), "application/json", []byte(event)); err != nil {
		return r, err
	}
	b, err := d.do("GET", "artesian", "/_artesian/api/ps", "", nil)
	if err == nil {
		err = json.Unmarshal(b, &instances)
	}
	if err != nil {
		return r, err
	}
	jvm := "java"
	for _, i := range instances.Instances {
		if _, path, ok := strings.Cut(i.Served, "("); ok && i.Function == "java" {
			jvm, _, _ = strings.Cut(path, ")")
		}
	}
	r.ours, r.floor, r.ratio, err = turns(javaTurns, d.coldCall("java"), func() (time.Duration, error) {
		return bwrapJava(jvm, filepath.Join(d.data, "runtimes", "packs"), filepath.Join(dir, "java"))
	})
	return r, err
}

func compileJava(dir string) ([]byte, error) {
	javac, err := tool("javac")
	if err != nil {
		return nil, err
	}
	out := filepath.Join(dir, "java")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(out, "App.java"), []byte(helloJava), 0o644); err != nil {
		return nil, err
	}
	if said, err := exec.Command(javac, "--release", "11", "-d", out, filepath.Join(out, "App.java")).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("javac: %w: %s", err, said)
	}
	return os.ReadFile(filepath.Join(out, "App.class"))
}

// bwrapJava times AWS's client from fork until its first answer, which it gives to a Runtime API of ours. It shares the network
// to reach that.
func bwrapJava(jvm, packs, code string) (time.Duration, error) {
	path, err := tool("bwrap")
	if err != nil {
		return 0, err
	}
	client, err := filepath.Glob(filepath.Join(packs, "java-runtime-*"))
	if err != nil || len(client) == 0 {
		return 0, fmt.Errorf("find AWS's client: %w", os.ErrNotExist)
	}
	answered := make(chan struct{}, 1)
	asked := false
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, r *http.Request) {
		if asked {
			<-r.Context().Done()
			return
		}
		asked = true
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", "1")
		w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(time.Minute).UnixMilli()))
		w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:java")
		_, _ = w.Write([]byte(event))
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/1/response", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		answered <- struct{}{}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	s := &http.Server{Handler: mux}
	go func() { _ = s.Serve(l) }()
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--unshare-all", "--share-net", "--die-with-parent", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev",
		"--tmpfs", "/tmp", "--ro-bind", code, "/mnt", "--ro-bind", client[0], "/srv", "--chdir", "/mnt", jvm, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", "/srv/*",
		"com.amazonaws.services.lambda.runtime.api.client.AWSLambda", "App::handle")
	cmd.Env = append(os.Environ(), "AWS_LAMBDA_RUNTIME_API="+l.Addr().String(), "_HANDLER=App::handle", "LAMBDA_TASK_ROOT=/mnt",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=1769", "AWS_LAMBDA_FUNCTION_NAME=java", "AWS_LAMBDA_FUNCTION_VERSION=1", "AWS_REGION=us-east-1")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-answered:
		took := time.Since(begin)
		cancel()
		<-ended
		return took, nil
	case err := <-ended:
		return 0, fmt.Errorf("bwrap java: %w: %s", err, said.String())
	}
}
