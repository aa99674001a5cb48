package price

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"

	"artesian/internal/faas"
)

// MaxBookBytes is the size of the largest price book.
const MaxBookBytes = 64 << 10

// monthSeconds is an average month, as clouds count it: 730 hours.
const monthSeconds = 730 * 3600

// Book is this installation's price book: a JSON file that its owner edits. Prices come from what the machine costs
// (Machine), from what is written down (Prices), or from both: then what is written down wins, meter by meter.
type Book struct {
	Note     string   `json:"note,omitempty"` // for its readers
	Currency string   `json:"currency"`       // USD: AWS's prices beside it are in USD
	Machine  *Machine `json:"machine,omitempty"`
	Prices   Prices   `json:"prices,omitzero"`
}

// Machine derives prices from what one machine costs: its monthly cost, split between CPU and memory, divided by what it
// can sell in a month of 730 hours at the stated utilisation. The idle rest is thereby paid by what is used.
type Machine struct {
	MonthlyCost     Decimal `json:"monthly_cost"`        // rent, or write-off plus power
	CPUs            Decimal `json:"cpus"`                // above 0
	MemoryGB        Decimal `json:"memory_gb"`           // above 0; 1,024 MB each
	UtilisationPct  Decimal `json:"utilisation_percent"` // above 0, at most 100
	CPUSharePercent Decimal `json:"cpu_share_percent"`   // of the cost that CPU time carries, 0 to 100; memory carries the rest
}

// Prices are written-down prices, each for one unit of its meter. Empty is none.
type Prices struct {
	Request  Decimal `json:"request,omitempty"`                   // Requests
	GBSecond Decimal `json:"gb_second,omitempty"`                 // Memory
	Tmp      Decimal `json:"tmp_gb_second,omitempty"`             // Tmp
	CPU      Decimal `json:"cpu_second,omitempty"`                // CPU
	Egress   Decimal `json:"egress_gb,omitempty"`                 // Egress
	Held     Decimal `json:"provisioned_gb_second,omitempty"`     // Held; empty is the price of Memory
	HeldRun  Decimal `json:"provisioned_run_gb_second,omitempty"` // HeldRun; empty is none: their memory is paid for already
}

// Decimal is a plain, non-negative decimal number: in JSON a number or the same in text. It stays text, so that it means
// what was typed.
type Decimal string

// UnmarshalJSON accepts 0.05 and "0.05". What it may contain is checked with the book, where its name is known.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	var text string
	if b[0] != '"' {
		text = string(b)
	} else if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	*d = Decimal(text)
	return nil
}

// rat is for checked decimals.
func (d Decimal) rat() *big.Rat {
	r, err := decimal(string(d))
	if err != nil {
		return new(big.Rat)
	}
	return r
}

// written is a price as it stands in the book.
type written struct {
	field string
	meter Meter
	price Decimal
}

func (p *Prices) list() []written {
	return []written{{"request", Requests, p.Request}, {"gb_second", Memory, p.GBSecond}, {"tmp_gb_second", Tmp, p.Tmp},
		{"cpu_second", CPU, p.CPU}, {"egress_gb", Egress, p.Egress},
		{"provisioned_gb_second", Held, p.Held}, {"provisioned_run_gb_second", HeldRun, p.HeldRun}}
}

// DefaultBook is the book of a new installation. What its machine costs is not known, so it assumes 5 USD a CPU and 1 USD
// a GB of memory in the month, which is what a rented server costs at the low end; half of what it could sell is sold, and CPU time
// carries half of the cost. The owner is asked in its note to put the real cost in.
func DefaultBook(cpus, memoryMB int) Book {
	cpus, memoryMB = max(cpus, 1), max(memoryMB, 1)
	gb := big.NewRat(int64(memoryMB), 1024)
	cost := new(big.Rat).Add(big.NewRat(int64(5*cpus), 1), gb)
	return Book{
		Note: "Assumed, not measured: 5 USD per CPU and 1 USD per GB of memory and month. Put in what your machine costs a month; " +
			"prices follow from it. A price under \"prices\" (request, gb_second, tmp_gb_second, cpu_second, egress_gb) wins over the derived one.",
		Currency: "USD",
		Machine: &Machine{
			MonthlyCost:     Decimal(cost.FloatString(2)),
			CPUs:            Decimal(fmt.Sprint(cpus)),
			MemoryGB:        Decimal(gb.FloatString(3)),
			UtilisationPct:  "50",
			CPUSharePercent: "50",
		},
	}
}

