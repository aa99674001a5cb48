// Package price turns used quantities into money, exactly: prices and quantities are rational numbers, every line of a
// bill is rounded once, to 10⁻¹² of the currency's unit.
//
// There are two tariffs: this installation's own, from a price book that its owner edits (Book), and AWS Lambda's public
// prices (AWS) for comparison.
package price

import (
	"math/big"
	"time"

	"artesian/internal/faas"
)

// Meter is one thing that is charged for.
type Meter string

// The meters, with the unit that a price is for.
const (
	Requests Meter = "requests" // one request
	Memory   Meter = "memory"   // 1 GB-s: 1,024 MiB of configured memory for one billed second
	Tmp      Meter = "tmp"      // 1 GB-s of /tmp beyond FreeTmpMB
	CPU      Meter = "cpu"      // one second of CPU time
	Egress   Meter = "egress"   // 1 GB (2³⁰ bytes) of response bodies
	Held     Meter = "held"     // 1 GB-s of provisioned instances, for as long as they are there, called or not
	HeldRun  Meter = "held-run" // 1 GB-s of the calls that these served, instead of Memory
)

// meters is the order of a bill's lines.
func meters() []Meter { return []Meter{Requests, Memory, Held, HeldRun, Tmp, CPU, Egress} }

// amount returns how many units of m were used.
func (q Quantity) amount(m Meter) *big.Rat {
	switch m {
	case Requests:
		return big.NewRat(q.Requests, 1)
	case Memory:
		return big.NewRat(q.MemoryMBs, 1024*1000)
	case Held:
		return big.NewRat(q.HeldMBs, 1024*1000)
	case HeldRun:
		return big.NewRat(q.HeldRunMBs, 1024*1000)
	case Tmp:
		return big.NewRat(q.TmpMBs, 1024*1000)
	case CPU:
		return big.NewRat(int64(q.CPU), int64(time.Second))
	case Egress:
		return big.NewRat(q.BytesOut, 1<<30)
	}
	return new(big.Rat)
}

// Tariff is a set of prices.
type Tariff struct {
	Name     string
	Currency string // ISO 4217
	Region   string // where the prices hold; empty when it does not matter
	AsOf     string // the day of the prices, 2006-01-02; empty for one's own
	Source   string // where they come from
	items    map[Meter]item
}

// item is the price of one meter: tiers by the quantity of a month, the first from 0, and what a month has free.
type item struct {
	tiers []tier
	free  *big.Rat // nil is nothing
}

type tier struct {
	from  *big.Rat // units in a month before this tier begins
	price *big.Rat // per unit
}

// Options of a calculation.
type Options struct {
	// FreeTier takes off what the tariff gives away in a month. Then, and where a tariff has tiers, the quantity must be
	// that of a whole month of the account, since both are counted by month.
	FreeTier bool
}

// Line is one item of a bill.
type Line struct {
	Meter  Meter
	Used   *big.Rat // units, the free ones included
	Amount Amount
}

// Bill is what a quantity costs. Lines with nothing used, or without a price, are left out.
type Bill struct {
	Currency string
	Lines    []Line
	Total    Amount
}

// Cost prices a quantity. It is a pure function: the same bill for the same arguments.
func (t *Tariff) Cost(q Quantity, opt Options) Bill {
	b := Bill{Currency: t.Currency}
	for _, m := range meters() {
		it, used := t.items[m], q.amount(m)
		if len(it.tiers) == 0 || used.Sign() == 0 {
			continue
		}
		line := Line{Meter: m, Used: used, Amount: round(it.cost(used, opt.FreeTier))}
		b.Lines = append(b.Lines, line)
		b.Total = b.Total.Add(line.Amount)
	}
	return b
}

// Invocation prices one invocation, at the price of the first tier.
func (t *Tariff) Invocation(u *faas.Usage) Bill { return t.Cost(Of(u), Options{}) }

// cost charges each tier for the part of used that falls into it. What is free is taken off before, so the tiers begin
// after it.
func (it item) cost(used *big.Rat, freeTier bool) *big.Rat {
	sum, rest := new(big.Rat), new(big.Rat).Set(used)
	if freeTier && it.free != nil {
		if rest.Sub(rest, it.free); rest.Sign() <= 0 {
			return sum
		}
	}
	for i, t := range it.tiers {
		part := new(big.Rat).Sub(rest, t.from)
		if part.Sign() <= 0 {
			break
		}
		if i+1 < len(it.tiers) {
			if size := new(big.Rat).Sub(it.tiers[i+1].from, t.from); part.Cmp(size) > 0 {
				part = size
			}
		}
		sum.Add(sum, part.Mul(part, t.price))
	}
	return sum
}

// Price returns the price of one unit of m in the first tier, and whether there is one.
func (t *Tariff) Price(m Meter) (*big.Rat, bool) {
	it, ok := t.items[m]
	if !ok || len(it.tiers) == 0 {
		return nil, false
	}
	return new(big.Rat).Set(it.tiers[0].price), true
}
