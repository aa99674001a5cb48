package price

import (
	"strings"
	"testing"
)

func FuzzTable(f *testing.F) {
	f.Add(awsTable)
	f.Add("meter,architecture,from,usd,per,free,region,as_of\nmemory,*,0,1,1,,r,d\n")
	f.Fuzz(func(t *testing.T, text string) {
		tariff, err := parseTable(strings.NewReader(text), "x86_64")
		if err != nil {
			return
		}
		if tariff.Cost(Quantity{Requests: 1e9, MemoryMBs: 1e15, TmpMBs: 1}, Options{FreeTier: true}).Total.Cmp(Amount{}) < 0 {
			t.Fatal("a negative price")
		}
	})
}

func TestTableIsStrict(t *testing.T) {
	const head = "meter,architecture,from,usd,per,free,region,as_of\n"
	for _, bad := range []string{"", "meter\n", strings.Replace(head, "usd", "eur", 1), head + "cpu,*,0,1,1,,r,d\n", head + "memory,*,0,-1,1,,r,d\n",
		head + "memory,*,0,1,0,,r,d\n", head + "memory,*,5,1,1,,r,d\n", head + "memory,*,0,1,1,,r,d\nmemory,*,0,1,1,,r,d\n",
		head + "memory,arm64,0,1,1,,r,d\n", head + "memory,*,0,1,1,,r\n"} {
		if _, err := parseTable(strings.NewReader(bad), "x86_64"); err == nil {
			t.Errorf("accepted: %q", bad)
		}
	}
}
