package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// signed measures the Invoke API, which verifies a signature, beside the same function's open URL.
func signed(l lab) ([]row, error) {
	d, err := startDaemon(l, "signed")
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
	const code = "def handler(event, context):\n    return {\"hello\": \"Ada\"}\n"
	api, err := d.sampleDriver(l, "signed", sample{file: "app.py", code: code}, lang, 1769)
	if err != nil {
		return nil, err
	}
	url, err := d.openURL("signed", "BUFFERED")
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest("POST", url, strings.NewReader(event))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	open, err := newDriver(l, "url", req, event)
	if err != nil {
		return nil, err
	}
	c := contest{ours: api, theirs: open, oursPID: d.pid(), theirPID: d.pid(), clients: 1}
	if err := c.run(warmTurns); err != nil {
		return nil, err
	}
	var more []time.Duration
	for i := range c.a {
		more = append(more, c.a[i].p50-c.b[i].p50)
	}
	return []row{
		c.latency().row("signed Invoke beside the function's URL, Python, 1 client, p50", goal{}, ""),
		{name: "what the signed Invoke costs more than the function's URL", ours: took(median(more)), goal: upTo(took(60 * time.Microsecond)),
			note: "Median of the differences of the turns' p50; the URL's event is larger, and its function parses that."},
	}, nil
}

// openURL gives a function a URL that asks for no signature, and returns it by path.
func (d *daemon) openURL(name, mode string) (string, error) {
	b, err := d.do("POST", "lambda", "/2021-10-31/functions/"+name+"/url", "application/json", fmt.Appendf(nil, `{"AuthType":"NONE","InvokeMode":%q}`, mode))
	if err != nil {
		return "", err
	}
	var made struct{ FunctionUrl string }
	if err := json.Unmarshal(b, &made); err != nil {
		return "", err
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(made.FunctionUrl, "http://"), ".")
	return d.endpoint + "/_artesian/url/" + id + "/", nil
}
