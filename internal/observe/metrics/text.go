package metrics

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// ContentType is that of the text that Write makes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Gauge is one number of now, or one that is counted elsewhere.
type Gauge struct {
	Name   string // artesian_…
	Help   string
	Labels []string // name, value, name, value, …
	Value  float64
	Counts bool // it only ever grows
}

// Write writes all counts, then the gauges, those of one name together.
func (c *Calls) Write(w io.Writer, gauges []Gauge) error {
	var b bytes.Buffer
	head(&b, "artesian_invocations_total", "counter", "Invocations by how they ended.")
	for i := range c.outcomes {
		name := "other"
		if i < len(outcomes) {
			name = string(outcomes[i])
		}
		sample(&b, "artesian_invocations_total", []string{"outcome", name}, float64(c.outcomes[i].Load()))
	}
	for _, h := range []struct {
		name, help string
		*histogram
	}{
		{"artesian_queue_seconds", "From the receipt of a request until an instance was held.", &c.queue},
		{"artesian_handler_seconds", "Time in the function.", &c.handler},
		{"artesian_settle_seconds", "From the function's end until its call was metered.", &c.platform},
	} {
		head(&b, h.name, "histogram", h.help)
		h.write(&b, h.name, nil)
	}
	c.writeStarts(&b)
	writeGauges(&b, gauges)
	_, err := w.Write(b.Bytes())
	return err
}

func (c *Calls) writeStarts(b *bytes.Buffer) {
	keys, values := c.sorted()
	const total, phase = "artesian_cold_starts_total", "artesian_cold_start_seconds"
	head(b, total, "counter", "Calls that waited for a cold start, by the runtime and how the instance came to be.")
	for i, k := range keys {
		sample(b, total, []string{"runtime", k.runtime, "way", k.way}, float64(values[i].phases[0].count()))
	}
	head(b, phase, "histogram", "Phases of cold starts; all is their sum.")
	for i, k := range keys {
		for p := range phases {
			values[i].phases[p].write(b, phase, []string{"runtime", k.runtime, "way", k.way, "phase", phases[p]})
		}
	}
}

func writeGauges(b *bytes.Buffer, gauges []Gauge) {
	written := map[string]bool{}
	for _, g := range gauges {
		if written[g.Name] {
			continue
		}
		written[g.Name] = true
		kind := "gauge"
		if g.Counts {
			kind = "counter"
		}
		head(b, g.Name, kind, g.Help)
		for _, of := range gauges {
			if of.Name == g.Name {
				sample(b, of.Name, of.Labels, of.Value)
			}
		}
	}
}

func (h *histogram) count() (n int64) {
	for i := range h.buckets {
		n += h.buckets[i].Load()
	}
	return n
}

// write writes the cumulative buckets. What is observed meanwhile may be in the sum and not in the count.
func (h *histogram) write(b *bytes.Buffer, name string, labels []string) {
	n := int64(0)
	for i := range h.buckets {
		n += h.buckets[i].Load()
		le := "+Inf"
		if i < len(bounds) {
			le = number(bounds[i].Seconds())
		}
		sample(b, name+"_bucket", append(labels[:len(labels):len(labels)], "le", le), float64(n))
	}
	sample(b, name+"_sum", labels, time.Duration(h.sum.Load()).Seconds())
	sample(b, name+"_count", labels, float64(n))
}

func head(b *bytes.Buffer, name, kind, help string) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

var escaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func sample(b *bytes.Buffer, name string, labels []string, v float64) {
	b.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		b.WriteString(map[bool]string{true: "{", false: ","}[i == 0])
		fmt.Fprintf(b, `%s="%s"`, labels[i], escaper.Replace(labels[i+1]))
	}
	if len(labels) > 0 {
		b.WriteByte('}')
	}
	b.WriteString(" " + number(v) + "\n")
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
