package price

import (
	"math/big"
	"strings"
)

// places is the number of decimals an Amount keeps: it counts trillionths (10⁻¹²) of the currency's unit.
const places = 12

// Amount is an exact sum of money in trillionths of a unit of its currency; it never overflows and never drifts. The zero
// value is nothing. It is immutable.
type Amount struct{ pico *big.Int }

// round returns r units of money, rounded to the nearest trillionth, halves to even.
func round(r *big.Rat) Amount {
	scaled := new(big.Rat).Mul(r, new(big.Rat).SetInt(scale()))
	quo, rest := new(big.Int).QuoRem(scaled.Num(), scaled.Denom(), new(big.Int))
	rest.Abs(rest).Lsh(rest, 1)
	if c := rest.Cmp(scaled.Denom()); c > 0 || c == 0 && quo.Bit(0) == 1 {
		quo.Add(quo, big.NewInt(int64(scaled.Sign())))
	}
	return Amount{quo}
}

func scale() *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(places), nil) }

func (a Amount) int() *big.Int {
	if a.pico == nil {
		return new(big.Int)
	}
	return a.pico
}

// Add returns a + b.
func (a Amount) Add(b Amount) Amount { return Amount{new(big.Int).Add(a.int(), b.int())} }

// Cmp returns -1, 0 or 1 as a is less than, equal to or more than b.
func (a Amount) Cmp(b Amount) int { return a.int().Cmp(b.int()) }

// String returns the exact amount as a decimal number without trailing zeros, for example 0.0000021.
func (a Amount) String() string {
	s := new(big.Rat).SetFrac(a.int(), scale()).FloatString(places)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// Short is String rounded to what people read: two decimals, and below one unit as many as two significant digits need.
func (a Amount) Short() string {
	r := new(big.Rat).SetFrac(a.int(), scale())
	abs, limit, digits := new(big.Rat).Abs(r), big.NewRat(1, 1), 2
	if abs.Sign() != 0 {
		for ; digits <= places && abs.Cmp(limit) < 0; digits++ {
			limit.Quo(limit, big.NewRat(10, 1))
		}
		digits = max(digits-1, 2)
	}
	s := r.FloatString(min(digits, places))
	if whole, part, _ := strings.Cut(s, "."); len(part) > 2 {
		s = whole + "." + part[:2] + strings.TrimRight(part[2:], "0")
	}
	return s
}

// MarshalText writes String, so that JSON carries a decimal number in text and nothing is rounded on the way.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }
