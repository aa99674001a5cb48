package container

import (
	"net"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer is where programs inside ask for names, see /etc/resolv.conf. The socket is opened inside and served from
// outside, as the platform's own are.
const nameServer = "127.0.0.1:53"

// Longest question over UDP without extensions (RFC 1035, 4.2.1), and how long an answer may be kept, in seconds.
const (
	maxQuestion = 512
	nameTTL     = 60
)

// serveNames answers until the socket is closed.
func serveNames(c net.PacketConn) {
	question := make([]byte, maxQuestion)
	for {
		n, from, err := c.ReadFrom(question)
		if err != nil {
			return
		}
		if reply := answer(question[:n]); reply != nil {
			_, _ = c.WriteTo(reply, from) // who asked may be gone
		}
	}
}

// answer resolves localhost and all names below it to the loopback (RFC 6761, 6.3); others do not exist here. Malformed
// questions get no answer.
func answer(question []byte) []byte {
	var p dnsmessage.Parser
	head, err := p.Start(question)
	if err != nil || head.Response || head.OpCode != 0 {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	local := name == "localhost" || strings.HasSuffix(name, ".localhost")
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: head.ID, Response: true, RecursionDesired: head.RecursionDesired, RecursionAvailable: true},
		Questions: []dnsmessage.Question{q},
	}
	switch {
	case !local:
		reply.RCode = dnsmessage.RCodeNameError
	case q.Class == dnsmessage.ClassINET && q.Type == dnsmessage.TypeA:
		reply.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: nameTTL},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	b, err := reply.Pack()
	if err != nil {
		return nil
	}
	return b
}
