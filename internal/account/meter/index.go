package meter

import (
	"hash/maphash"

	"artesian/internal/engine/journal"
)

// place is where a receipt is: the group, and the position among the usage records in it. Group 0 is not durable yet, or
// has no receipt.
type place struct {
	seq journal.Seq
	pos uint32
}

// index knows the newest request ids, by a 64-bit hash under a random key: among 200,000 of them the chance that a new
// one is taken for an old one is 10⁻¹⁴. Two generations: when the young one is full it becomes the old one.
type index struct {
	seed  maphash.Seed
	limit int
	young generation
	old   generation
}

type generation struct {
	at    map[uint64]place
	first journal.Seq // the lowest group in it; 0 is none
}

func newIndex(limit int) index {
	return index{seed: maphash.MakeSeed(), limit: limit, young: generation{at: map[uint64]place{}}}
}

func (x *index) hash(id string) uint64 { return maphash.String(x.seed, id) }

// claim adds an id and reports whether it is new.
func (x *index) claim(id string) bool {
	h := x.hash(id)
	if _, ok := x.find(h); ok {
		return false
	}
	if len(x.young.at) >= x.limit {
		x.old, x.young = x.young, generation{at: make(map[uint64]place, x.limit)}
	}
	x.young.at[h] = place{}
	return true
}

func (x *index) find(h uint64) (place, bool) {
	if p, ok := x.young.at[h]; ok {
		return p, true
	}
	p, ok := x.old.at[h]
	return p, ok
}

// settle says where the receipt of a claimed id is, unless it is forgotten already.
func (x *index) settle(id string, p place) {
	h := x.hash(id)
	for _, g := range [...]*generation{&x.young, &x.old} {
		if _, ok := g.at[h]; ok {
			g.at[h] = p
			if g.first == 0 || p.seq < g.first {
				g.first = p.seq
			}
			return
		}
	}
}

// first returns the lowest group that holds a receipt in the index, 0 when none does.
func (x *index) first() journal.Seq {
	if x.old.first != 0 && (x.young.first == 0 || x.old.first < x.young.first) {
		return x.old.first
	}
	return x.young.first
}
