package pool

import (
	"fmt"
	"strings"
)

// why says in words what a start is made for: no instance is idle. The caller holds the lock.
func (g *group) why() string {
	return noneIdle(len(g.busy), g.starting, g.served)
}

func noneIdle(busy, starting int, served bool) string {
	var there []string
	if busy > 0 {
		there = append(there, fmt.Sprintf("%d busy", busy))
	}
	if starting > 0 {
		there = append(there, fmt.Sprintf("%d starting", starting))
	}
	switch {
	case len(there) > 0:
		return "no idle instance: " + strings.Join(there, ", ")
	case served:
		return "no instance: the function was at zero"
	}
	return "no instance: the first one of this revision since the daemon started"
}

// because puts together why an instance is started and what the launcher says of how.
func because(why, note string) string {
	if note == "" {
		return why
	}
	return why + ", " + note
}
