package netstack

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// connect serves one connection from inside, from its SYN to its end. It is accepted only after the one outside is made:
// what that met, the function meets: a refusal at once, and no answer when there is none.
func (u *Uplink) connect(r *tcp.ForwarderRequest) {
	if !u.begin() {
		r.Complete(false)
		return
	}
	defer u.flows.Done()
	if !u.dialNow() {
		r.Complete(false)
		return
	}
	w, ok := u.share.take(true)
	if !ok {
		r.Complete(true)
		return
	}
	defer u.share.give(w)
	_, to := ends(r.ID())
	outside, err := u.net.dial(u.ctx, "tcp", to, w)
	if err != nil {
		r.Complete(!errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded))
		return
	}
	var q waiter.Queue
	ep, failed := u.accept(r, &q)
	r.Complete(failed != nil)
	if failed != nil {
		_ = outside.Close()
		return
	}
	o := ep.SocketOptions()
	o.SetDelayOption(false)
	o.SetReceiveBufferSize(int64(w.stack), true)
	o.SetSendBufferSize(int64(w.stack), true)
	u.relay(stream{gonet.NewTCPConn(&q, ep), ep}, outside.(*net.TCPConn), w)
}

// accept shakes hands inside. At the end of the sandbox, whose part of that does not come any more, the wait for it is
// over: who waits looks whether there is a connection each time that the queue says something.
func (u *Uplink) accept(r *tcp.ForwarderRequest, q *waiter.Queue) (tcpip.Endpoint, tcpip.Error) {
	over := make(chan struct{})
	defer close(over)
	defer context.AfterFunc(u.ctx, func() {
		for { // it may be about to begin to wait
			q.Notify(waiter.WritableEvents)
			select {
			case <-over:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})()
	return r.CreateEndpoint(q)
}

// stream is the inner side of a connection.
type stream struct {
	*gonet.TCPConn
	endpoint tcpip.Endpoint
}

// relay passes bytes both ways until both have ended, or one fails: then the other is reset.
func (u *Uplink) relay(inside stream, outside *net.TCPConn, w width) {
	reset := sync.OnceFunc(func() {
		inside.endpoint.Abort()
		_ = outside.SetLinger(0)
		_ = outside.Close()
	})
	stop := context.AfterFunc(u.ctx, reset)
	defer stop()
	var both sync.WaitGroup
	one := func(to interface {
		io.Writer
		CloseWrite() error
	}, from io.Reader) {
		if err := forward(to, from, w.copy); err != nil {
			reset()
			return
		}
		_ = to.CloseWrite() // the connection may have failed the other way
	}
	both.Go(func() { one(inside, outside) })
	one(outside, inside)
	both.Wait()
	_ = inside.Close()
	_ = outside.Close()
}

// copies are the buffers of connections by size.
var copies = map[int]*sync.Pool{
	wide.copy:   {New: func() any { b := make([]byte, wide.copy); return &b }},
	narrow.copy: {New: func() any { b := make([]byte, narrow.copy); return &b }},
}

// forward copies until from ends, which is no error.
func forward(to io.Writer, from io.Reader, size int) error {
	b := copies[size].Get().(*[]byte)
	defer copies[size].Put(b)
	for {
		n, err := from.Read(*b)
		if n > 0 {
			if _, err := to.Write((*b)[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
