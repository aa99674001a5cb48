//go:build !amd64

package container

// tracee would be a process that is held by ptrace: registers are the processor's own, and this one's are not built.
type tracee struct{ pid int }

const canHold = false

func seize(int, *leash, func() error) (*tracee, error) { return nil, errNoCopies }
func (*tracee) arm() error                             { return errNoCopies }
func (*tracee) detour() error                          { return errNoCopies }
func (*tracee) letGo() error                           { return errNoCopies }
func (*tracee) resume() error                          { return errNoCopies }
func (*tracee) do(int, ...uint64) (uint64, int, error) { return 0, 0, errNoCopies }
func (*tracee) fork(uint64) (*tracee, error)           { return nil, errNoCopies }
func (*tracee) end()                                   {}
func (*tracee) read(uint64, []byte) error              { return errNoCopies }
func (*tracee) write(uint64, []byte) error             { return errNoCopies }
