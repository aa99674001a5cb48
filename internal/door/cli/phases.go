package cli

import (
	"cmp"
	"fmt"
	"time"

	"artesian/internal/faas"
)

// phase is a part of a call: when it began, counted from the receipt of the request, and how long it took.
type phase struct {
	Name string        `json:"phase"`
	At   time.Duration `json:"at_ns"` // negative where a start was under way before the call came
	Took time.Duration `json:"took_ns"`
}

func received(u *faas.Usage) time.Time { return u.Start.Add(-u.Queue) }

// coldSum is how long a cold start took in all.
func coldSum(c *faas.Cold) time.Duration { return c.Place + c.Sandbox + c.Runtime + c.Init }

// phases are those of a call in their order. The start of an instance lies within the time that the call waits for one; what
// is left of that is the queue.
func phases(u *faas.Usage) []phase {
	if u.Instance == "" && u.Cold == nil && u.Run == 0 { // it never ran
		return []phase{{"queue", 0, u.Queue}}
	}
	queue := u.Queue
	if u.Cold != nil {
		queue -= coldSum(u.Cold)
	}
	var list []phase
	at := min(queue, 0)
	add := func(name string, took time.Duration) {
		list = append(list, phase{name, at, took})
		at += took
	}
	add("queue", max(queue, 0))
	if c := u.Cold; c != nil {
		list[0].At = 0
		names := [3]string{"sandbox", "runtime", "init"}
		if c.Restored() {
			names = [3]string{"restore", "wake", "hooks"}
		}
		add("place", c.Place)
		for i, took := range []time.Duration{c.Sandbox, c.Runtime, c.Init} {
			add(names[i], took)
		}
	}
	add("handler", u.Run)
	add("answer", u.Settle)
	return list
}

// ways says how an instance came to be.
var ways = map[string]string{
	faas.WayStart:    "sandbox and runtime were started for it",
	faas.WayCell:     "the runtime was started for it in a sandbox made ahead",
	faas.WayStem:     "it got a runtime that had been started ahead",
	faas.WayFork:     "it got a child of a zygote",
	faas.WaySnapshot: "it got a restored snapshot",
	faas.WayTemplate: "it got a fork of an initialised instance",
}

// why says why a call was cold, or what it ran on, or why it did not run.
func why(u *faas.Usage) string {
	switch {
	case u.Cold != nil:
		text := "cold"
		if u.Cold.Way != "" {
			text += ": " + cmp.Or(ways[u.Cold.Way], u.Cold.Way)
		}
		if u.Cold.Why != "" {
			text += "; " + u.Cold.Why
		}
		if begun := coldSum(u.Cold) - u.Queue; begun > 0 {
			text += fmt.Sprintf("; its start had begun %s before the call came, for another one", span(begun))
		}
		return text
	case u.Outcome == faas.OutcomeThrottled:
		return "did not run: over a limit of concurrency or memory, or too many calls waited"
	case u.Outcome == faas.OutcomeCancelled:
		return "did not run: the client left before there was an instance"
	case u.Instance == "" && u.Outcome == faas.OutcomeUnavailable:
		return "did not run: no instance could be started"
	case u.Instance == "":
		return "warm"
	}
	return "warm: " + warmth(u)
}

// warmth says what a warm call's instance had been doing.
func warmth(u *faas.Usage) string {
	what := "idle instance"
	if u.Held {
		what = "provisioned instance"
	}
	text := fmt.Sprintf("%s %s, last used %s ago", what, u.Instance, span(u.Idle))
	switch {
	case u.Ahead && u.Idle == 0:
		text = fmt.Sprintf("%s %s, made ahead and just ready", what, u.Instance)
	case u.Ahead:
		text = fmt.Sprintf("%s %s, made ahead %s ago", what, u.Instance, span(u.Idle))
	case u.Idle == 0:
		text = fmt.Sprintf("instance %s, straight from another call", u.Instance)
	}
	if u.Thawed {
		text += ", thawed"
	}
	return text
}
