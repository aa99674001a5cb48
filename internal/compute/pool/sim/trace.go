// Package sim replays the calls of a public trace through the pool's own policy, and through others, and says what each costs: how
// many calls have to wait for a start, and how much memory is kept for how long without use.
package sim

import (
	"compress/gzip"
	"embed"
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// The sample is part of the Azure Functions Trace 2019; see its README for source and licence.
//
//go:embed azure2019/*.csv.gz
var sample embed.FS

// Function is one function of a trace.
type Function struct {
	Trigger  string
	PerMin   []int // calls in each minute
	MemoryMB int   // of one instance
	// durations are what is known of how long a call takes, as a distribution.
	durations [len(percents)]time.Duration
}

// percents are those of the calls which take no longer than the durations of the sample.
var percents = [...]float64{0, .01, .25, .50, .75, .99, 1}

// Sample reads the trace: 500 functions, eight hours of one day.
func Sample() ([]*Function, error) {
	type key struct{ owner, app, function string }
	byKey := make(map[key]*Function)
	var all []*Function
	err := read("invocations.csv.gz", func(r row) error {
		f := &Function{Trigger: r.text("Trigger")}
		for i, name := range r.header {
			if _, err := strconv.Atoi(name); err == nil {
				f.PerMin = append(f.PerMin, int(r.number(r.header[i])))
			}
		}
		byKey[key{r.text("HashOwner"), r.text("HashApp"), r.text("HashFunction")}] = f
		all = append(all, f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	known := func(r row) (*Function, error) {
		f, ok := byKey[key{r.text("HashOwner"), r.text("HashApp"), r.text("HashFunction")}]
		if !ok {
			return nil, fmt.Errorf("function %s has no calls", r.text("HashFunction"))
		}
		return f, nil
	}
	if err = read("durations.csv.gz", func(r row) error {
		f, err := known(r)
		if err == nil {
			for i, p := range percents {
				f.durations[i] = time.Duration(r.number(fmt.Sprintf("percentile_Average_%d", int(p*100+0.5))) * float64(time.Millisecond))
			}
		}
		return err
	}); err != nil {
		return nil, err
	}
	if err = read("memory.csv.gz", func(r row) error {
		f, err := known(r)
		if err == nil {
			f.MemoryMB = max(int(r.number("AverageAllocatedMb")), 1)
		}
		return err
	}); err != nil {
		return nil, err
	}
	for i, f := range all {
		if f.MemoryMB == 0 {
			return nil, fmt.Errorf("function %d has no memory", i)
		}
	}
	return all, nil
}

// row is one line of a table by the names of its columns.
type row struct {
	header []string
	index  map[string]int
	fields []string
	err    *error
}

func (r row) text(column string) string {
	i, ok := r.index[column]
	if !ok {
		*r.err = fmt.Errorf("no column %s", column)
		return ""
	}
	return r.fields[i]
}

func (r row) number(column string) float64 {
	n, err := strconv.ParseFloat(r.text(column), 64)
	if err != nil && *r.err == nil {
		*r.err = fmt.Errorf("column %s: %w", column, err)
	}
	return n
}

func read(name string, each func(row) error) error {
	f, err := sample.Open("azure2019/" + name)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	table := csv.NewReader(z)
	header, err := table.Read()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	index := make(map[string]int)
	for i, h := range header {
		index[h] = i
	}
	for {
		fields, err := table.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		var wrong error
		if err = each(row{header, index, fields, &wrong}); err == nil {
			err = wrong
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

// call is one call of a function, by its time since the trace began.
type call struct{ at, takes time.Duration }

// calls spreads a function's calls over their minutes: those of a timer evenly from a second of its own on, all others by chance. The
// same seed gives the same calls.
func (f *Function) calls(seed uint64) []call {
	rnd := rand.New(rand.NewPCG(2019, seed))
	var all []call
	second := time.Duration(rnd.Int64N(int64(time.Minute)))
	for m, n := range f.PerMin {
		begin := len(all)
		for i := range n {
			at := time.Duration(rnd.Int64N(int64(time.Minute)))
			if f.Trigger == "timer" {
				at = (second + time.Minute*time.Duration(i)/time.Duration(n)) % time.Minute
			}
			all = append(all, call{time.Duration(m)*time.Minute + at, f.duration(rnd.Float64())})
		}
		slices.SortFunc(all[begin:], func(a, b call) int { return int(a.at - b.at) })
	}
	return all
}

// duration is what part u of the calls takes at most.
func (f *Function) duration(u float64) time.Duration {
	i := 0
	for i < len(percents)-2 && u > percents[i+1] {
		i++
	}
	from, to := f.durations[i], f.durations[i+1]
	return from + time.Duration(float64(to-from)*(u-percents[i])/(percents[i+1]-percents[i]))
}
