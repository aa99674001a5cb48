package netstack

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// association is the datagrams between one port inside and one address outside. Only that address's answers come back.
type association struct {
	from, to netip.AddrPort
	endpoint tcpip.Endpoint
	queue    *waiter.Queue
	outside  *net.UDPConn
	used     atomic.Int64 // when a datagram last passed, in Unix nanoseconds
	cancel   context.CancelFunc
}

// associate serves the first datagram of an association; it is called by the reader and does not wait.
func (u *Uplink) associate(r *udp.ForwarderRequest) bool {
	if !u.begin() {
		return true
	}
	kept := false
	defer func() {
		if !kept {
			u.flows.Done()
		}
	}()
	if !u.dialNow() {
		return true
	}
	w, ok := u.share.take(false)
	if !ok {
		u.endOldest() // its place is free for the next attempt
		return true
	}
	defer func() {
		if !kept {
			u.share.give(w)
		}
	}()
	from, to := ends(r.ID())
	outside, err := u.net.dial(u.ctx, "udp", to, w)
	if err != nil {
		return false // an ICMP message says that nobody is there
	}
	a := &association{queue: new(waiter.Queue), outside: outside.(*net.UDPConn), from: from, to: to}
	var failed tcpip.Error
	if a.endpoint, failed = r.CreateEndpoint(a.queue); failed != nil {
		_ = outside.Close()
		return true
	}
	a.endpoint.SocketOptions().SetReceiveBufferSize(int64(w.stack), true)
	kept = true
	go func() {
		defer u.flows.Done()
		defer u.share.give(w)
		u.exchange(a)
	}()
	return true
}

// endOldest ends the association that was idle for longest.
func (u *Uplink) endOldest() {
	u.mu.Lock()
	defer u.mu.Unlock()
	var oldest *association
	for a := range u.udp {
		if oldest == nil || a.used.Load() < oldest.used.Load() {
			oldest = a
		}
	}
	if oldest != nil {
		oldest.cancel()
	}
}

// exchange passes datagrams both ways until none has passed for udpIdle.
func (u *Uplink) exchange(a *association) {
	ctx, cancel := context.WithCancel(u.ctx)
	defer cancel()
	a.cancel = cancel
	a.touch()
	u.mu.Lock()
	u.udp[a] = struct{}{}
	u.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { defer cancel(); a.outward(ctx) })
	both.Go(func() {
		defer cancel()
		if errors.Is(a.inward(), unix.ECONNREFUSED) {
			_ = u.send([][]byte{unreachable(datagram(a.from, a.to), noPort)})
		}
	})
	timer := time.NewTimer(udpIdle)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-timer.C:
			rest := udpIdle - time.Since(time.Unix(0, a.used.Load()))
			if rest <= 0 {
				cancel()
			}
			timer.Reset(rest)
		case <-ctx.Done():
		}
	}
	u.mu.Lock()
	delete(u.udp, a)
	u.mu.Unlock()
	_ = a.outside.Close()
	a.endpoint.Close()
	both.Wait()
}

func (a *association) touch() { a.used.Store(time.Now().UnixNano()) }

// outward sends what comes from inside.
func (a *association) outward(ctx context.Context) {
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents)
	a.queue.EventRegister(&entry)
	defer a.queue.EventUnregister(&entry)
	for {
		b := buffers.Get().(*[vnetHeader + MTU]byte)
		w := tcpip.SliceWriter(b[:])
		result, failed := a.endpoint.Read(&w, tcpip.ReadOptions{})
		if failed == nil {
			a.touch()
			_, _ = a.outside.Write(b[:result.Count]) // a datagram may be lost; a refusal of an earlier one is told by the next read
		}
		buffers.Put(b)
		if _, wait := failed.(*tcpip.ErrWouldBlock); wait {
			select {
			case <-ready:
			case <-ctx.Done():
				return
			}
		} else if failed != nil {
			return
		}
	}
}

// inward hands in what comes back, until an error. A waiting association holds no buffer.
func (a *association) inward() error {
	raw, err := a.outside.SyscallConn()
	for err == nil {
		err = a.receive(raw)
	}
	return err
}

func (a *association) receive(raw syscall.RawConn) error {
	var failed error
	err := raw.Read(func(fd uintptr) bool {
		b := buffers.Get().(*[vnetHeader + MTU]byte)
		defer buffers.Put(b)
		n, err := unix.Read(int(fd), b[:])
		if err == unix.EAGAIN {
			return false
		}
		if failed = err; err != nil {
			return true
		}
		a.touch()
		_, _ = a.endpoint.Write(bytes.NewReader(b[:n]), tcpip.WriteOptions{}) // what finds no room is lost
		return true
	})
	if err != nil {
		return err
	}
	return failed
}
