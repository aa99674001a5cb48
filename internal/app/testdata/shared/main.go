// Command shared is a custom runtime that works on as many events at once as it is told, by one goroutine for each.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// event says what to do: wait until so many calls are here, go on for ever, or end the process.
type event struct {
	Meet  int
	Sleep bool
	Exit  bool
}

var (
	api  = "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	self = strconv.FormatUint(rand.Uint64(), 36) // of this process

	mu   sync.Mutex
	here int
	met  = sync.NewCond(&mu)
)

func main() {
	most, err := strconv.Atoi(os.Getenv("AWS_LAMBDA_MAX_CONCURRENCY"))
	if err != nil {
		most = 1
	}
	for range most - 1 {
		go serve(most)
	}
	serve(most)
}

func serve(most int) {
	client := &http.Client{Transport: &http.Transport{}}
	for {
		resp, err := client.Get(api + "next")
		if err != nil {
			os.Exit(1)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		var e event
		if err := json.Unmarshal(body, &e); err != nil {
			os.Exit(1)
		}
		at := e.do()
		answer := fmt.Sprintf(`{"self":%q,"here":%d,"most":%d}`, self, at, most)
		out, err := client.Post(api+resp.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json", bytes.NewReader([]byte(answer)))
		if err != nil {
			os.Exit(1)
		}
		_ = out.Body.Close()
	}
}

func (e event) do() int {
	switch {
	case e.Exit:
		os.Exit(3)
	case e.Sleep:
		time.Sleep(time.Hour)
	}
	mu.Lock()
	defer mu.Unlock()
	here++
	met.Broadcast()
	for here < e.Meet {
		met.Wait()
	}
	at := here
	return at
}
