package netstack

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// How long one resolver is waited for, and how many of /etc/resolv.conf are asked in turn, as resolv.conf(5) has it.
const (
	resolverTime  = 3 * time.Second
	maxResolvers  = 3
	maxAskingAll  = 1024 // questions of all sandboxes under way
	certainAsking = 2    // that a sandbox may have under way whatever the others ask
	hostResolvers = "/etc/resolv.conf"
)

// resolvers follows a resolv.conf.
type resolvers struct {
	file  string
	slots chan struct{}

	mu    sync.Mutex
	at    time.Time
	size  int64
	known []string
}

// list returns the addresses of this machine's resolvers as its configuration now names them.
func (r *resolvers) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	info, err := os.Stat(r.file)
	if err != nil {
		return r.known
	}
	if info.ModTime().Equal(r.at) && info.Size() == r.size {
		return r.known
	}
	b, err := os.ReadFile(r.file)
	if err != nil {
		return r.known
	}
	r.at, r.size, r.known = info.ModTime(), info.Size(), nameservers(string(b))
	return r.known
}

// nameservers reads the resolvers' addresses from the text of a resolv.conf; without any it is this machine.
func nameservers(text string) []string {
	var found []string
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" || len(found) == maxResolvers {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil {
			found = append(found, netip.AddrPortFrom(a, 53).String())
		}
	}
	if len(found) == 0 {
		return []string{"127.0.0.1:53"}
	}
	return found
}

// ask passes a question on, over the protocol by which it came, and returns the answer to it: that no resolver answered,
// if none did. Certain are the asker's own places.
func (n *Network) ask(ctx context.Context, protocol string, q question, certain chan struct{}) []byte {
	select {
	case certain <- struct{}{}:
		defer func() { <-certain }()
	default:
		select {
		case n.resolvers.slots <- struct{}{}:
			defer func() { <-n.resolvers.slots }()
		default:
			return q.reply(dnsmessage.RCodeServerFailure)
		}
	}
	asked := bytes.Clone(q.raw)
	for _, server := range n.resolvers.list() {
		binary.BigEndian.PutUint16(asked, uint16(rand.Uint32())) // not the function's to choose
		answer, err := exchange(ctx, protocol, server, asked)
		if err == nil {
			binary.BigEndian.PutUint16(answer, q.head.ID)
			return answer
		}
		if ctx.Err() != nil {
			break
		}
	}
	return q.reply(dnsmessage.RCodeServerFailure)
}

// exchange asks one resolver.
func exchange(ctx context.Context, protocol, server string, asked []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, resolverTime)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, protocol, server)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if protocol == "tcp" {
		if err := writeFramed(c, asked); err != nil {
			return nil, err
		}
		answer, err := readFramed(c, maxAnswer)
		if err == nil && !answers(answer, asked) {
			err = errors.New("an answer to another question")
		}
		return answer, err
	}
	if _, err := c.Write(asked); err != nil {
		return nil, err
	}
	b := make([]byte, maxAnswer)
	for {
		size, err := c.Read(b)
		if err != nil {
			return nil, err
		}
		if answers(b[:size], asked) {
			return b[:size], nil
		}
	}
}

// answers reports whether a message answers a question: same id, same name, type and class.
func answers(answer, asked []byte) bool {
	var a, q dnsmessage.Parser
	head, err := a.Start(answer)
	if err != nil || !head.Response || binary.BigEndian.Uint16(answer) != binary.BigEndian.Uint16(asked) {
		return false
	}
	if _, err := q.Start(asked); err != nil {
		return false
	}
	got, err1 := a.Question()
	want, err2 := q.Question()
	return err1 == nil && err2 == nil && got.Type == want.Type && got.Class == want.Class && strings.EqualFold(got.Name.String(), want.Name.String())
}
