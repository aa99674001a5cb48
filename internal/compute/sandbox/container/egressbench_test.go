package container

import (
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"artesian/internal/compute/sandbox/netstack"
	"artesian/internal/compute/sandbox/sandboxtest"
)

// BenchmarkEgress is one stream each way, in Mbit/s, and the median time of a connect, to a network beside this machine's
// and, for comparison, from this machine itself without a sandbox.
func BenchmarkEgress(b *testing.B) { benchmarkEgress(b, connected(b, netstack.Config{})) }

// BenchmarkEgressWire is the same over a pair of Ethernet devices.
func BenchmarkEgressWire(b *testing.B) {
	m := connected(b, netstack.Config{})
	wired(b, m)
	benchmarkEgress(b, m)
}

func benchmarkEgress(b *testing.B, m *Maker) {
	o := sandboxtest.NewOutside(b)
	const mb = 512
	serve := func(l net.Listener) {
		sandboxtest.Serve(l, func(c net.Conn) {
			_, _ = io.CopyBuffer(struct{ io.Writer }{c}, io.LimitReader(zeros{}, mb<<20), make([]byte, 1<<18))
		})
	}
	drain := func(l net.Listener) {
		sandboxtest.Serve(l, func(c net.Conn) {
			_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 1<<18))
		})
	}
	serve(o.Listen(sandboxtest.Addr4 + ":80"))
	drain(o.Listen(sandboxtest.Addr4 + ":81"))
	greet(o.Listen(sandboxtest.Addr4+":82"), "")
	do := []string{"get " + sandboxtest.Addr4 + ":80", "put " + sandboxtest.Addr4 + ":81 " + strconv.Itoa(mb), "latency " + sandboxtest.Addr4 + ":82 1000"}
	units := []string{"Mbit/s-in", "Mbit/s-out", "µs-connect-p50"}
	sums := make([]float64, len(do))
	for b.Loop() {
		met := meets(b, m, true, do...)
		for i, what := range do {
			v, err := strconv.ParseFloat(strings.TrimSpace(met[what]), 64)
			if err != nil {
				b.Fatalf("%s: %s", what, met[what])
			}
			sums[i] += v
		}
	}
	for i, u := range units {
		b.ReportMetric(sums[i]/float64(b.N), u)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
