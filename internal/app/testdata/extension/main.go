// Command extension is an external Lambda extension that does what the name of its file says.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

var name = filepath.Base(os.Args[0])

const api = "/2020-01-01/extension/"

func call(method, path, body string, header ...string) (int, http.Header, string) {
	req, err := http.NewRequest(method, "http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, strings.TrimSpace(string(b))
}

func register(as, events string) string {
	status, h, body := call("POST", api+"register", `{"events":`+events+`}`, "Lambda-Extension-Name", as, "Lambda-Extension-Accept-Feature", "accountId")
	fmt.Printf("%s: register %d %s\n", name, status, body)
	return h.Get("Lambda-Extension-Identifier")
}

type event struct {
	Type   string `json:"eventType"`
	ID     string `json:"requestId"`
	ARN    string `json:"invokedFunctionArn"`
	Reason string `json:"shutdownReason"`
	Trace  struct{ Type, Value string }
}

func next(id string) (e event) {
	_, _, body := call("GET", api+"event/next", "", "Lambda-Extension-Identifier", id)
	_ = json.Unmarshal([]byte(body), &e)
	return e
}

func main() {
	kind, _, _ := strings.Cut(name, "-")
	switch kind {
	case "mute": // never says anything
		select {}
	case "dies":
		os.Exit(3)
	case "stranger":
		register("nobody", `["INVOKE"]`)
		select {}
	case "odd":
		odd()
	case "late": // has something ready for the function before it registers, and takes its time
		time.Sleep(400 * time.Millisecond)
		if err := os.WriteFile("/tmp/late", nil, 0o644); err != nil {
			panic(err)
		}
	}
	id := register(name, `["INVOKE","SHUTDOWN"]`)
	if kind == "listens" {
		listen(id)
	}
	if kind == "initerror" {
		status, _, body := call("POST", api+"init/error", `{"errorMessage":"no key","errorType":"Extension.NoKey"}`,
			"Lambda-Extension-Identifier", id, "Lambda-Extension-Function-Error-Type", "Extension.NoKey")
		fmt.Println(name, status, body)
		select {}
	}
	for {
		e := next(id)
		fmt.Printf("%s: %s %s %s\n", name, e.Type, e.ID, e.Reason)
		switch {
		case e.Type == "SHUTDOWN":
			if kind == "stays" {
				select {}
			}
			fmt.Println(name + ": bye")
			os.Exit(0)
		case kind == "hangs":
			select {}
		case kind == "lags":
			time.Sleep(1100 * time.Millisecond)
		case kind == "crashes":
			os.Exit(5)
		case kind == "exiterror":
			call("POST", api+"exit/error", `{"errorMessage":"full"}`, "Lambda-Extension-Identifier", id, "Lambda-Extension-Function-Error-Type", "Extension.Full")
			select {}
		}
	}
}

// odd asks for what it must not get, prints the answers, and goes on as a good one.
func odd() {
	say := func(what string, status int, _ http.Header, body string) {
		fmt.Printf("odd %s: %d %s\n", what, status, body)
	}
	for i := range 100 { // a flood
		if status, _, _ := call("GET", api+"event/next", "", "Lambda-Extension-Identifier", fmt.Sprint("x", i)); status != 403 {
			fmt.Println("odd flood:", status)
		}
	}
	post := func(what, path, body string, header ...string) {
		status, h, answer := call("POST", path, body, header...)
		say(what, status, h, answer)
	}
	post("nameless", api+"register", `{"events":[]}`)
	post("body", api+"register", `{"events":`, "Lambda-Extension-Name", name)
	post("event", api+"register", `{"events":["RESTART"]}`, "Lambda-Extension-Name", name)
	post("shutdown", api+"register", `{"events":["SHUTDOWN"]}`, "Lambda-Extension-Name", "inner")
	post("large", api+"register", `{"events":["`+strings.Repeat("x", 70000)+`"]}`, "Lambda-Extension-Name", name)
	post("id", api+"init/error", `{}`)
	status, h, body := call("GET", api+"event/next", "")
	say("next", status, h, body)
	status, h, body = call("GET", "/2020-01-01/extension/unknown", "")
	say("path", status, h, fmt.Sprint(len(body) > 0))
	id := register(name, `["INVOKE","INVOKE"]`)
	post("twice", api+"register", `{"events":[]}`, "Lambda-Extension-Name", name)
	post("typeless", api+"exit/error", `{}`, "Lambda-Extension-Identifier", id)
	for {
		e := next(id)
		post("late", api+"register", `{"events":[]}`, "Lambda-Extension-Name", "late")
		fmt.Printf("odd got %s of %s\n", e.Type, e.ARN)
	}
}

// listen subscribes to all telemetry, over HTTP and, under another name, TCP, and prints what comes, after AWS's samples.
func listen(id string) {
	l, err := net.Listen("tcp", "sandbox.localdomain:4243")
	if err != nil { // without a network of its own there is no such name
		fmt.Println("listens:", err)
		l, err = net.Listen("tcp", "127.0.0.1:4243")
	}
	if err != nil {
		panic(err)
	}
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			var events []json.RawMessage
			if err := json.Unmarshal(b, &events); err != nil {
				fmt.Println("broken batch:", err)
			}
			for _, e := range events {
				if !strings.Contains(string(e), "listens got ") { // else for ever
					fmt.Println("listens got", string(e))
				}
			}
		}))
	}()
	for what, body := range map[string]string{
		"types": `{"types":["all"]}`, "host": `{"types":["platform"],"destination":{"protocol":"HTTP","URI":"http://169.254.169.254:80"}}`,
		"items":    `{"types":["platform"],"buffering":{"maxItems":1},"destination":{"protocol":"HTTP","URI":"http://sandbox:4243"}}`,
		"protocol": `{"types":["platform"],"destination":{"protocol":"UDP","port":1}}`,
	} {
		status, _, answer := call("PUT", "/2022-07-01/telemetry", body, "Lambda-Extension-Identifier", id)
		fmt.Println("listens", what, status, answer)
	}
	status, _, answer := call("PUT", "/2022-07-01/telemetry", `{"schemaVersion":"2022-12-13","types":["platform","function","extension"],
		"buffering":{"maxItems":1000,"maxBytes":262144,"timeoutMs":25},"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:4243/telemetry"}}`,
		"Lambda-Extension-Identifier", id)
	fmt.Println("listens subscribed", status, answer)
}
