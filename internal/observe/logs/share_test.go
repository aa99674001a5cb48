package logs

import (
	"fmt"
	"testing"

	"artesian/internal/faas"
)

func TestLargestShrinksFirst(t *testing.T) {
	of := func(account string, bytes int64, spent bool) share {
		return share{&known{id: GroupID{faas.Scope{Account: account}, "g"}}, bytes, spent}
	}
	for _, c := range []struct {
		shares []share
		need   int64
		want   string
	}{
		{nil, 5, "-1 0"},
		{[]share{of("a", 0, false)}, 5, "-1 0"},
		{[]share{of("a", 10, false), of("a", 100, false), of("a", 60, false)}, 1000, "1 40"}, // down to the second
		{[]share{of("a", 10, false), of("a", 100, false), of("a", 60, false)}, 7, "1 7"},
		{[]share{of("a", 100, false), of("a", 100, false)}, 1000, "0 25"},                   // a quarter of equals
		{[]share{of("a", 100, true), of("a", 50, false)}, 1000, "1 50"},                     // nothing more of the first
		{[]share{of("b", 90, false), of("a", 50, false), of("a", 60, false)}, 1000, "2 15"}, // the account counts, not the group
		{[]share{of("b", 90, false), of("a", 100, true), of("a", 60, false)}, 1000, "0 90"}, // what is left of it
	} {
		if i, n := largest(c.shares, c.need); fmt.Sprint(i, n) != c.want {
			t.Errorf("%v, %d: %d %d, not %s", c.shares, c.need, i, n, c.want)
		}
	}
}
