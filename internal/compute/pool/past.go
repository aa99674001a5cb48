package pool

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"artesian/internal/faas"
)

// Past is what is remembered of a function that was called: enough to go on with it after a restart. It is a projection that may be
// lost: then the function is learned anew.
type Past struct {
	Function faas.FunctionID
	Version  string // that was called last, of those that are new to the pool
	Cold     time.Duration
	UsedMB   int
	habit    []byte // encoded: most of a Habit is empty
}

// MaxPasts is of how many functions something is remembered across restarts: those that were called last.
const MaxPasts = 100_000

const (
	pastsVersion = 1
	maxHabit     = 4096 // bytes of one that is encoded
)

var errPasts = errors.New("damaged habits")

// Pasts returns what is known of the functions that were called, those of before the start included.
func (p *Pool) Pasts() []Past {
	var all []Past
	var left []uint32
	seen := map[faas.FunctionID]bool{}
	p.latest.Range(func(_, v any) bool {
		g := v.(*group)
		g.mu.Lock()
		h, past := *g.habit, Past{Function: g.key.FunctionID, Version: g.key.Version, Cold: g.cold, UsedMB: g.usedMB}
		g.mu.Unlock()
		seen[past.Function] = true
		if h != (Habit{}) {
			past.habit = h.append(nil)
			all, left = append(all, past), append(left, h.left[0])
		}
		return true
	})
	p.pasts.Range(func(_, v any) bool {
		if past := v.(*Past); !seen[past.Function] {
			h, _ := decodeHabit(past.habit)
			all, left = append(all, *past), append(left, h.left[0])
		}
		return true
	})
	if len(all) > MaxPasts {
		order := slices.Clone(left)
		slices.Sort(order)
		least := order[len(order)-MaxPasts]
		all = slices.Collect(func(yield func(Past) bool) {
			for i := range all {
				if left[i] >= least && !yield(all[i]) {
					return
				}
			}
		})[:MaxPasts]
	}
	slices.SortFunc(all, func(a, b Past) int {
		return cmp.Or(cmp.Compare(a.Function.Account, b.Function.Account), cmp.Compare(a.Function.Region, b.Function.Region), cmp.Compare(a.Function.Name, b.Function.Name))
	})
	return all
}

// Remember takes over what was known before a restart. Of a function that was called since, it takes nothing.
func (p *Pool) Remember(all []Past) {
	for i := range all {
		p.pasts.Store(all[i].Function, &all[i])
	}
}

// Forget drops what was remembered of a function.
func (p *Pool) Forget(id faas.FunctionID) { p.pasts.Delete(id) }

// Recall lets a function of before the restart, of which v is the version that was called, have instances again when its calls are due.
func (p *Pool) Recall(v *faas.Version) {
	past, ok := p.pasts.Load(v.ID.FunctionID)
	if !ok || p.cfg.KeepAlive > 0 || p.closing.Load() {
		return
	}
	switch v.State {
	case faas.Pending, faas.Inactive, faas.Failed: // its calls are refused
		return
	}
	g := &group{pool: p, version: v}
	if g.habit = g.resume(past.(*Past)); g.habit == nil {
		return
	}
	if a := Decide(State{Keeping: p.keeping, Habit: g.habit, Need: g.need()}, time.Now()); a.Ahead == 0 && a.Again.IsZero() {
		return // nothing is to be done before its next call
	}
	g = p.group(v, "")
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.gone {
		g.decide(time.Now())
	}
}

// resume takes over what was remembered, and returns the habit.
func (g *group) resume(past *Past) *Habit {
	h, err := decodeHabit(past.habit)
	if err != nil {
		return nil
	}
	g.cold, g.usedMB = past.Cold, past.UsedMB
	return h
}

// EncodePasts is read by DecodePasts. Integers are varints, text has its length before it.
func EncodePasts(all []Past) []byte {
	b := binary.AppendUvarint([]byte{pastsVersion}, uint64(len(all)))
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	for _, p := range all {
		text(p.Function.Account)
		text(p.Function.Region)
		text(p.Function.Name)
		text(p.Version)
		b = binary.AppendUvarint(b, uint64(max(p.Cold, 0)))
		b = binary.AppendUvarint(b, uint64(max(p.UsedMB, 0)))
		text(string(p.habit))
	}
	return b
}

// DecodePasts reads what EncodePasts made, whole or not at all. What it takes of memory is in proportion to b.
func DecodePasts(b []byte) ([]Past, error) {
	if len(b) == 0 || b[0] != pastsVersion {
		return nil, errPasts
	}
	r := reader{b: b[1:]}
	n := r.int(MaxPasts)
	var all []Past
	for range n {
		var p Past
		for _, s := range [...]*string{&p.Function.Account, &p.Function.Region, &p.Function.Name, &p.Version} {
			*s = string(r.bytes(256))
		}
		p.Cold = time.Duration(r.int(uint64(time.Hour)))
		p.UsedMB = int(r.int(1 << 20))
		p.habit = slices.Clone(r.bytes(maxHabit))
		if _, err := decodeHabit(p.habit); err != nil || r.bad {
			return nil, errPasts
		}
		all = append(all, p)
	}
	if r.bad || len(r.b) > 0 {
		return nil, errPasts
	}
	return all, nil
}

// append encodes what is not zero, each with how many zeros are before it.
func (h *Habit) append(b []byte) []byte {
	zeros := uint64(0)
	put := func(v uint64) {
		if v == 0 {
			zeros++
			return
		}
		b = binary.AppendUvarint(binary.AppendUvarint(b, zeros), v)
		zeros = 0
	}
	h.each(func(c *uint8) { put(uint64(*c)) }, func(c *uint32) { put(uint64(*c)) }, func(c *float32) { put(uint64(math.Float32bits(*c))) })
	return b
}

func decodeHabit(b []byte) (*Habit, error) {
	h, r := new(Habit), reader{b: b}
	more := len(b) > 0
	zeros := uint64(0)
	if more {
		zeros = r.int(1 << 16)
	}
	take := func(most uint64) uint64 {
		if !more {
			return 0
		}
		if zeros > 0 {
			zeros--
			return 0
		}
		v := r.int(most)
		r.bad = r.bad || v == 0
		if more = len(r.b) > 0 && !r.bad; more {
			zeros = r.int(1 << 16)
		}
		return v
	}
	h.each(func(c *uint8) { *c = uint8(take(math.MaxUint8)) }, func(c *uint32) { *c = uint32(take(math.MaxUint32)) }, func(c *float32) {
		*c = math.Float32frombits(uint32(take(math.MaxUint32)))
		r.bad = r.bad || !(*c >= 0 && *c < 1e30)
	})
	if more || r.bad {
		return nil, errPasts
	}
	return h, nil
}

// each calls a function for every count, time and average of a habit, in an order that is part of the format. When the last event was
// is not kept: nobody knows what was under way since.
func (h *Habit) each(count func(*uint8), seconds func(*uint32), average func(*float32)) {
	for i := range h.first {
		count(&h.first[i])
	}
	for c := range h.other {
		for i := range h.other[c] {
			count(&h.other[c][i])
		}
	}
	for i := range h.far {
		seconds(&h.far[i])
	}
	for i := range h.left {
		seconds(&h.left[i])
	}
	for i := range h.growth {
		average(&h.growth[i].uses)
		average(&h.growth[i].minutes)
	}
}

// reader reads integers and text; what it cannot read is zero, and makes it bad.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) int(most uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > most {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(most uint64) []byte {
	n := r.int(min(most, uint64(len(r.b))))
	if r.bad || n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	s := r.b[:n]
	r.b = r.b[n:]
	return s
}
