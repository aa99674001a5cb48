package price_test

import (
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"artesian/internal/account/price"
	"artesian/internal/faas"
)

func aws(t *testing.T, arch string) *price.Tariff {
	t.Helper()
	tariff, err := price.AWS(arch)
	if err != nil {
		t.Fatal(err)
	}
	return tariff
}

// The examples of https://aws.amazon.com/lambda/pricing/, calculated by hand with the prices of aws.csv.
func TestAWS(t *testing.T) {
	const million = 1_000_000
	for _, c := range []struct {
		name, arch string
		q          price.Quantity
		free       bool
		want       string
	}{
		{"one warm call of 128 MB and 1 ms", "x86_64", price.Quantity{Requests: 1, MemoryMBs: 128}, false, "0.000000202083"},
		{"one GB-s", "x86_64", price.Quantity{MemoryMBs: 1024 * 1000}, false, "0.0000166667"},
		{"one GB-s on arm", "arm64", price.Quantity{MemoryMBs: 1024 * 1000}, false, "0.0000133334"},
		{"3 million requests of 120 ms at 1,536 MB, free tier", "x86_64",
			price.Quantity{Requests: 3 * million, MemoryMBs: 3 * million * 120 * 1536}, true, "2.733338"},
		{"the same without free tier", "x86_64",
			price.Quantity{Requests: 3 * million, MemoryMBs: 3 * million * 120 * 1536}, false, "9.600018"},
		{"less than the free tier", "x86_64", price.Quantity{Requests: million, MemoryMBs: 1000}, true, "0"},
		{"/tmp of 1,024 MB for 1,000 s", "x86_64", price.Quantity{TmpMBs: 512 * 1000 * 1000}, false, "0.00001545"},
		{"into the second tier", "x86_64", price.Quantity{MemoryMBs: 7_000_000_000 * 1024 * 1000}, false, "115000.2"},
		{"provisioned: two of 512 MB kept for an hour", "x86_64", price.Quantity{HeldMBs: 2 * 512 * 3600 * 1000}, true, "0.01500012"},
		{"what they served for 1,000 s", "x86_64", price.Quantity{HeldRunMBs: 512 * 1000 * 1000}, true, "0.0048611"},
		{"the same on arm", "arm64", price.Quantity{HeldMBs: 2 * 512 * 3600 * 1000, HeldRunMBs: 512 * 1000 * 1000}, false, "0.01588914"},
		{"CPU time and response bytes cost nothing", "x86_64", price.Quantity{CPU: time.Hour, BytesOut: 1 << 40}, false, "0"},
	} {
		if got := aws(t, c.arch).Cost(c.q, price.Options{FreeTier: c.free}).Total.String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if _, err := price.AWS("riscv64"); faas.KindOf(err) != faas.Invalid || !strings.Contains(err.Error(), "riscv64") {
		t.Error(err)
	}
}

func TestOf(t *testing.T) {
	u := faas.Usage{Outcome: faas.OutcomeOK, BilledMS: 3, MemoryMB: 128, TmpMB: 612, CPU: 2 * time.Millisecond, BytesOut: 7}
	want := price.Quantity{Requests: 1, MemoryMBs: 384, TmpMBs: 300, CPU: 2 * time.Millisecond, BytesOut: 7}
	if got := price.Of(&u); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	held := u
	held.Held = true
	if got, want := price.Of(&held), (price.Quantity{Requests: 1, HeldRunMBs: 384, TmpMBs: 300, CPU: 2 * time.Millisecond, BytesOut: 7}); got != want {
		t.Errorf("on a provisioned instance: %+v, want %+v", got, want)
	}
	for _, o := range []faas.Outcome{faas.OutcomeThrottled, faas.OutcomeCancelled, faas.OutcomeUnavailable} {
		if u.Outcome = o; price.Of(&u) != (price.Quantity{}) {
			t.Errorf("%s is charged for", o)
		}
	}
	for _, o := range []faas.Outcome{faas.OutcomeError, faas.OutcomeTimeout, faas.OutcomeMemory, faas.OutcomeExit, faas.OutcomeInit} {
		if u.Outcome = o; price.Of(&u) != want {
			t.Errorf("%s is not charged for", o)
		}
	}
}

// TestBookOfProvisioned: memory that is kept costs what memory costs, and the calls it serves are paid for with it, unless the book
// says otherwise.
func TestBookOfProvisioned(t *testing.T) {
	q := price.Quantity{HeldMBs: 1024 * 1000, HeldRunMBs: 1024 * 1000}
	for text, want := range map[string]string{
		`{"currency":"USD","prices":{"request":"1"}}`:                                                                                  "0",
		`{"currency":"USD","prices":{"gb_second":"0.5"}}`:                                                                              "0.5",
		`{"currency":"USD","prices":{"gb_second":"0.5","provisioned_gb_second":"0.25"}}`:                                               "0.25",
		`{"currency":"USD","prices":{"gb_second":"0.5","provisioned_gb_second":"0.25","provisioned_run_gb_second":"0.125"}}`:           "0.375",
		`{"currency":"USD","machine":{"monthly_cost":2628000,"cpus":1,"memory_gb":2,"utilisation_percent":100,"cpu_share_percent":0}}`: "0.5",
	} {
		book, err := price.ParseBook([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		tariff, err := book.Tariff()
		if err != nil {
			t.Fatal(err)
		}
		if got := tariff.Cost(q, price.Options{}).Total.String(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestShort(t *testing.T) {
	for exact, short := range map[int64]string{ // billed MB·ms at the price of a GB-s of AWS
		0: "0.00", 128: "0.0000000021", 1024 * 1000: "0.000017", 1024 * 1000 * 60000: "1.00", 1024 * 1000 * 1_000_000: "16.67", 1024 * 1000 * 600: "0.01",
	} {
		if got := aws(t, "x86_64").Cost(price.Quantity{MemoryMBs: exact}, price.Options{}).Total.Short(); got != short {
			t.Errorf("%d: %s, want %s", exact, got, short)
		}
	}
	b, err := json.Marshal(struct{ A price.Amount }{})
	if err != nil || string(b) != `{"A":"0"}` {
		t.Error(string(b), err)
	}
}

// Splitting a bill by function and day never changes what it sums to by more than the rounding of each part.
func TestSplitting(t *testing.T) {
	tariff := aws(t, "x86_64")
	rapid.Check(t, func(r *rapid.T) {
		parts := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) price.Quantity {
			return price.Quantity{Requests: rapid.Int64Range(0, 1e6).Draw(r, "requests"), MemoryMBs: rapid.Int64Range(0, 1e12).Draw(r, "memory"),
				TmpMBs: rapid.Int64Range(0, 1e9).Draw(r, "tmp")}
		}), 1, 20).Draw(r, "parts")
		var whole price.Quantity
		var sum price.Amount
		for _, p := range parts {
			whole = whole.Add(p)
			sum = sum.Add(tariff.Cost(p, price.Options{}).Total)
		}
		a, _ := new(big.Rat).SetString(sum.String())
		b, _ := new(big.Rat).SetString(tariff.Cost(whole, price.Options{}).Total.String())
		slack := big.NewRat(int64(2*len(parts)), 1_000_000_000_000)
		if d := new(big.Rat).Sub(a, b); d.Abs(d).Cmp(slack) > 0 {
			r.Fatalf("parts cost %s, the whole %s", sum, b.FloatString(12))
		}
	})
}

func TestDefaultBook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prices.json")
	first, err := price.LoadBook(path, price.DefaultBook(4, 16384))
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Fatal(st, err)
	}
	second, err := price.LoadBook(path, price.DefaultBook(1, 1))
	if err != nil {
		t.Fatal(err)
	}
	// 36 USD a month, half to 4 CPUs, half to 16 GB, half used: 36/2/4/(2628000/2) and 36/2/16/(2628000/2).
	q := price.Quantity{Requests: 1e6, MemoryMBs: 1024 * 1000 * 1_314_000, CPU: 1_314_000 * time.Second}
	for _, tariff := range []*price.Tariff{first, second} {
		b := tariff.Cost(q, price.Options{})
		if len(b.Lines) != 2 || b.Lines[0].Amount.String() != "1.125" || b.Lines[1].Amount.String() != "4.5" || b.Total.String() != "5.625" {
			t.Errorf("%+v", b)
		}
	}
}

func TestBookIsStrict(t *testing.T) {
	const machine = `"machine":{"monthly_cost":"36","cpus":4,"memory_gb":16,"utilisation_percent":50,"cpu_share_percent":50}`
	for text, want := range map[string]string{
		`{"currency":"USD",` + machine + `}`:                                                      "",
		`{"currency":"USD","prices":{"gb_second":0.00001}}`:                                       "",
		`{"currency":"EUR",` + machine + `}`:                                                      `"EUR"`,
		`{"currency":"USD"}`:                                                                      "neither machine nor prices",
		`{"currency":"USD","price":{}}`:                                                           `"price"`,
		`{"currency":"USD","prices":{"gb_second":"1e-5"}}`:                                        "prices.gb_second",
		`{"currency":"USD","prices":{"gb_second":-1}}`:                                            "prices.gb_second",
		`{"currency":"USD","prices":{"cpu_second":true}}`:                                         "prices.cpu_second",
		`{"currency":"USD","prices":{"cpu_second":1,"cpu_second":2}}`:                             "prices.cpu_second is there twice",
		`{"currency":"USD","prices":[]}`:                                                          "prices cannot be a JSON array",
		`{"currency":"USD",` + strings.Replace(machine, `"cpus":4`, `"cpus":0`, 1) + `}`:          "machine.cpus",
		`{"currency":"USD",` + strings.Replace(machine, `"cpus":4,`, ``, 1) + `}`:                 "machine.cpus is missing",
		`{"currency":"USD",` + strings.Replace(machine, `_percent":50`, `_percent":101`, 1) + `}`: "machine.utilisation_percent",
		`{"currency":"USD",` + machine + `} x`:                                                    "after the closing brace",
		`{"currency":"USD",` + machine + `}{}`:                                                    "after the closing brace",
		`{"currency":`:                                                                            "not JSON",
		``:                                                                                        "not JSON",
	} {
		_, err := price.ParseBook([]byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || faas.KindOf(err) != faas.Invalid) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	path := filepath.Join(t.TempDir(), "prices.json")
	if err := os.WriteFile(path, []byte(`{"curency":"USD"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := price.LoadBook(path, price.Book{}); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "curency") {
		t.Error(err)
	}
}

func FuzzParseBook(f *testing.F) {
	def, err := json.Marshal(price.DefaultBook(2, 4096))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(def)
	f.Add([]byte(`{"currency":"USD","prices":{"gb_second":0.00001,"request":"0.0000002"}}`))
	f.Add([]byte(`{"currency":"USD","machine":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := price.ParseBook(text)
		if err != nil {
			return
		}
		tariff, err := b.Tariff()
		if err != nil {
			t.Fatalf("a valid book has no tariff: %v", err)
		}
		if q := (price.Quantity{Requests: 1, MemoryMBs: 1, CPU: 1}); tariff.Cost(q, price.Options{}).Total.Cmp(price.Amount{}) < 0 {
			t.Fatal("a negative price")
		}
	})
}
