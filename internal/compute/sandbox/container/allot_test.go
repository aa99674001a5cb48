package container

import (
	"testing"

	"pgregory.net/rapid"
)

// TestAllot: nobody is allowed less than he has, all promises together fit, who may grow may grow by the same, and nothing is held
// back where all can have all.
func TestAllot(t *testing.T) {
	const mb = 1 << 20
	rapid.Check(t, func(t *rapid.T) {
		var stakes []stake
		var least, most int64
		for range rapid.IntRange(0, 30).Draw(t, "images") {
			s := stake{full: rapid.Int64Range(1, 1024).Draw(t, "full") * mb, fixed: 8 * mb, bound: rapid.IntRange(0, 5).Draw(t, "bound") > 0, shelf: rapid.IntRange(0, 5).Draw(t, "shelf") == 0}
			if !s.shelf {
				s.used = rapid.Int64Range(0, s.full/mb).Draw(t, "used") * mb
			}
			s.grown = rapid.Int64Range(0, s.used/mb+8).Draw(t, "grown") * mb
			least, most = least+s.promise(s.may(0)), most+s.promise(s.full)
			stakes = append(stakes, s)
		}
		spare := rapid.Int64Range(-1024, 40<<10).Draw(t, "spare") * mb
		allowed, growth := allot(stakes, spare)
		var all int64
		for i, s := range stakes {
			all += s.promise(allowed[i])
			switch {
			case allowed[i] < s.used || allowed[i] > s.full:
				t.Errorf("%d of %d is allowed, %d used", allowed[i], s.full, s.used)
			case s.bound && allowed[i] != min(s.full, s.used+growth):
				t.Errorf("%d allowed, %d used: others may grow by %d", allowed[i], s.used, growth)
			case !s.bound && allowed[i] != s.full, most <= spare && allowed[i] != s.full:
				t.Errorf("%d of %d is allowed", allowed[i], s.full)
			}
		}
		if all > spare && all > least {
			t.Errorf("%d is promised, %d to spare, of which %d are due anyhow", all, spare, least)
		}
		if over := spare - spare/keptBack - all; most > spare && growth > leastFirst && over > int64(len(stakes))*16384 {
			t.Errorf("%d of %d is for nobody", over, spare)
		}
	})
}
