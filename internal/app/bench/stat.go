package main

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"
)

type number interface{ ~int | ~int64 | ~float64 }

func median[T number](v []T) T { return quantile(v, 0.5) }

// quantile returns the value below which that part of v is.
func quantile[T number](v []T, q float64) T {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[min(int(float64(len(s))*q), len(s)-1)]
}

// compared is what turns found.
type compared struct {
	ours, floor []time.Duration
	ratios      []float64
}

// row makes the figure of the medians.
func (c compared) row(name string, g goal, note string) row {
	return row{name: name, ours: took(median(c.ours)), floor: took(median(c.floor)), ratio: median(c.ratios), goal: g, note: note}
}

// A figure whose turns have taken turnBudget is left at those, once there are leastTurns: the whole run is bounded, however slow the
// machine is.
const (
	turnBudget = 40 * time.Second
	leastTurns = 5
)

// turns runs ours and the floor one after the other n times.
func turns(n int, ours, floor func() (time.Duration, error)) (c compared, err error) {
	begin := time.Now()
	for i := range n {
		if i >= leastTurns && time.Since(begin) > turnBudget {
			break
		}
		a, err := ours()
		if err != nil {
			return c, err
		}
		b, err := floor()
		if err != nil {
			return c, err
		}
		c.ours, c.floor, c.ratios = append(c.ours, a), append(c.floor, b), append(c.ratios, float64(a)/float64(b))
	}
	return c, nil
}

// errNoTool means that something is not installed that a section needs.
var errNoTool = errors.New("not installed")

func tool(name string) (string, error) {
	p, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, errNoTool)
	}
	return p, nil
}
