package faas

// Alias is a name for one version of a function, or for two that share its calls.
type Alias struct {
	Name        string  `json:"name"` // not digits only, so that it is never taken for a version
	Version     string  `json:"version"`
	Description string  `json:"description,omitempty"`
	Other       string  `json:"other,omitempty"` // a second version; empty is none
	Share       float64 `json:"share,omitempty"` // of the calls that go to Other, 0 to 1
	Revision    string  `json:"revision"`        // changes with every update
}

// Pick returns the version that serves a call. at is a random number, at least 0 and less than 1.
func (a Alias) Pick(at float64) string {
	if a.Other != "" && at < a.Share {
		return a.Other
	}
	return a.Version
}

// Serves reports whether calls of the alias may go to a version.
func (a Alias) Serves(version string) bool {
	return version == a.Version || a.Other != "" && version == a.Other
}
