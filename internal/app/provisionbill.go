package app

import (
	"time"

	"artesian/internal/account/meter"
	"artesian/internal/faas"
)

// billKept is how often the memory-time of what is kept ready is taken to the ledger, and so how much of it a crash may lose.
const billKept = time.Minute

// kept is how many instances of a version are there that are kept ready, since when.
type kept struct {
	there, memoryMB int
	since           time.Time
}

// keptLedger takes memory-time of instances that are kept ready, in MB × milliseconds.
type keptLedger interface{ Held(meter.Key, int64) }

// account looks how many instances of a function's versions are kept ready, after any change of it.
func (a *App) account(id faas.FunctionID) {
	now := time.Now()
	seen := map[faas.VersionID]bool{}
	for _, v := range a.held.holds[id] {
		seen[v.ID] = true
		a.charge(v.ID, kept{a.pool.Holds(v.ID).There, v.MemoryMB, now})
	}
	for v := range a.held.kept {
		if v.FunctionID == id && !seen[v] {
			a.charge(v, kept{since: now})
		}
	}
}

// bill takes all that was kept ready until now to the ledger.
func (a *App) bill(now time.Time) {
	for v, k := range a.held.kept {
		a.charge(v, kept{k.there, k.memoryMB, now})
	}
}

// charge takes what was kept ready of a version until then to the ledger, and notes what is there from then on.
func (a *App) charge(v faas.VersionID, next kept) {
	if k, ok := a.held.kept[v]; ok && k.there > 0 {
		ms := next.since.Sub(k.since).Milliseconds()
		next.since = k.since.Add(time.Duration(ms) * time.Millisecond) // what is left of a millisecond counts next time
		if ms > 0 {
			a.held.ledger.Held(meter.Key{Scope: faas.Scope{Account: v.Account, Region: v.Region}, Function: v.Name, Version: v.Version,
				Day: meter.DayOf(k.since)}, int64(k.there)*int64(k.memoryMB)*ms)
		}
	}
	if next.there == 0 {
		delete(a.held.kept, v)
	} else {
		a.held.kept[v] = next
	}
}
