// Command runtimeapi is a custom runtime of few lines: it speaks the public Runtime API
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html) as its handler's name says, well or badly.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

var api = "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/"

// event is what the platform hands out.
type event struct {
	id     string
	header http.Header
	body   []byte
}

func main() {
	handler := os.Getenv("_HANDLER")
	fmt.Println("initialising", handler)
	switch handler {
	case "init-exit":
		os.Exit(5)
	case "init-error":
		post("init/error", `{"errorType":"Config.Missing","errorMessage":"no configuration"}`, "Config.Missing")
		os.Exit(1)
	case "init-answer": // an answer to a question that nobody asked
		fmt.Println("answer:", post("invocation/00000000-0000-0000-0000-000000000000/response", `{}`, ""))
	case "init-garbage":
		garbage()
	}
	n := 0
	for {
		n++
		e := next()
		answer(handler, e, n)
	}
}

func answer(handler string, e event, n int) {
	to := "invocation/" + e.id
	echo, err := json.Marshal(map[string]any{"event": json.RawMessage(e.body), "n": n})
	if err != nil {
		panic(err)
	}
	switch handler {
	case "echo", "init-answer", "init-garbage":
		fmt.Println("event", string(e.body))
		post(to+"/response", string(echo), "")
	case "headers":
		seen := map[string]string{"version": os.Getenv("AWS_LAMBDA_FUNCTION_VERSION"), "task": os.Getenv("LAMBDA_TASK_ROOT")}
		for name := range e.header {
			if strings.HasPrefix(name, "Lambda-Runtime-") {
				seen[strings.TrimPrefix(name, "Lambda-Runtime-")] = e.header.Get(name)
			}
		}
		doc, _ := json.Marshal(seen)
		post(to+"/response", string(doc), "")
	case "not-json":
		post(to+"/response", "\xff\x00 not JSON", "")
	case "nothing":
		post(to+"/response", "", "")
	case "error":
		post(to+"/error", `{"errorType":"Order.Unknown","errorMessage":"no such order","stackTrace":["here"]}`, "Order.Unknown")
	case "error-garbage":
		post(to+"/error", `no document`, "")
	case "twice":
		post(to+"/response", fmt.Sprintf(`"first of %d"`, n), "")
		fmt.Println("second:", post(to+"/response", `"second"`, ""), "then:", post(to+"/error", `{}`, ""))
	case "wrong-id":
		fmt.Println("wrong:", post("invocation/00000000-0000-0000-0000-000000000000/response", `"wrong"`, ""))
		post(to+"/response", `"right"`, "")
	case "garbage":
		garbage()
		post(to+"/response", string(echo), "")
	case "unknown-path":
		fmt.Println("unknown:", post("nonsense", "", ""), get("nonsense"), get("../2099-01-01/runtime/invocation/next"))
		post(to+"/response", string(echo), "")
	case "big":
		fmt.Println("big:", post(to+"/response", `"`+strings.Repeat("x", 7<<20)+`"`, ""))
	case "stream":
		streamAnswer(to, parsePlan(e))
	case "exit":
		os.Exit(3)
	case "exit-well":
		os.Exit(0)
	case "panic":
		panic("at the function's end")
	case "hang":
		time.Sleep(time.Hour)
	case "late": // an answer after the function's time
		time.Sleep(5 * time.Second)
		post(to+"/response", `"late"`, "")
	case "asks-again":
		fmt.Println("asks:", get("invocation/next"))
		post(to+"/response", string(echo), "")
	}
}

func next() event {
	resp, err := http.Get(api + "invocation/next")
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		panic(fmt.Sprint(resp.Status, err, string(body)))
	}
	return event{resp.Header.Get("Lambda-Runtime-Aws-Request-Id"), resp.Header, body}
}

func post(path, body, kind string) int {
	req, err := http.NewRequest("POST", api+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	if kind != "" {
		req.Header.Set("Lambda-Runtime-Function-Error-Type", kind)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func get(path string) int {
	resp, err := http.Get(api + path)
	if err != nil {
		panic(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// garbage sends what is no HTTP, and leaves.
func garbage() {
	for _, text := range []string{"\x16\x03\x01\x00\x00\x01", "GET / HTTP/9.9\r\n\r\n", "POST " + "/2018-06-01/runtime/invocation/x/response HTTP/1.1\r\nContent-Length: 99\r\n\r\n{"} {
		c, err := net.Dial("tcp", os.Getenv("AWS_LAMBDA_RUNTIME_API"))
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(c, text)
		_ = c.Close()
	}
}
