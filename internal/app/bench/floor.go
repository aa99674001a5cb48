package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// floorPython is the least that an interpreter has to do for one event: read a frame, parse, handle, write a frame.
const floorPython = `
import json, socket
s = socket.socket(fileno=3)
f = s.makefile("rb")
def handler(event, context):
    return {"hello": event["name"]}
while True:
    head = f.read(4)
    if len(head) < 4:
        break
    event = json.loads(f.read(int.from_bytes(head, "big")))
    out = json.dumps(handler(event, None)).encode()
    s.sendall(len(out).to_bytes(4, "big") + out)
`

// floorNode is the same in Node.js.
const floorNode = `
const { readSync, writeSync } = require("fs")
const b = Buffer.alloc(1 << 16)
const handler = (event, context) => ({ hello: event.name })
for (;;) {
  let n = readSync(3, b)
  if (n === 0) break
  while (n < 4 || n < 4 + b.readUInt32BE(0)) n += readSync(3, b, n)
  const event = JSON.parse(b.utf8Slice(4, n))
  const size = b.utf8Write(JSON.stringify(handler(event, null)), 4)
  b.writeUInt32BE(size, 0)
  writeSync(3, b, 0, 4 + size)
}
`

// floorArgs run the floor's program by what the interpreter's identifiers begin with.
func floorArgs(path string) []string {
	if strings.Contains(filepath.Base(path), "node") {
		return []string{path, "-e", floorNode}
	}
	return []string{path, "-S", "-c", floorPython}
}

const floorInterpreters = 16

type floorPeer struct {
	conn *os.File
	r    *bufio.Reader
}

// serveFloor is the floor's process: a bare HTTP server that parses and writes the JSON event and does a framed round
// trip over a unix socket to a plain interpreter of the language. It prints its address and serves until its standard input ends.
func serveFloor(interpreter string) {
	args := floorArgs(interpreter)
	peers := &idlePeers{count: make(chan struct{}, floorInterpreters)}
	for range floorInterpreters {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		must(err)
		theirs := os.NewFile(uintptr(fds[1]), "peer")
		must(syscall.SetNonblock(fds[0], true))
		syscall.CloseOnExec(fds[0])
		ours := os.NewFile(uintptr(fds[0]), "floor")
		cmd := exec.Command(args[0], args[1:]...)
		cmd.ExtraFiles = []*os.File{theirs}
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		must(cmd.Start())
		_ = theirs.Close()
		peers.give(&floorPeer{ours, bufio.NewReader(ours)})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go func() {
		must(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			var event any
			if err == nil {
				err = json.Unmarshal(body, &event)
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			body, _ = json.Marshal(event)
			p := peers.take()
			out, err := p.call(body)
			peers.give(p)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			_, _ = w.Write(out)
		})))
	}()
	fmt.Println("http://" + l.Addr().String())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// idlePeers are interpreters that wait for a call. The last one to come back is the first to go: with one client it is always the same,
// whose code is compiled and in the caches.
type idlePeers struct {
	count chan struct{} // one for each of idle
	mu    sync.Mutex
	idle  []*floorPeer
}

func (i *idlePeers) take() *floorPeer {
	<-i.count
	i.mu.Lock()
	defer i.mu.Unlock()
	last := len(i.idle) - 1
	p := i.idle[last]
	i.idle = i.idle[:last]
	return p
}

func (i *idlePeers) give(p *floorPeer) {
	i.mu.Lock()
	i.idle = append(i.idle, p)
	i.mu.Unlock()
	i.count <- struct{}{}
}

func (p *floorPeer) call(body []byte) ([]byte, error) {
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	if _, err := p.conn.Write(append(frame, body...)); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return nil, err
	}
	out := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(p.r, out)
	return out, err
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

// peer is a program that is measured beside the daemon.
type peer struct {
	url  string
	pid  int
	stop func()
}

// startFloor starts the floor's process beside an interpreter.
func startFloor(interpreter string) (*peer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "floor", interpreter)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &peer{pid: cmd.Process.Pid, stop: func() { _ = in.Close(); _ = cmd.Wait() }}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("start floor: %w", err)
	}
	p.url = strings.TrimSpace(line)
	return p, nil
}
