package main

import (
	"fmt"
	"slices"
)

// weight is the memory of a daemon and all that descends from it.
type weight struct {
	all       int64
	sandboxes map[string]int64 // by the namespace of their processes
	available int64            // of the machine
}

// weigh adds up proportional set sizes. Who calls it has waited until all is at rest.
func weigh(root int) weight {
	w := weight{sandboxes: map[string]int64{}, available: sizeIn("/proc/meminfo", "MemAvailable:")}
	own := pidSpace(root)
	for _, p := range tree(root) {
		size := pss(p.pid)
		w.all += size
		if s := pidSpace(p.pid); s != own && s != "" {
			w.sandboxes[s] += size
		}
	}
	return w
}

// density says what n idle instances weigh: full has them, empty does not.
func density(full, empty weight, n int) []row {
	var each []int64
	for s, size := range full.sandboxes {
		if _, before := empty.sandboxes[s]; !before {
			each = append(each, size)
		}
	}
	all := len(each)
	slices.Sort(each)
	each = each[max(all-n, 0):] // what was made ahead meanwhile is no instance: the heaviest count
	note := fmt.Sprintf("Proportional set sizes of the %d heaviest of %d sandboxes, some made ahead meanwhile, which the sum has too. The machine's available memory fell by %s, the kernel's part included.", len(each), all,
		bytesOf(empty.available-full.available))
	return []row{
		{name: fmt.Sprintf("%d idle Python instances together, with what the daemon grew by", n), ours: bytesOf(full.all - empty.all), goal: upTo(bytesOf(1200 << 20)), note: note},
		{name: "one idle Python instance, p50", ours: bytesOf(median(each)), goal: upTo(bytesOf(5 << 20)), note: note},
		{name: "one idle Python instance, the largest", ours: bytesOf(quantile(each, 1)), goal: upTo(bytesOf(5 << 20))},
	}
}
