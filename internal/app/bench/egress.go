package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// outsideAddr is an address of this machine, for the time of the measurement, that functions may reach: the way there is
// that to the internet but for the wire.
const outsideAddr = "198.18.77.1"

const (
	egressTurns = 5
	egressMB    = 256
)

// egressPython measures one stream each way, in seconds, and the median of 200 connects; inside a function, and outside.
const egressPython = `import json, socket, sys, time
def handler(event, context):
  begin = time.monotonic()
  s = socket.create_connection((event["host"], event["source"]))
  buffer = bytearray(1 << 18)
  while s.recv_into(buffer): pass
  into = time.monotonic() - begin
  s.close()
  block = bytes(1 << 18)
  begin = time.monotonic()
  s = socket.create_connection((event["host"], event["sink"]))
  for _ in range(event["mb"] * 4): s.sendall(block)
  s.shutdown(socket.SHUT_WR)
  s.recv(1)
  out = time.monotonic() - begin
  s.close()
  took = []
  for _ in range(200):
    begin = time.monotonic()
    socket.create_connection((event["host"], event["sink"])).close()
    took.append(time.monotonic() - begin)
  return {"in": into, "out": out, "connect": sorted(took)[100]}
if __name__ == "__main__":
  print(json.dumps(handler(json.loads(sys.argv[1]), None)))
`

// egress measures what a function gets of the network beside the same program without a sandbox.
func egress(l lab) ([]row, error) {
	if err := exec.Command("ip", "addr", "add", outsideAddr+"/32", "dev", "lo").Run(); err != nil {
		return nil, fmt.Errorf("root and the command ip: %w", errNoTool)
	}
	defer func() { _ = exec.Command("ip", "addr", "delete", outsideAddr+"/32", "dev", "lo").Run() }()
	source, err := serve(func(c net.Conn) {
		block := make([]byte, 1<<18)
		for range egressMB * 4 {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	})
	if err != nil {
		return nil, err
	}
	defer source.Close()
	sink, err := serve(func(c net.Conn) {
		block := make([]byte, 1<<18)
		for {
			if _, err := c.Read(block); err != nil {
				return
			}
		}
	})
	if err != nil {
		return nil, err
	}
	defer sink.Close()
	d, err := startDaemon(l, "egress")
	if err != nil {
		return nil, err
	}
	defer d.stop()
	if err := d.createRole(); err != nil {
		return nil, err
	}
	lang, err := d.language(samples[0].prefix)
	if err != nil {
		return nil, err
	}
	if err := d.create("egress", lang.runtime, "app.handler", 3538, map[string][]byte{"app.py": []byte(egressPython)}); err != nil {
		return nil, err
	}
	event, err := json.Marshal(map[string]any{
		"host": outsideAddr, "mb": egressMB, "source": source.Addr().(*net.TCPAddr).Port, "sink": sink.Addr().(*net.TCPAddr).Port})
	if err != nil {
		return nil, err
	}
	return d.egressRows(filepath.Join(l.dir, "egress.py"), lang.path, event)
}

// egressRows takes turns with the floor.
func (d *daemon) egressRows(script, python string, event []byte) ([]row, error) {
	if err := os.WriteFile(script, []byte(egressPython), 0o600); err != nil {
		return nil, err
	}
	type figures struct{ In, Out, Connect float64 }
	var ours, floor []figures
	for range egressTurns {
		var o, f figures
		answer, err := d.do("POST", "lambda", invokePath("egress"), "application/json", event)
		if err == nil {
			err = json.Unmarshal(answer, &o)
		}
		if err != nil {
			return nil, err
		}
		if answer, err = exec.Command(python, script, string(event)).Output(); err == nil {
			err = json.Unmarshal(answer, &f)
		}
		if err != nil {
			return nil, err
		}
		ours, floor = append(ours, o), append(floor, f)
	}
	pick := func(list []figures, of func(figures) float64) float64 {
		var v []float64
		for _, f := range list {
			v = append(v, of(f))
		}
		return median(v)
	}
	stream := func(name string, of func(figures) float64) row {
		o, f := pick(ours, of), pick(floor, of)
		return row{name: name, ours: bits(o), floor: bits(f), ratio: f / o, goal: goal{"ours", true, value{1e9, "bit/s"}}}
	}
	connect := func(f figures) float64 { return f.Connect }
	o, f := pick(ours, connect), pick(floor, connect)
	return []row{
		stream("egress, one stream in", func(f figures) float64 { return f.In }),
		stream("egress, one stream out", func(f figures) float64 { return f.Out }),
		{name: "egress, connect, p50", ours: value{o, "s"}, floor: value{f, "s"}, ratio: o / f, goal: upTo(took(500 * time.Microsecond))},
	}, nil
}

// bits is the rate at which all was moved in so many seconds.
func bits(seconds float64) value { return value{egressMB << 20 * 8 / seconds, "bit/s"} }

// serve answers connections to the outside address.
func serve(f func(net.Conn)) (net.Listener, error) {
	l, err := net.Listen("tcp", outsideAddr+":0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { f(c); _ = c.Close() }()
		}
	}()
	return l, nil
}
