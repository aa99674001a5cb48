package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const coldTurns = 15

// helloBootstrap is a custom runtime that answers every event; built without dependencies.
const helloBootstrap = `package main

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

// cold measures a request without an instance, to its answer, beside peers.
func cold(bin, dir string) ([]row, error) {
	d, err := startDaemon(bin, filepath.Join(dir, "cold"))
	if err != nil {
		return nil, err
	}
	defer d.stop()
	if err := d.createRole(); err != nil {
		return nil, err
	}
	boot, err := buildBootstrap(dir)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, memory := range []int{128, 1769} {
		name := fmt.Sprintf("python-%d", memory)
		if err := d.create(name, "python3.11", "app.handler", memory, map[string][]byte{"app.py": []byte(helloPython)}); err != nil {
			return rows, err
		}
		target := ""
		if memory == 1769 {
			target = "≤ 2.00×"
		}
		o, f, ratio, err := turns(coldTurns, d.coldCall(name), bwrap("python3", "-c", "print('{}')"))
		if err != nil {
			return rows, err
		}
		rows = append(rows, row{name: fmt.Sprintf("cold Python, %d MB, beside bwrap + python3", memory), ours: o, floor: f, ratio: ratio, target: target})

		if _, err := tool("node"); err == nil {
			name = fmt.Sprintf("node-%d", memory)
			if err := d.create(name, nodeRuntime, "app.handler", memory, map[string][]byte{"app.js": []byte(helloNode)}); err != nil {
				return rows, err
			}
			o, f, ratio, err = turns(coldTurns, d.coldCall(name), bwrap("node", "-e", "console.log('{}')"))
			if err != nil {
				return rows, err
			}
			rows = append(rows, row{name: fmt.Sprintf("cold Node.js, %d MB, beside bwrap + node", memory), ours: o, floor: f, ratio: ratio})
		}

		name = fmt.Sprintf("go-%d", memory)
		if err := d.create(name, "provided.al2023", "bootstrap", memory, map[string][]byte{"bootstrap": boot}); err != nil {
			return rows, err
		}
		o, f, ratio, err = turns(coldTurns, d.coldCall(name), bwrap(filepath.Join(dir, "bootstrap")))
		if err != nil {
			return rows, err
		}
		rows = append(rows, row{name: fmt.Sprintf("cold Go bootstrap, %d MB, beside bwrap + exec", memory), ours: o, floor: f, ratio: ratio})
	}
	if _, err := tool("javac"); err == nil {
		r, err := coldJava(d, dir)
		if err != nil {
			return rows, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// coldCall times a call right after the function was changed, so no instance of it is there.
func (d *daemon) coldCall(name string) func() (time.Duration, error) {
	n := 0
	return func() (time.Duration, error) {
		n++
		if err := d.renew(name, n); err != nil {
			return 0, err
		}
		time.Sleep(50 * time.Millisecond) // let the last instance's end not count as part of this start
		begin := time.Now()
		_, err := d.do("POST", "lambda", invokePath(name), "application/json", []byte(event))
		return time.Since(begin), err
	}
}

// bwrap times a program in fresh namespaces of every kind, from fork until its end.
func bwrap(argv ...string) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		path, err := tool("bwrap")
		if err != nil {
			return 0, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		args := []string{"--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"}
		if strings.HasSuffix(argv[0], "/bootstrap") {
			args = append(args, "--ro-bind", argv[0], "/tmp/bootstrap")
			argv = []string{"/tmp/bootstrap"}
		} else if real, err := interpreter(argv[0]); err == nil {
			if target, err := filepath.EvalSymlinks(real); err == nil { // a link below /tmp is not seen inside
				real = target
			}
			argv = append([]string{real}, argv[1:]...)
		}
		cmd := exec.CommandContext(ctx, path, append(args, argv...)...)
		cmd.Env = append(os.Environ(), "AWS_LAMBDA_RUNTIME_API=127.0.0.1:1")
		begin := time.Now()
		out, err := cmd.CombinedOutput()
		took := time.Since(begin)
		if err != nil && !strings.HasSuffix(argv[0], "/bootstrap") { // the bootstrap finds nobody to talk to, which is its end
			return 0, fmt.Errorf("bwrap: %w: %s", err, out)
		}
		return took, nil
	}
}

// interpreter asks a python for its real place, so that a version manager's shim is not measured.
func interpreter(name string) (string, error) {
	out, err := exec.Command(name, "-c", "import sys; print(sys.executable)").Output()
	return strings.TrimSpace(string(out)), err
}

func buildBootstrap(dir string) ([]byte, error) {
	src := filepath.Join(dir, "bootstrap-src")
	if err := os.MkdirAll(src, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(src, "main.go"), []byte(helloBootstrap), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", filepath.Join(dir, "bootstrap"), "main.go")
	cmd.Dir = src
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GO111MODULE=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build bootstrap: %w: %s", err, out)
	}
	return os.ReadFile(filepath.Join(dir, "bootstrap"))
}
