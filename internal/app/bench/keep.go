package main

import "artesian/internal/compute/pool/sim"

// keep replays a public trace of calls through the pool's own policy, and through fixed times and a clairvoyant. It measures no
// machine: the figures are the same everywhere.
func keep(lab) (rows []row, err error) {
	all, err := sim.Sample()
	if err != nil {
		return nil, err
	}
	whole, _, held := sim.Halves(all)
	for _, part := range []struct {
		name      string
		functions map[int]*sim.Function
	}{{"sample trace", whole}, {"half of it that was not tuned on", held}} {
		ours, ten, sixty, clairvoyant := sim.Compare(part.functions)
		add := func(name string, f sim.Figures, colds, idle goal) {
			rows = append(rows,
				row{name: part.name + ", " + name + ": cold calls", ours: value{float64(f.Colds), "calls"}, floor: value{float64(ten.Colds), "calls"},
					ratio: float64(f.Colds) / float64(ten.Colds), goal: colds, note: "beside a fixed keep-alive of 10 minutes; simulated"},
				row{name: part.name + ", " + name + ": idle memory-time", ours: value{f.IdleGB, "GB h"}, floor: value{ten.IdleGB, "GB h"},
					ratio: f.IdleGB / ten.IdleGB, goal: idle})
		}
		add("ours", ours, ratioUpTo(0.25), ratioUpTo(1))
		add("fixed 60 minutes", sixty, goal{}, goal{})
		add("clairvoyant, nothing made ahead", clairvoyant, goal{}, goal{})
	}
	return rows, nil
}
