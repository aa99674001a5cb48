package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

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

const coldGoTurns = 31

// coldGo measures a bootstrap in Go beside the same program spawned bare, and in bwrap, each until its first byte is here.
func coldGo(l lab) (rows []row, err error) {
	d, err := startDaemon(l, "cold-go")
	if err != nil {
		return nil, err
	}
	defer d.stop()
	if err := d.createRole(); err != nil {
		return nil, err
	}
	file, boot, err := buildBootstrap(l.dir)
	if err != nil {
		return nil, err
	}
	for _, mb := range sizes {
		name := fmt.Sprintf("go-%d", mb)
		if err := d.create(name, "provided.al2023", "bootstrap", mb, map[string][]byte{"bootstrap": boot}); err != nil {
			return rows, err
		}
		c, ways, err := d.coldTurns(coldGoTurns, name, event, func() (time.Duration, error) { return firstByte(file) })
		if err != nil {
			return rows, err
		}
		rows = append(rows, c.row(fmt.Sprintf("cold Go bootstrap, %d MB, p50, beside spawn + exec + first byte", mb), ratioUpTo(1.5),
			"The floor has no isolation, and ends with the first byte that the same program sends to a Runtime API; ours ends with the answer to the client. Ways: "+ways))
		if mb != 1769 {
			continue
		}
		isolated, err := bwrapArgs([]string{file})
		if errors.Is(err, errNoTool) {
			continue
		} else if err != nil {
			return rows, err
		}
		tail := []string{"--share-net", "--ro-bind", file, "/tmp/bootstrap", "/tmp/bootstrap"}
		isolated = append(isolated[:len(isolated)-1], tail...)
		if c, _, err = d.coldTurns(coldGoTurns/2, name, event, func() (time.Duration, error) { return firstByte(isolated...) }); err != nil {
			return rows, err
		}
		rows = append(rows, c.row(fmt.Sprintf("cold Go bootstrap, %d MB, p50, beside bwrap + exec + first byte", mb), goal{}, "bwrap leaves it the host's network, over which the byte comes."))
	}
	return rows, nil
}

// firstByte times a bootstrap from fork until its first byte is at a Runtime API.
func firstByte(argv ...string) (time.Duration, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "AWS_LAMBDA_RUNTIME_API="+l.Addr().String())
	type arrival struct {
		at  time.Time
		err error
	}
	arrived := make(chan arrival, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = c.Read(make([]byte, 1))
			defer c.Close()
		}
		arrived <- arrival{time.Now(), err}
	}()
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	select {
	case a := <-arrived:
		return a.at.Sub(begin), a.err
	case <-ctx.Done():
		return 0, fmt.Errorf("%s: %w", argv[0], ctx.Err())
	}
}

func buildBootstrap(dir string) (file string, content []byte, err error) {
	src := filepath.Join(dir, "bootstrap-src")
	if err := write(src, map[string]string{"main.go": helloBootstrap}); err != nil {
		return "", nil, err
	}
	file = filepath.Join(dir, "bootstrap")
	if err := build(file, src, "main.go"); err != nil {
		return "", nil, err
	}
	content, err = os.ReadFile(file)
	return file, content, err
}
