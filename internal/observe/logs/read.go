package logs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"artesian/internal/faas"
)

const (
	firstBatch  = 8       // messages asked for at first; each time after four times as many
	fullBatch   = 512     // until it is so many
	readBytes   = 4 << 20 // of them; the last may go over
	readTimeout = 10 * time.Second
)

// message is one frame as it is stored.
type message struct {
	seq  uint64
	data []byte
}

func unread(err error) error {
	return &faas.Error{Kind: faas.Unavailable, Op: "read log", Message: "the log cannot be read now; try again", Cause: err}
}

// last returns the newest message of a subject, nil when there is none.
func (s *Store) last(ctx context.Context, subject string) (*message, error) {
	raw, err := s.stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, unread(err)
	}
	return &message{raw.Sequence, raw.Data}, nil
}

// at returns the first message of a subject from seq on, nil when there is none.
func (s *Store) at(ctx context.Context, subject string, seq uint64) (*message, error) {
	raw, err := s.stream.GetMsg(ctx, max(seq, 1), jetstream.WithGetMsgSubject(subject))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, unread(err)
	}
	return &message{raw.Sequence, raw.Data}, nil
}

// scan calls fn for the messages of a subject in a span, in order, until fn returns false or an error. It holds at most
// readBytes and one message at a time.
func (s *Store) scan(ctx context.Context, subject string, in span, fn func(seq uint64, f *frame) (bool, error)) error {
	for from, n := in.from, firstBatch; from < in.to; n = min(4*n, fullBatch) {
		batch, more, err := s.batch(ctx, subject, from, n)
		if err != nil {
			return err
		}
		for _, m := range batch {
			if m.seq >= in.to {
				return nil
			}
			f, err := decodeFrame(m.data)
			if err != nil {
				return fmt.Errorf("read log message %d: %w", m.seq, err)
			}
			if on, err := fn(m.seq, f); err != nil || !on {
				return err
			}
			from = m.seq + 1
		}
		if !more || len(batch) == 0 {
			return nil
		}
	}
	return nil
}

// batch reads up to n messages of a subject from seq on, and reports whether there are more.
func (s *Store) batch(ctx context.Context, subject string, from uint64, n int) ([]message, bool, error) {
	ask, err := json.Marshal(map[string]any{"seq": max(from, 1), "next_by_subj": subject, "batch": n, "max_bytes": readBytes})
	if err != nil {
		return nil, false, unread(err)
	}
	conn := s.eng.Conn()
	inbox := conn.NewInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil, false, unread(err)
	}
	defer sub.Unsubscribe()
	if err := conn.PublishRequest("$JS.API.DIRECT.GET."+streamName, inbox, ask); err != nil {
		return nil, false, unread(err)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var out []message
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, false, unread(err)
		}
		switch status := msg.Header.Get("Status"); status {
		case "":
		case "204": // end of batch
			return out, msg.Header.Get("Nats-Num-Pending") != "0", nil
		case "404":
			return out, false, nil
		default:
			return nil, false, unread(fmt.Errorf("status %s %s", status, msg.Header.Get("Description")))
		}
		m, err := parse(msg)
		if err != nil {
			return nil, false, unread(err)
		}
		out = append(out, m)
	}
}

func parse(msg *nats.Msg) (message, error) {
	seq, err := strconv.ParseUint(msg.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return message{}, fmt.Errorf("message without sequence: %w", err)
	}
	return message{seq, msg.Data}, nil
}

// search returns the sequence of the first message of a subject for which pred holds; pred must hold for all after it as
// well. It returns one past the last message when pred holds for none, and 0 when the subject has no messages. It gallops
// from the end, so that what is near the end is found with few reads.
func (s *Store) search(ctx context.Context, subject string, pred func(t *totals) bool) (uint64, error) {
	last, err := s.last(ctx, subject)
	if err != nil || last == nil {
		return 0, err
	}
	if ok, err := last.holds(pred); err != nil || !ok {
		return last.seq + 1, err
	}
	// pred holds at best, and there is no message in [end, best): the answer is best unless one in [lo, end) will do.
	best, lo, end := last.seq, uint64(1), last.seq
	for step, gallop := uint64(8), true; lo < end; step *= 8 {
		probe := lo + (end-lo)/2
		if gallop {
			probe = max(lo, end-min(end, step))
		}
		m, err := s.at(ctx, subject, probe)
		if err != nil {
			return 0, err
		}
		if m == nil || m.seq > best { // trimmed meanwhile
			return best, nil
		}
		if m.seq >= end {
			end = probe
			continue
		}
		ok, err := m.holds(pred)
		switch {
		case err != nil:
			return 0, err
		case ok:
			best, end = m.seq, probe
		default:
			lo, gallop = m.seq+1, false
		}
	}
	return best, nil
}

func (m *message) holds(pred func(t *totals) bool) (bool, error) {
	f, err := decodeFrame(m.data)
	if err != nil {
		return false, fmt.Errorf("read log message %d: %w", m.seq, err)
	}
	return pred(&f.totals), nil
}
