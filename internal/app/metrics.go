package app

import (
	"cmp"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"

	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
	"artesian/internal/observe/metrics"
)

// metricsKey names the token that reads metrics and nothing else. It is a file, so that a scraper can be given it.
const metricsKey = "metrics"

// usage hands every receipt to the ledger and to the counts.
type usage struct{ *App }

func (u usage) Record(r faas.Usage) {
	u.counts.Record(&r)
	u.ledger.Record(r)
}

// serveMetrics answers whoever has the token. It is apart from the signed API: Prometheus does not sign, and needs no more than this.
func (a *App) serveMetrics() (http.Handler, error) {
	key, err := a.engine.Secret(metricsKey)
	if err != nil {
		return nil, err
	}
	want := []byte(hex.EncodeToString(key))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case !ok || subtle.ConstantTimeCompare([]byte(token), want) != 1:
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "metrics are read with the token in the file "+admin.MetricsKeyFile+" of the data directory: Authorization: Bearer TOKEN", http.StatusUnauthorized)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "metrics are read by GET", http.StatusMethodNotAllowed)
		default:
			w.Header().Set("Content-Type", metrics.ContentType)
			_ = a.counts.Write(w, a.gauges()) // the client left
		}
	}), nil
}

// gauges are what there is now.
func (a *App) gauges() []metrics.Gauge {
	var out []metrics.Gauge
	memory := 0
	for _, c := range a.pool.Count() {
		memory += c.MemoryMB
		out = append(out, metrics.Gauge{Name: "artesian_instances", Help: "Instances by what they are doing: starting, busy, idle or frozen.",
			Labels: []string{"runtime", cmp.Or(c.Runtime, "image"), "state", c.State}, Value: float64(c.Instances)})
	}
	out = append(out, a.ahead()...)
	out = append(out, a.provisionedGauges()...)
	return append(out,
		metrics.Gauge{Name: "artesian_instances_memory_bytes", Help: "Memory that the instances are configured with, all together.", Value: float64(memory) * (1 << 20)},
		metrics.Gauge{Name: "artesian_start_time_seconds", Help: "When the daemon started, in seconds since 1970.", Value: float64(a.started.UnixMilli()) / 1000})
}

// ahead is what is made before it is known whom for, by form and runtime.
func (a *App) ahead() []metrics.Gauge {
	type kind struct{ form, runtime string }
	ready, making := map[kind]int{}, map[kind]int{}
	memory := 0
	var kinds []kind
	for _, i := range a.stock.List() {
		k := kind{string(i.Form), i.Runtime}
		if _, ok := ready[k]; !ok {
			kinds = append(kinds, k)
		}
		ready[k] += i.Ready
		making[k] += i.Making
		memory += i.MemoryMB
	}
	out := []metrics.Gauge{{Name: "artesian_ahead_memory_bytes", Help: "Memory that sandboxes made ahead are reckoned with.", Value: float64(memory) * (1 << 20)}}
	for _, k := range kinds {
		for _, n := range []struct {
			state string
			of    map[kind]int
		}{{"ready", ready}, {"making", making}} {
			out = append(out, metrics.Gauge{Name: "artesian_ahead", Help: "Sandboxes made ahead of their use: blank, with a runtime that waits (stem), or forked from a zygote (fork).",
				Labels: []string{"form", k.form, "runtime", k.runtime, "state", n.state}, Value: float64(n.of[k])})
		}
	}
	return out
}
