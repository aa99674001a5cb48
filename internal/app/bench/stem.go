package main

import (
	"fmt"
	"time"

	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

const (
	stemBurst = 24
	stemTurns = 3
)

// stemEmpty measures cold starts of Node.js beyond what is kept ready: calls at once whose instances were started for them.
func stemEmpty(l lab) (rows []row, err error) {
	d, err := startDaemon(l, "stem")
	if err != nil {
		return nil, err
	}
	defer d.stop()
	if err := d.createRole(); err != nil {
		return nil, err
	}
	lang, err := d.language(samples[1].prefix)
	if err != nil {
		return nil, err
	}
	g, err := d.crowd(samples[1], lang, stemBurst)
	if err != nil {
		return nil, err
	}
	var c compared
	before, err := d.ways()
	if err != nil {
		return nil, err
	}
	counted := 0
	for range stemTurns {
		if err := g.renew(); err != nil {
			return nil, err
		}
		if err := d.settle(); err != nil {
			return nil, err
		}
		all, err := g.calls()
		if err != nil {
			return nil, err
		}
		beyond, err := d.beyond(all)
		if err != nil {
			return nil, err
		}
		peer, err := timesAtOnce(stemBurst, bwrap(lang.path, "-e", "console.log('{}')"))
		if err != nil {
			return nil, err
		}
		if len(beyond) == 0 {
			continue
		}
		counted += len(beyond)
		o, f := median(beyond), median(peer)
		c.ours, c.floor, c.ratios = append(c.ours, o), append(c.floor, f), append(c.ratios, float64(o)/float64(f))
	}
	after, err := d.ways()
	name := fmt.Sprintf("%d cold starts of Node.js at once, p50 of those without a stem, beside as many bwrap + node", stemBurst)
	if counted == 0 {
		return []row{{name: name, text: "none was without"}}, err
	}
	return []row{c.row(name, ratioUpTo(1.15), fmt.Sprintf("%d of %d calls got no stem. Ways: %s", counted, stemBurst*stemTurns, after.less(before)))}, err
}

// beyond returns how long those of the calls took whose instances had not been made ahead with a runtime in them.
func (d *daemon) beyond(all []answered) (took []time.Duration, err error) {
	for _, a := range all {
		r, err := d.receipt(a.id)
		if err != nil {
			return nil, err
		}
		if r.Cold != nil && r.Cold.Way != faas.WayStem {
			took = append(took, a.took)
		}
	}
	return took, nil
}

// receipt waits for the receipt of a call.
func (d *daemon) receipt(id string) (r admin.Receipt, err error) {
	for range 100 {
		if err = d.own(admin.ReceiptsPath+id, &r); err == nil {
			return r, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return r, err
}

// timesAtOnce runs f n times at once and returns how long each took.
func timesAtOnce(n int, f func() (time.Duration, error)) ([]time.Duration, error) {
	took := make([]time.Duration, n)
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	_, err := manyAtOnce(n, func() (time.Duration, error) {
		d, err := f()
		took[<-next] = d
		return d, err
	})
	return took, err
}
