package lambda

import (
	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/faas"
)

// creating is the code of what is not ready yet, of a new function as of an update.
const creating = "Creating"

// stand says where a version stands whose deployment is written now: Active, or Pending while what its runtime carries is
// installed. before is the runtime of the deployment that it replaces, empty for a new function: one that is Active and keeps its
// runtime goes on as it is meanwhile, with what is there, and only its update is in progress.
func (s *Service) stand(v *faas.Version, before string) {
	reason, wait := s.cfg.Installs(v.Runtime)
	v.Update, v.UpdateReason, v.UpdateCode = faas.Successful, "", ""
	if wait && before != "" {
		v.Update, v.UpdateReason, v.UpdateCode = faas.InProgress, reason, creating
	}
	switch {
	case !wait:
		v.State, v.StateReason, v.StateCode = faas.Active, reason, ""
	case v.State != faas.Active || v.Runtime != before:
		v.State, v.StateReason, v.StateCode = faas.Pending, reason, creating
	}
}

// said is text that the API leaves out when there is none.
func said(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// told is a version's configuration with what the node has found out about it, where there is room for that: a State that is Active
// has no reason of its own, unless something is missing.
func (s *Service) told(v *faas.Version, qualifier string) *api.FunctionConfiguration {
	c := configuration(v, qualifier)
	if s.cfg.Remark != nil && v.State == faas.Active && v.StateReason == "" {
		c.StateReason = said(s.cfg.Remark(v))
	}
	return c
}
