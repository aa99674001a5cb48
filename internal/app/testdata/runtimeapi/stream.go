package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// plan is what a streamed answer is made of: the event itself or, behind a function URL, the request's body.
type plan struct {
	Type   string          // content type
	Head   json.RawMessage // metadata before the body: status, headers, cookies
	Pieces []string        // each is written by itself; "now" is replaced by the time in nanoseconds
	Pause  int             // milliseconds between pieces
	Size   int             // bytes of zeros behind them
	Fail   string          // an error at the end
	Exit   bool            // the process ends there
	Hang   bool            // nothing more comes
	Break  bool            // the connection breaks off
	Whole  bool            // the answer is not streamed
}

func parsePlan(e event) (p plan) {
	var url struct {
		Body   string
		Base64 bool `json:"isBase64Encoded"`
	}
	_ = json.Unmarshal(e.body, &url)
	body := []byte(url.Body)
	if url.Base64 {
		body, _ = base64.StdEncoding.DecodeString(url.Body)
	}
	if len(body) == 0 {
		body = e.body
	}
	if err := json.Unmarshal(body, &p); err != nil {
		panic(err)
	}
	return p
}

// streamAnswer streams an answer as the guide to custom runtimes says
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming).
func streamAnswer(to string, p plan) {
	if p.Whole {
		post(to+"/response", strings.Join(p.Pieces, ""), "")
		return
	}
	r, w := io.Pipe()
	req, err := http.NewRequest("POST", api+to+"/response", r)
	if err != nil {
		panic(err)
	}
	req.Header.Set("Lambda-Runtime-Function-Response-Mode", "streaming")
	req.Header.Set("Content-Type", p.Type)
	if p.Head != nil {
		req.Header.Set("Content-Type", "application/vnd.awslambda.http-integration-response")
	}
	req.Trailer = http.Header{"Lambda-Runtime-Function-Error-Type": nil, "Lambda-Runtime-Function-Error-Body": nil}
	go func() {
		p.write(w, req.Trailer)
	}()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println("stream:", err)
		return
	}
	fmt.Println("stream:", resp.StatusCode)
	_ = resp.Body.Close()
}

func (p *plan) write(w *io.PipeWriter, trailer http.Header) {
	if p.Head != nil {
		_, _ = w.Write(append(p.Head, make([]byte, 8)...))
	}
	for i, piece := range p.Pieces {
		if i > 0 {
			time.Sleep(time.Duration(p.Pause) * time.Millisecond)
		}
		if piece == "now" {
			piece = fmt.Sprintln(time.Now().UnixNano())
		}
		_, _ = io.WriteString(w, piece)
	}
	part := make([]byte, 64<<10)
	for left := p.Size; left > 0; left -= len(part) {
		_, _ = w.Write(part[:min(left, len(part))])
	}
	switch {
	case p.Exit:
		time.Sleep(100 * time.Millisecond) // what was written is on its way
		os.Exit(4)
	case p.Hang:
		time.Sleep(time.Hour)
	case p.Break:
		_ = w.CloseWithError(io.ErrClosedPipe)
		return
	case p.Fail != "":
		trailer.Set("Lambda-Runtime-Function-Error-Type", "Function.Midway")
		doc, _ := json.Marshal(map[string]string{"errorMessage": p.Fail, "errorType": "Function.Midway"})
		trailer.Set("Lambda-Runtime-Function-Error-Body", base64.StdEncoding.EncodeToString(doc))
	}
	_ = w.Close()
}