// LoadBook reads the price book at path, and first writes def there, with mode 0600, when there is none.
func LoadBook(path string, def Book) (*Tariff, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := writeBook(path, def); err != nil {
			return nil, fmt.Errorf("write price book: %w", err)
		}
		return def.Tariff()
	}
	if err != nil {
		return nil, fmt.Errorf("read price book: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxBookBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read price book: %w", err)
	}
	book, err := ParseBook(text)
	if err != nil {
		return nil, inFile(path, err)
	}
	t, err := book.Tariff()
	if err != nil {
		return nil, inFile(path, err)
	}
	return t, nil
}

func inFile(path string, err error) error {
	return &faas.Error{Kind: faas.Invalid, Op: "read price book", Message: path + ": " + err.Error()}
}

// writeBook makes the file whole or not at all.
func writeBook(path string, b Book) error {
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".prices-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(text, '\n'))
	if err == nil {
		err = tmp.Sync()
	}
	if err := errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// ParseBook decodes a price book. Invalid: it is not JSON, a field is unknown, twice there, missing or out of range; the
// message names the field.
func ParseBook(text []byte) (Book, error) {
	var b Book
	if len(text) > MaxBookBytes {
		return b, faas.Errorf(faas.Invalid, "the price book is over %d bytes", MaxBookBytes)
	}
	if err := strict(text, &b); err != nil {
		return b, err
	}
	return b, b.check()
}

func (b *Book) check() error {
	if b.Currency != "USD" {
		return faas.Errorf(faas.Invalid, "currency is %q; only USD is supported, as the prices beside it are in USD", b.Currency)
	}
	if b.Machine == nil && b.Prices == (Prices{}) {
		return faas.Errorf(faas.Invalid, "neither machine nor prices is given; at least one is needed")
	}
	for _, p := range b.Prices.list() {
		if _, err := decimal(string(p.price)); p.price != "" && err != nil {
			return faas.Errorf(faas.Invalid, "prices.%s: %v", p.field, err)
		}
	}
	if b.Machine != nil {
		return b.Machine.check()
	}
	return nil
}

func (m *Machine) check() error {
	for _, f := range []struct {
		name     string
		value    Decimal
		positive bool
		limit    int64
	}{
		{"monthly_cost", m.MonthlyCost, false, 0}, {"cpus", m.CPUs, true, 0}, {"memory_gb", m.MemoryGB, true, 0},
		{"utilisation_percent", m.UtilisationPct, true, 100}, {"cpu_share_percent", m.CPUSharePercent, false, 100},
	} {
		if f.value == "" {
			return faas.Errorf(faas.Invalid, "machine.%s is missing", f.name)
		}
		r, err := decimal(string(f.value))
		switch {
		case err != nil:
			return faas.Errorf(faas.Invalid, "machine.%s: %v", f.name, err)
		case f.positive && r.Sign() == 0:
			return faas.Errorf(faas.Invalid, "machine.%s is 0; it must be more", f.name)
		case f.limit > 0 && r.Cmp(big.NewRat(f.limit, 1)) > 0:
			return faas.Errorf(faas.Invalid, "machine.%s is %s; at most %d is allowed", f.name, f.value, f.limit)
		}
	}
	return nil
}

// Tariff returns the book's prices.
func (b *Book) Tariff() (*Tariff, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	t := &Tariff{Name: "this installation", Currency: b.Currency, Source: "price book", items: map[Meter]item{}}
	set := func(m Meter, p *big.Rat) {
		t.items[m] = item{tiers: []tier{{from: new(big.Rat), price: p}}}
	}
	if b.Machine != nil {
		cpu, memory := b.Machine.derive()
		set(CPU, cpu)
		set(Memory, memory)
	}
	for _, p := range b.Prices.list() {
		if p.price != "" {
			set(p.meter, p.price.rat())
		}
	}
	if _, ok := t.items[Held]; !ok {
		if memory, ok := t.items[Memory]; ok {
			t.items[Held] = memory
		}
	}
	return t, nil
}

// derive returns the price of a CPU-second and of a GB-second.
func (m *Machine) derive() (cpu, memory *big.Rat) {
	hundred := big.NewRat(100, 1)
	perSecond := new(big.Rat).Quo(m.MonthlyCost.rat(), big.NewRat(monthSeconds, 1))
	perSecond.Mul(perSecond, hundred).Quo(perSecond, m.UtilisationPct.rat())
	share := new(big.Rat).Quo(m.CPUSharePercent.rat(), hundred)
	cpu = new(big.Rat).Mul(perSecond, share)
	memory = new(big.Rat).Sub(perSecond, cpu)
	return cpu.Quo(cpu, m.CPUs.rat()), memory.Quo(memory, m.MemoryGB.rat())
}
