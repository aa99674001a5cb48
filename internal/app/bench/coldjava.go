package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"artesian/internal/door/gateway/admin"
)

const helloJava = `import java.util.Map;

public class App {
    public Map<String, Object> handle(Map<String, Object> in) { return in; }
}
`

// javaTurns is how many cold starts in Java are measured: each takes about half a second.
const javaTurns = 9

// coldJava measures a function in Java beside the same JVM with the same client and code, started by bwrap.
func coldJava(l lab) (rows []row, err error) {
	class, err := compileJava(l.dir)
	if err != nil {
		return nil, err
	}
	d, err := startDaemon(l, "cold-java")
	if err != nil {
		return nil, err
	}
	defer d.stop()
	if err := d.createRole(); err != nil {
		return nil, err
	}
	if _, err := d.do("POST", admin.Service, admin.RuntimesPath, "application/json", []byte(`{"path":"java-runtime"}`)); err != nil {
		return nil, fmt.Errorf("install AWS's client: %w", err)
	}
	lang, err := d.language("java")
	if err != nil {
		return nil, err
	}
	packs := filepath.Join(d.data, "runtimes", "packs")
	for _, mb := range sizes {
		name := fmt.Sprintf("java-%d", mb)
		if err := d.create(name, lang.runtime, "App::handle", mb, map[string][]byte{"App.class": class}); err != nil {
			return rows, err
		}
		c, ways, err := d.coldTurns(javaTurns, name, event, func() (time.Duration, error) { return bwrapJava(lang.path, packs, filepath.Join(l.dir, "java")) })
		if err != nil {
			return rows, err
		}
		rows = append(rows, c.row(fmt.Sprintf("cold Java, %d MB, p50, beside bwrap + java with AWS's client", mb), ratioUpTo(0.2), "Ways: "+ways))
	}
	return rows, nil
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
