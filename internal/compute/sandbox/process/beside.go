package process

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"

	"artesian/internal/compute/sandbox"
)

// Beside implements sandbox.Sandbox.
func (i *instance) Beside() sandbox.Beside {
	b := sandbox.Beside{Output: i.aside, Ended: i.ended}
	if len(i.spec.Beside) > 0 {
		b.Main = i.exited
	}
	if i.spec.Dials > 0 {
		b.Dial = i.dial
	}
	return b
}

// runBeside executes the programs beside the main one and follows them.
func (i *instance) runBeside(null *os.File) error {
	i.ended = make(chan sandbox.Ended, len(i.spec.Beside))
	if len(i.spec.Beside) == 0 {
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	i.aside = r
	defer func() { _ = w.Close() }()
	for n, p := range i.spec.Beside {
		pid, err := i.execute(p, []uintptr{null.Fd(), w.Fd(), w.Fd()})
		if pid > 0 {
			i.others.Go(func() {
				status, _ := wait(pid)
				e := sandbox.Ended{Program: n, Code: status.ExitStatus()}
				if status.Signaled() {
					e.Code, e.Signal = -1, status.Signal()
				}
				i.ended <- e // has room for all
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dial connects to the host's loopback, which is the sandbox's. Connections are not counted: none costs anything inside.
func (i *instance) dial(ctx context.Context, address string) (net.Conn, error) {
	if to, err := netip.ParseAddrPort(address); err != nil || !to.Addr().IsLoopback() {
		return nil, errors.New("connect inside: " + address + " is no loopback address with a port")
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}
