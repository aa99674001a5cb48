package container

import (
	"fmt"
	"slices"

	"artesian/internal/compute/sandbox"
)

// lacking are the mounts of s that a cell made from made does not have. The error is a sandbox.ErrUnfit: why s is for another cell.
func lacking(made, s sandbox.Spec) ([]sandbox.Mount, error) {
	unfit := func(format string, args ...any) ([]sandbox.Mount, error) {
		return nil, fmt.Errorf("%w: "+format, append([]any{sandbox.ErrUnfit}, args...)...)
	}
	switch {
	case s.ID != made.ID:
		return unfit("id %q instead of %q", s.ID, made.ID)
	case s.Copy != made.Copy:
		return unfit("another template, or none")
	case s.TmpMB != made.TmpMB:
		return unfit("%d MB of /tmp instead of %d", s.TmpMB, made.TmpMB)
	case s.Internet != made.Internet:
		return unfit("the internet: %v", s.Internet)
	case !slices.Equal(s.Listen, made.Listen):
		return unfit("sockets %q instead of %q", s.Listen, made.Listen)
	case s.Dials > made.Dials:
		return unfit("%d connections inside of at most %d", s.Dials, made.Dials)
	case made.Channel && !s.Channel, runs(made) && !waits(made) && s.Channel != made.Channel:
		return unfit("a channel: %v", s.Channel)
	case waits(made) && s.Fork != nil:
		return unfit("it waits for an execution")
	case runs(made) && (s.Files != made.Files || s.Pids != made.Pids):
		return unfit("%d open files and %d processes instead of %d and %d", s.Files, s.Pids, made.Files, made.Pids)
	}
	rest := slices.Clone(s.Mounts)
	for _, m := range made.Mounts {
		at := slices.Index(rest, m)
		if at < 0 {
			return unfit("without %s on %s", m.Source, m.Target)
		}
		rest = slices.Delete(rest, at, at+1)
	}
	for _, late := range rest {
		for _, m := range made.Mounts {
			if sandbox.Within(m.Target, late.Target) {
				return unfit("%s would hide %s", late.Target, m.Target)
			}
		}
		for _, f := range etcFiles {
			if f.path != late.Target && sandbox.Within(late.Target, f.path) {
				return unfit("%s is a file", f.path)
			}
		}
	}
	for _, name := range links {
		if merged(made.Mounts, name) && !merged(s.Mounts, name) {
			return unfit("/%s is a link", name)
		}
	}
	return rest, nil
}
