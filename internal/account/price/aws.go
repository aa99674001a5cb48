package price

import (
	_ "embed" // aws.csv
	"encoding/csv"
	"fmt"
	"io"
	"math/big"
	"strings"

	"artesian/internal/faas"
)

//go:embed aws.csv
var awsTable string

// AWS returns AWS Lambda's public prices for an architecture (x86_64 or arm64), of us-east-1; see aws.csv for the day and
// the source. It charges requests, memory × billed duration in tiers by month, /tmp beyond 512 MB, and provisioned concurrency: the
// memory-time that is kept ready, and at a lower price the duration of the calls that it served
// (https://aws.amazon.com/lambda/pricing/). Not in it, as nothing here is metered for them: data transfer, streamed
// responses beyond 6 MB.
func AWS(architecture string) (*Tariff, error) {
	return parseTable(strings.NewReader(awsTable), architecture)
}

var columns = [...]string{"meter", "architecture", "from", "usd", "per", "free", "region", "as_of"}

// parseTable reads the table of public prices: strict, every row checked, also those of other architectures.
func parseTable(r io.Reader, architecture string) (*Tariff, error) {
	rows := csv.NewReader(r)
	rows.Comment = '#'
	rows.FieldsPerRecord = len(columns)
	head, err := rows.Read()
	if err != nil {
		return nil, fmt.Errorf("read price table: %w", err)
	}
	for i, want := range columns {
		if head[i] != want {
			return nil, fmt.Errorf("read price table: column %d is %q, not %q", i+1, head[i], want)
		}
	}
	t := &Tariff{Name: "AWS Lambda", Currency: "USD", Source: "AWS Price List API, AWSLambda offer", items: map[Meter]item{}}
	for {
		row, err := rows.Read()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = t.row(row, architecture)
		}
		if err != nil {
			return nil, fmt.Errorf("read price table: %w", err)
		}
	}
	if len(t.items[Memory].tiers) == 0 {
		return nil, faas.Errorf(faas.Invalid, "there are no prices for the architecture %q; known are x86_64 and arm64", architecture)
	}
	return t, nil
}

// row adds one row's tier when it is for the architecture.
func (t *Tariff) row(row []string, architecture string) error {
	m := Meter(row[0])
	if m != Requests && m != Memory && m != Tmp && m != Held && m != HeldRun {
		return fmt.Errorf("unknown meter %q", row[0])
	}
	var nums [4]*big.Rat // from, usd, per, free
	for i := range nums {
		text := row[2+i]
		if text == "" && columns[2+i] == "free" {
			continue
		}
		n, err := decimal(text)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", m, columns[2+i], err)
		}
		nums[i] = n
	}
	if nums[2].Sign() == 0 {
		return fmt.Errorf("%s: per is 0", m)
	}
	if row[1] != architecture && row[1] != "*" {
		return nil
	}
	it := t.items[m]
	if n := len(it.tiers); n == 0 && nums[0].Sign() != 0 || n > 0 && nums[0].Cmp(it.tiers[n-1].from) <= 0 {
		return fmt.Errorf("%s: the tier from %s is out of order", m, row[2])
	}
	it.tiers = append(it.tiers, tier{nums[0], nums[1].Quo(nums[1], nums[2])})
	if nums[3] != nil {
		it.free = nums[3]
	}
	t.items[m] = it
	t.Region, t.AsOf = row[6], row[7]
	return nil
}

// decimal parses a plain, non-negative decimal number of at most 12 digits before and 18 after the point.
func decimal(s string) (*big.Rat, error) {
	whole, part, point := strings.Cut(s, ".")
	if whole == "" || len(whole) > 12 || len(part) > 18 || point && part == "" || strings.Trim(whole+part, "0123456789") != "" {
		return nil, fmt.Errorf("%q is not a plain decimal number like 0.0000166667, with at most 12 digits before and 18 after the point", s)
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil, fmt.Errorf("%q is not a decimal number", s)
	}
	return r, nil
}
