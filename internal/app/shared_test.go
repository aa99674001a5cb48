package app_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"artesian/internal/faas"
)

// TestShared runs a function whose instances take three calls at once.
func TestShared(t *testing.T) {
	p := start(t)
	p.role()
	tags := func(n string) spec { return spec{"Tags": spec{faas.ConcurrencyTag: n}, "Timeout": 2} }
	p.custom(t, "shared", programZip(t, "./testdata/shared"), tags("3"))

	type told struct {
		Self       string
		Here, Most int
	}
	ask := func(payload string) (a answer, out told) {
		a = p.invoke("shared", payload, "X-Amz-Log-Type", "None")
		_ = json.Unmarshal([]byte(a.body), &out) // what is no answer shows as an empty one
		return a, out
	}
	// each calls at once, and returns what the calls were told.
	each := func(payloads ...string) ([]answer, []told) {
		answers, out := make([]answer, len(payloads)), make([]told, len(payloads))
		var wg sync.WaitGroup
		for i, payload := range payloads {
			wg.Go(func() { answers[i], out[i] = ask(payload) })
		}
		wg.Wait()
		return answers, out
	}

	t.Run("three meet in one instance", func(t *testing.T) {
		answers, out := each(`{"meet":3}`, `{"meet":3}`, `{"meet":3}`)
		for i, o := range out {
			if o.Self == "" || o.Self != out[0].Self || o.Most != 3 {
				t.Errorf("call %d: %+v %+v", i, answers[i], o)
			}
		}
		if n := p.instances("shared"); n != 1 {
			t.Errorf("%d instances", n)
		}
	})
	_, before := ask(`{}`)
	t.Run("one that runs out of time leaves the others alone", func(t *testing.T) {
		answers, out := each(`{"sleep":true}`, `{"meet":6}`, `{"meet":6}`) // four were here before
		if !strings.Contains(answers[0].body, "Task timed out after 2.00 seconds") || answers[0].err == "" {
			t.Errorf("%+v", answers[0])
		}
		for i := range 2 {
			if out[i+1].Self != before.Self {
				t.Errorf("another: %+v", answers[i+1])
			}
		}
		a, after := ask(`{}`)
		if after.Self == "" || after.Self == before.Self {
			t.Errorf("afterwards: %+v, in the instance that is still at work on what ran out of time", a)
		}
		before = after
	})
	t.Run("the end of the runtime is the end of all", func(t *testing.T) {
		answers, _ := each(fmt.Sprintf(`{"meet":%d}`, 1<<30), `{"exit":true}`)
		for i, a := range answers {
			if a.err != "Unhandled" || !strings.Contains(a.body, "Runtime exited") && !strings.Contains(a.body, "timed out") {
				t.Errorf("call %d: %+v", i, a)
			}
		}
		if a, after := ask(`{}`); after.Self == "" || after.Self == before.Self {
			t.Errorf("afterwards: %+v", a)
		}
	})
	t.Run("one after the other again", func(t *testing.T) {
		resp, body := p.read(p.send("DELETE", "lambda", "/2017-03-31/tags/arn:aws:lambda:us-east-1:000000000000:function:shared?tagKeys="+faas.ConcurrencyTag, "", nil))
		if resp.StatusCode != 204 {
			t.Fatal(resp.Status, body)
		}
		if a, out := ask(`{}`); out.Most != 1 {
			t.Errorf("%+v", a)
		}
	})
	t.Run("refused", func(t *testing.T) {
		python := zipOf(t, map[string]string{"app.py": ""})
		for value, want := range map[string]string{"2": "one call after the other", "0": "from 1 to 100", "101": "from 1 to 100", "many": "from 1 to 100", "01": "from 1 to 100"} {
			if resp, body := p.tryCreate("python", python, tags(value)); resp.StatusCode != 400 || !strings.Contains(body, want) {
				t.Errorf("%s: %s %s", value, resp.Status, body)
			}
		}
		if resp, body := p.tryCreate("python", python, tags("1")); resp.StatusCode != 201 {
			t.Errorf("one: %s %s", resp.Status, body)
		}
		p.custom(t, "tail", programZip(t, "./testdata/shared"), tags("2"))
		if a := p.invoke("tail", `{}`); a.status != 400 || !strings.Contains(a.body, "LogType") {
			t.Errorf("%+v", a)
		}
		if resp, body := p.configure("tail", spec{"Runtime": "python3.11", "Handler": "app.handler"}); resp.StatusCode != 400 || !strings.Contains(body, "one call after the other") {
			t.Errorf("another runtime: %s %s", resp.Status, body)
		}
	})
}
