package lambda

import (
	"regexp"

	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/faas"
)

// Runtimes whose published versions go on from an image: of those that Lambda has SnapStart for
// (https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html), Java's and Python's.
var (
	snapStarted = regexp.MustCompile(`^(java(11|17|2[1-9]|[3-9][0-9])|python3\.(1[2-9]|[2-9][0-9]))$`)
	notYetHere  = regexp.MustCompile(`^dotnet([8-9]|1[0-9])$`)
)

// checkSnapStart refuses SnapStart for what cannot have it.
func (s *Service) checkSnapStart(v *faas.Version) error {
	if !v.SnapStart {
		return nil
	}
	switch {
	case notYetHere.MatchString(v.Runtime):
		return refused("SnapStart.ApplyOn", "PublishedVersions for the runtime "+v.Runtime, "None, and PublishedVersions for Java from 11 and Python from 3.12 on")
	case !snapStarted.MatchString(v.Runtime):
		return faas.Errorf(faas.Invalid, "%s is not supported for SnapStart enabled functions (SnapStart.ApplyOn).", v.Runtime)
	case v.TmpMB > faas.MinTmpMB:
		return faas.Errorf(faas.Invalid, "SnapStart is not supported for functions with more than %d MB of ephemeral storage.", faas.MinTmpMB)
	case s.cfg.SnapStart == nil:
		return refused("SnapStart.ApplyOn", "PublishedVersions", "None")
	}
	if err := s.cfg.SnapStart(); err != nil {
		return faas.Errorf(faas.Unsupported, "SnapStart.ApplyOn: PublishedVersions is not possible on this node: %v", err)
	}
	return nil
}

// snapStart tells whether a version is to go on from an image, and whether it does.
func snapStart(v *faas.Version) *api.SnapStartResponse {
	r := &api.SnapStartResponse{ApplyOn: ptr("None"), OptimizationStatus: ptr("Off")}
	if v.SnapStart {
		r.ApplyOn = ptr("PublishedVersions")
		if v.ID.Version != faas.Latest && v.State == faas.Active && v.StateReason == "" {
			r.OptimizationStatus = ptr("On")
		}
	}
	return r
}
