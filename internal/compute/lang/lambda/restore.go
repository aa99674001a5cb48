package lambda

import (
	"net/http"
	"time"

	"artesian/internal/compute/lang"
)

// Restoring has the session answer a runtime that asks whether it has been restored: it has, as soon as it asks. Whoever makes an image has the
// process wait before that. A runtime of a session without it is told that there is no such thing, as on Lambda where a version has no
// SnapStart. Call it before the runtime can have asked.
func (s *Session) Restoring() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restores = true
}

// restoreNext answers a runtime that waits to be restored; hooks of the function's run behind it.
func (s *Session) restoreNext(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.restores:
		http.NotFound(w, r)
	case s.asked || s.initErr != nil:
		refuseState(w, "the initialisation is over")
	default:
		s.awoke = time.Now()
		w.WriteHeader(http.StatusOK)
	}
}

// Phases splits the time until the runtime has asked for its first event at the moment when it asked whether it has been restored. Without
// that, all is Init.
func (s *Session) Phases() lang.InitPhases {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := time.Since(s.begun)
	if s.awoke.IsZero() {
		return lang.InitPhases{Init: all}
	}
	return lang.InitPhases{Runtime: s.awoke.Sub(s.begun), Init: all - s.awoke.Sub(s.begun)}
}
