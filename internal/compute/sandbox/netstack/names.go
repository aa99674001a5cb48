package netstack

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Bounds of the name server. A question over UDP is no longer than RFC 6891, 6.2.5 has it; what passes the bounds is
// dropped, and asked again.
const (
	maxQuestion    = 1232
	maxAnswer      = 65535
	nameTTL        = 60 // seconds that an answer of our own may be kept
	maxAsking      = 32 // questions of one sandbox under way, elsewhere
	maxNameStreams = 8  // TCP connections of one sandbox
	nameStreamIdle = 10 * time.Second
	acceptPause    = 50 * time.Millisecond
)

// Names answers a sandbox's questions for names on sockets that stand on its loopback. Names of the platform lead to that
// loopback, where the platform is; all others are asked of this machine's resolvers, or do not exist where there is no
// internet. What comes back is not judged: only a connection is.
type Names struct {
	net       *Network
	ctx       context.Context
	cancel    context.CancelFunc
	datagrams net.PacketConn
	streams   net.Listener
	internet  bool
	asking    chan struct{}
	certain   chan struct{} // places of its own among the questions of all
	serving   sync.WaitGroup
}

// ServeNames answers on a datagram and a listening socket, which it owns, until Close.
func (n *Network) ServeNames(datagrams net.PacketConn, streams net.Listener, internet bool) *Names {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Names{net: n, ctx: ctx, cancel: cancel, datagrams: datagrams, streams: streams, internet: internet, asking: make(chan struct{}, maxAsking),
		certain: make(chan struct{}, certainAsking)}
	s.serving.Go(s.serveDatagrams)
	s.serving.Go(s.serveStreams)
	return s
}

// Close returns when nothing answers any more.
func (s *Names) Close() error {
	s.cancel()
	err := errors.Join(s.datagrams.Close(), s.streams.Close())
	s.serving.Wait()
	return err
}

func (s *Names) serveDatagrams() {
	question := make([]byte, maxQuestion)
	for {
		size, from, err := s.datagrams.ReadFrom(question)
		if err != nil {
			return
		}
		q, ok := parse(question[:size])
		if !ok {
			continue
		}
		if reply, known := s.own(q); known {
			_, _ = s.datagrams.WriteTo(reply, from) // who asked may be gone
			continue
		}
		select {
		case s.asking <- struct{}{}:
		default:
			continue
		}
		q.raw = append([]byte(nil), q.raw...)
		s.serving.Go(func() {
			defer func() { <-s.asking }()
			_, _ = s.datagrams.WriteTo(s.net.ask(s.ctx, "udp", q, s.certain), from)
		})
	}
}

func (s *Names) serveStreams() {
	places := make(chan struct{}, maxNameStreams)
	for {
		c, err := s.streams.Accept()
		if errors.Is(err, net.ErrClosed) || s.ctx.Err() != nil {
			return
		}
		if err != nil { // this process has too many files open, say
			select {
			case <-time.After(acceptPause):
			case <-s.ctx.Done():
			}
			continue
		}
		select {
		case places <- struct{}{}:
		default:
			_ = c.Close()
			continue
		}
		s.serving.Go(func() {
			defer func() { <-places }()
			stop := context.AfterFunc(s.ctx, func() { _ = c.Close() })
			defer stop()
			defer func() { _ = c.Close() }()
			for s.serveOne(c) == nil {
			}
		})
	}
}

// serveOne answers the next question on a connection.
func (s *Names) serveOne(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(nameStreamIdle)); err != nil {
		return err
	}
	raw, err := readFramed(c, maxQuestion)
	if err != nil {
		return err
	}
	q, ok := parse(raw)
	if !ok {
		return errors.New("malformed question")
	}
	reply, known := s.own(q)
	if !known {
		reply = s.net.ask(s.ctx, "tcp", q, s.certain)
	}
	return writeFramed(c, reply)
}

// readFramed reads a message with its length before it (RFC 1035, 4.2.2).
func readFramed(r io.Reader, limit int) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(size[:]))
	if n > limit {
		return nil, errors.New("message too long")
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

func writeFramed(w io.Writer, message []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(message)), uint16(len(message))), message...))
	return err
}

// question is one that was understood, and as it came.
type question struct {
	head dnsmessage.Header
	dnsmessage.Question
	raw []byte
}

// parse reads a message that asks one question. Others get no answer.
func parse(raw []byte) (question, bool) {
	var p dnsmessage.Parser
	head, err := p.Start(raw)
	if err != nil || head.Response || head.OpCode != 0 {
		return question{}, false
	}
	q, err := p.Question()
	if err != nil {
		return question{}, false
	}
	if _, err := p.Question(); !errors.Is(err, dnsmessage.ErrSectionDone) {
		return question{}, false
	}
	return question{head, q, raw}, true
}

// own answers what is not to be asked elsewhere.
func (s *Names) own(q question) (reply []byte, known bool) {
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	switch {
	case s.net.platform(name) && q.Class == dnsmessage.ClassINET && q.Type == dnsmessage.TypeA:
		return q.reply(dnsmessage.RCodeSuccess, [4]byte{127, 0, 0, 1}), true
	case s.net.platform(name):
		return q.reply(dnsmessage.RCodeSuccess), true
	case !s.internet:
		return q.reply(dnsmessage.RCodeNameError), true
	}
	return nil, false
}

// platform reports whether a name is the platform's: localhost and all below it (RFC 6761, 6.3), and the configured ones.
func (n *Network) platform(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || n.hosts[name]
}

// reply is an answer with addresses, or with none.
func (q question) reply(code dnsmessage.RCode, addresses ...[4]byte) []byte {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: q.head.ID, Response: true, RecursionDesired: q.head.RecursionDesired, RecursionAvailable: true, RCode: code},
		Questions: []dnsmessage.Question{q.Question},
	}
	for _, a := range addresses {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: nameTTL}, Body: &dnsmessage.AResource{A: a},
		})
	}
	b, err := m.Pack()
	if err != nil {
		return nil // a name that was read can be written
	}
	return b
}
