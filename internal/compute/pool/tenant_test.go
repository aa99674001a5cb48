package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTenantsShareNothing lends instances to tenants at once and one after the other: none sees another's, each sees its own again,
// and of a tenant that comes no more nothing is kept.
func TestTenantsShareNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{delay: time.Millisecond}
		p := New(n, Config{KeepAlive: time.Minute})
		v := version("f", 128)
		var mu sync.Mutex
		served := map[*Instance]string{}
		serve := func(tenant string) error {
			return p.WithTenant(t.Context(), v, tenant, func(in *Instance) error {
				mu.Lock()
				defer mu.Unlock()
				if of, ok := served[in]; ok && of != tenant {
					t.Errorf("an instance of %q serves %q", of, tenant)
				}
				served[in] = tenant
				return nil
			})
		}
		for range 3 {
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() {
					if err := serve(fmt.Sprintf("tenant %d", i%5)); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if err := serve(""); err != nil {
				t.Error(err)
			}
		}
		if all, _ := n.count(); all > 21 {
			t.Errorf("%d starts for 20 callers at once, three times", all)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if groups := countGroups(p); groups > 1 {
			t.Errorf("%d groups are kept of tenants that are gone", groups)
		}
		closeAll(t, p)
	})
}

// TestTenantsPauseAfterAFailedStart keeps the pause of a tenant whose starts go wrong, and then nothing.
func TestTenantsPauseAfterAFailedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{err: errors.New("broken")}
		p := New(n, Config{})
		begin := time.Now()
		for range 3 {
			if err := p.WithTenant(context.Background(), version("f", 128), "blue", hold(0)); !errors.Is(err, n.err) {
				t.Fatal(err)
			}
		}
		if d := time.Since(begin); d < backoff(1)+backoff(2) {
			t.Errorf("three starts within %v", d)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if groups := countGroups(p); groups != 0 {
			t.Errorf("%d groups are kept", groups)
		}
		closeAll(t, p)
	})
}

func countGroups(p *Pool) (n int) {
	p.groups.Range(func(_, _ any) bool { n++; return true })
	return n
}
