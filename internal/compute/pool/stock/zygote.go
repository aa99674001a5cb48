package stock

import (
	"errors"
	"os"
	"slices"
	"time"

	"artesian/internal/compute/sandbox"
)

// lineage is the zygote of a family, and its successor while that is being made.
type lineage struct {
	zygote    sandbox.Zygote // nil until one is ready
	making    bool
	unwanted  bool
	failures  int
	notBefore time.Time
}

// Zygote returns the zygote of a family that is ready; nil if none is.
func (s *Stock) Zygote(f Family) sandbox.Zygote {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.families[f]; l != nil {
		return l.zygote
	}
	return nil
}

// Failing reports whether a family has no zygote because none could be made, or because it died: there are no forks of it meanwhile.
func (s *Stock) Failing(f Family) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.families[f]
	return l != nil && l.zygote == nil && l.failures > 0
}

// keep sees to it that the families that are wanted have a zygote that is not worn, and others have none. The caller holds mu.
func (s *Stock) keep(wanted []Family, now time.Time, a *Action) {
	for f, l := range s.families {
		if !slices.Contains(wanted, f) {
			s.retire(l)
			if !l.making {
				delete(s.families, f)
			}
		}
	}
	for _, f := range wanted {
		l := s.families[f]
		if l == nil {
			l = &lineage{}
			s.families[f] = l
		}
		l.unwanted = false
		switch {
		case l.zygote != nil && l.zygote.Forks() < s.cfg.Forks && now.Before(l.zygote.Started().Add(s.cfg.Age)):
			a.again(l.zygote.Started().Add(s.cfg.Age))
		case l.making:
		case now.Before(l.notBefore):
			a.again(l.notBefore)
		default:
			s.beget(f, l, now, a)
		}
	}
}

// retire lets go of a family's zygote, whose children live on. The caller holds mu.
func (s *Stock) retire(l *lineage) {
	l.unwanted = true
	if l.zygote != nil {
		s.memory.Return(zygoteWeight)
		s.discard(l.zygote)
		l.zygote = nil
	}
}

// beget begins to make a zygote, which takes the place of the one that is there. The caller holds mu.
func (s *Stock) beget(f Family, l *lineage, now time.Time, a *Action) {
	if !s.memory.Borrow(zygoteWeight) {
		l.notBefore = now.Add(retryMemory)
		a.again(l.notBefore)
		return
	}
	l.making = true
	s.work.Go(func() {
		z, err := s.source.Zygote(s.life, f)
		if err == nil {
			if err = z.Ready(s.life); err != nil {
				err = errors.Join(err, z.Close())
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		defer s.poke()
		l.making = false
		switch {
		case err == nil && !s.closed && !l.unwanted:
			s.retire(l) // the one that is worn
			l.zygote, l.unwanted, l.failures = z, false, 0
			s.mindZygote(l, z)
			return
		case err == nil:
			s.discard(z)
		case s.life.Err() == nil && !errors.Is(err, os.ErrClosed):
			l.failures++
			l.notBefore = time.Now().Add(backoff(l.failures))
			s.log.Warn("start zygote", "runtime", f.Runtime, "account", f.Account, "error", err)
		}
		s.memory.Return(zygoteWeight)
	})
}

// mindZygote notices the death of a zygote.
func (s *Stock) mindZygote(l *lineage, z sandbox.Zygote) {
	go func() {
		<-z.Done()
		s.mu.Lock()
		defer s.mu.Unlock()
		if l.zygote == z {
			l.failures++
			l.notBefore = time.Now().Add(backoff(l.failures))
			s.retire(l)
			l.unwanted = false
			s.log.Warn("zygote died")
			s.poke()
		}
	}()
}
