// Command misuse is a custom runtime that misuses the Runtime API, for TestHostile: the event's "do" says how. Without
// it, it answers "fine".
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

var api = os.Getenv("AWS_LAMBDA_RUNTIME_API")

func main() {
	if len(os.Args) > 1 {
		connect()
		return
	}
	for {
		resp, err := http.Get("http://" + api + "/2018-06-01/runtime/invocation/next")
		if err != nil {
			os.Exit(1)
		}
		var event struct{ Do string }
		err = json.NewDecoder(resp.Body).Decode(&event)
		resp.Body.Close()
		if err != nil {
			os.Exit(2)
		}
		serve(event.Do, "/2018-06-01/runtime/invocation/"+resp.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response")
	}
}

func serve(do, path string) {
	answer := "fine"
	switch do {
	case "api_twice":
		post(path, strings.NewReader(`"first"`))
		answer = "second"
	case "api_huge":
		raw("POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + strconv.Itoa(2<<30) + "\r\n\r\n" + strings.Repeat("x", 7<<20))
		return
	case "api_other":
		answer = fmt.Sprint(post(strings.Replace(path, "/invocation/", "/invocation/0", 1), strings.NewReader("1")), post("/2018-06-01/elsewhere", strings.NewReader("1")))
	case "api_garbage":
		answer = raw("GARBAGE\r\n\r\n")[:12]
	case "api_headers":
		answer = raw("POST " + path + " HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: "+strings.Repeat("x", 1<<16)+"\r\n", 100))[:12]
	case "api_connections":
		for range 10 {
			_ = exec.Command("/var/task/bootstrap", "connect").Start()
		}
		time.Sleep(3 * time.Second)
	case "api_exit":
		os.Exit(3)
	}
	post(path, bytes.NewReader([]byte(strconv.Quote(answer))))
}

func post(path string, body io.Reader) int {
	resp, err := http.Post("http://"+api+path, "application/json", body)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// raw sends text and returns the beginning of what comes back.
func raw(text string) string {
	c, err := net.Dial("tcp", api)
	if err != nil {
		return "no connection"
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	go func() { _, _ = io.WriteString(c, text) }()
	b := make([]byte, 100)
	n, _ := c.Read(b)
	return string(append(b[:n], make([]byte, 12)...))
}

// connect opens connections until it may not have more, and holds them.
func connect() {
	var held []net.Conn
	for {
		c, err := net.DialTimeout("tcp", api, 200*time.Millisecond)
		if err != nil {
			break
		}
		held = append(held, c)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\n")
	}
	time.Sleep(time.Second)
	fmt.Fprint(io.Discard, held)
}
