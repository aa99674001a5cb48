package lambda

import "artesian/internal/faas"

// creating is the code of what is not ready yet, of a new function as of an update.
const creating = "Creating"

// stand says where a version stands whose deployment is written now: Active, or Pending while what its runtime carries is
// installed. update is the state of the last update meanwhile.
func (s *Service) stand(v *faas.Version, update faas.State) {
	v.State, v.StateReason, v.StateCode = faas.Active, "", ""
	v.Update, v.UpdateReason, v.UpdateCode = faas.Successful, "", ""
	reason := s.cfg.Installs(v.Runtime)
	if reason == "" {
		return
	}
	v.State, v.StateReason, v.StateCode = faas.Pending, reason, creating
	if update == faas.InProgress {
		v.Update, v.UpdateReason, v.UpdateCode = update, reason, creating
	}
}

// said is text that the API leaves out when there is none.
func said(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
