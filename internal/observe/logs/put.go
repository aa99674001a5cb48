package logs

import (
	"context"
	"time"

	"artesian/internal/faas"
)

// Put is one event of a batch.
type Put struct {
	Time    time.Time
	Message string
}

// Put adds events to a stream and returns when they are durable. The stream must exist. NotFound: group or stream do not.
// Throttled: too much is waiting for the disk already. Unavailable: they were not written, or nobody can tell. Limits on
// events are for the caller's protocol to check; TooLarge: the batch is over MaxBatchBytes.
func (s *Store) Put(ctx context.Context, id GroupID, stream string, events []Put) error {
	k, err := s.book.find(id)
	if err != nil {
		return err
	}
	if _, err := s.findStream(ctx, k, stream); err != nil {
		return err
	}
	g := s.hold(id)
	defer s.drop(g)
	told, err := g.put(stream, events)
	if err != nil {
		return err
	}
	return await(ctx, told)
}

func (g *group) put(stream string, events []Put) (chan error, error) {
	size := 0
	for i := range events {
		size += len(events[i].Message) + EventOverhead
	}
	if size > MaxBatchBytes {
		return nil, faas.Errorf(faas.TooLarge, "the batch has %d bytes; at most %d are allowed", size, MaxBatchBytes)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return nil, faas.Errorf(faas.Unavailable, "the log is closing")
	case !g.fits(size):
		return nil, faas.Errorf(faas.Throttled, "too many log events are waiting to be written to %s; try again", g.id.Name)
	}
	for _, e := range events {
		g.add(record{stream, e.Time.UnixMilli(), e.Message})
	}
	return g.wait(), nil
}
