package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// What runs in workerd, and its configuration. Its isolate answers what ours do.
const (
	workerdWorker = "export default { async fetch(request) { const event = await request.json(); return Response.json({ hello: event.name }) } }\n"
	workerdConfig = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (modules = [(name = "worker", esModule = embed "worker.js")], compatibilityDate = "2025-01-01"))],
  sockets = [(name = "http", address = "127.0.0.1:%d", http = (), service = "main")],
);
`
	frameworkNode   = "exports.handler = (req, res) => { res.json({ hello: req.body.name }) }\n"
	frameworkPython = "import flask\ndef handler(request):\n    return flask.jsonify({\"hello\": request.get_json()[\"name\"]})\n"
)

// startWorkerd starts workerd on a free port.
func startWorkerd(l lab) (*peer, error) {
	found, _ := filepath.Glob(filepath.Join(l.peers, "npm/node_modules/@cloudflare/workerd-linux-*/bin/workerd"))
	if len(found) == 0 {
		return nil, fmt.Errorf("workerd (scripts/peers/install): %w", errNoTool)
	}
	dir := filepath.Join(l.dir, "workerd")
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if err := write(dir, map[string]string{"worker.js": workerdWorker, "config.capnp": fmt.Sprintf(workerdConfig, port)}); err != nil {
		return nil, err
	}
	return startPeer(exec.Command(found[0], "serve", filepath.Join(dir, "config.capnp")), dir, port)
}

// startFramework starts Google's functions-framework of a language.
func startFramework(l lab, s sample) (*peer, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(l.dir, "framework-"+s.name)
	var cmd *exec.Cmd
	if s.name == "node" {
		program := filepath.Join(l.peers, "npm/node_modules/@google-cloud/functions-framework/build/src/main.js")
		if _, err := os.Stat(program); err != nil {
			return nil, fmt.Errorf("functions-framework for Node.js (scripts/peers/install): %w", errNoTool)
		}
		err = write(dir, map[string]string{"index.js": frameworkNode, "package.json": `{"main":"index.js"}`})
		cmd = exec.Command("node", program, "--target=handler", fmt.Sprintf("--port=%d", port))
	} else {
		program := filepath.Join(l.peers, "venv/bin/functions-framework")
		if _, err := os.Stat(program); err != nil {
			return nil, fmt.Errorf("functions-framework for Python (scripts/peers/install): %w", errNoTool)
		}
		err = write(dir, map[string]string{"main.py": frameworkPython})
		cmd = exec.Command(program, "--target=handler", "--host=127.0.0.1", fmt.Sprintf("--port=%d", port))
	}
	if err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), "NODE_ENV=production")
	return startPeer(cmd, dir, port)
}

func write(dir string, files map[string]string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// startPeer starts a server and waits until it answers.
func startPeer(cmd *exec.Cmd, dir string, port int) (*peer, error) {
	var said strings.Builder
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &peer{url: fmt.Sprintf("http://127.0.0.1:%d/", port), pid: cmd.Process.Pid}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	p.stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-ended:
			return nil, fmt.Errorf("%s ended: %w: %s", cmd.Path, err, said.String())
		default:
		}
		if answersAda(p.url) == nil {
			return p, nil
		}
	}
	p.stop()
	return nil, fmt.Errorf("%s does not answer: %s", cmd.Path, said.String())
}

// answersAda checks that a peer does what our function does.
func answersAda(url string) error {
	resp, err := http.Post(url, "application/json", strings.NewReader(event))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !strings.Contains(string(b), `"Ada"`)) {
		err = fmt.Errorf("answer %s: %s", resp.Status, b)
	}
	return err
}

// beside has ours and a peer take turns.
func beside(l lab, name string, ours driver, pid int, p *peer, clients, n int) (*contest, error) {
	req, err := http.NewRequest("POST", p.url, strings.NewReader(event))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	theirs, err := newDriver(l, name, req, event)
	if err != nil {
		return nil, err
	}
	c := &contest{ours: ours, theirs: theirs, oursPID: pid, theirPID: p.pid, clients: clients}
	return c, c.run(n)
}

func besideWorkerd(l lab, ours driver, pid int) ([]row, error) {
	w, err := startWorkerd(l)
	if errors.Is(err, errNoTool) {
		return []row{{name: "warm throughput, Node.js, beside workerd", text: "not measured: " + err.Error()}}, nil
	}
	if err != nil {
		return nil, err
	}
	defer w.stop()
	c, err := beside(l, "workerd", ours, pid, w, 16, warmTurns)
	if err != nil {
		return nil, err
	}
	return []row{
		c.throughput("warm throughput, Node.js, 1769 MB, 16 clients, beside workerd", ratioAtLeast(1.5)),
		c.cpu().row("CPU time of a warm call, Node.js, 16 clients, beside workerd", goal{}, "workerd runs the function in its own process; the calls of ours cross two."),
	}, nil
}

// peers measures calls of ours beside Google's functions-framework, which has no isolation and no billing: for information.
func peers(l lab) (rows []row, err error) {
	d, err := startDaemon(l, "peers")
	if err != nil {
		return nil, err
	}
	defer d.stop()
	if err := d.createRole(); err != nil {
		return nil, err
	}
	for _, s := range samples {
		lang, err := d.language(s.prefix)
		if err != nil {
			return rows, err
		}
		ours, err := d.sampleDriver(l, "peer-"+s.name, s, lang, 1769)
		if err != nil {
			return rows, err
		}
		p, err := startFramework(l, s)
		if err != nil {
			return rows, err
		}
		c, err := beside(l, "framework-"+s.name, ours, d.pid(), p, 1, 3)
		p.stop()
		if err != nil {
			return rows, err
		}
		rows = append(rows, c.latency().row(fmt.Sprintf("warm call, %s, 1 client, p50, beside functions-framework", s.title), goal{}, ""))
	}
	return rows, nil
}
