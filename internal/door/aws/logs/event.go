package logs

import (
	"context"
	"time"

	"artesian/internal/door/aws/logs/api"
	"artesian/internal/faas"
	"artesian/internal/observe/logs"
	"artesian/internal/observe/logs/pattern"
)

const (
	maxSpan   = 24 * time.Hour // between the first and the last event of a batch
	maxEvents = 10_000         // of one page
)

// PutLogEvents implements api.Service. The sequence token is ignored, as AWS does now; an entity is rejected in the answer, and the
// events are taken.
func (s *Service) PutLogEvents(ctx context.Context, in *api.PutLogEventsInput) (*api.PutLogEventsOutput, error) {
	if err := checkBatch(in.LogEvents); err != nil {
		return nil, err
	}
	id := s.group(ctx, in.LogGroupName)
	g, err := s.store.Group(id)
	if err != nil {
		return nil, err
	}
	now := s.now()
	from, to, rejected := s.accepted(in.LogEvents, &g, now)
	if to > from && millis(in.LogEvents[to-1].Timestamp-in.LogEvents[from].Timestamp) > maxSpan {
		return nil, faas.Errorf(faas.Invalid, "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	puts := make([]logs.Put, 0, to-from)
	for _, e := range in.LogEvents[from:to] {
		puts = append(puts, logs.Put{Time: time.UnixMilli(e.Timestamp), Message: e.Message})
	}
	if err := s.store.Put(ctx, id, in.LogStreamName, puts); err != nil {
		return nil, err
	}
	out := &api.PutLogEventsOutput{NextSequenceToken: sequenceToken(now), RejectedLogEventsInfo: rejected}
	if in.Entity != nil {
		out.RejectedEntityInfo = &api.RejectedEntityInfo{ErrorType: "UnsupportedLogGroupType"}
	}
	return out, nil
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// checkBatch refuses a batch as a whole: too large, an event too large, or out of order.
func checkBatch(events []api.InputLogEvent) error {
	size := 0
	for i := range events {
		n := len(events[i].Message) + logs.EventOverhead
		if n > logs.MaxEventBytes {
			return faas.Errorf(faas.Invalid, "Log event too large: %d bytes exceeds limit of %d", n, logs.MaxEventBytes)
		}
		if size += n; i > 0 && events[i].Timestamp < events[i-1].Timestamp {
			return faas.Errorf(faas.Invalid, "Log events in a single PutLogEvents request must be in chronological order.")
		}
	}
	if size > logs.MaxBatchBytes {
		return faas.Errorf(faas.Invalid, "Upload too large: %d bytes exceeds limit of %d", size, logs.MaxBatchBytes)
	}
	return nil
}

// accepted returns which events of a batch, in order of time, are taken: not those that are over 14 days old, past their
// group's retention, or more than 2 hours ahead. What is not taken is told by its place.
func (s *Service) accepted(events []api.InputLogEvent, g *logs.Group, now time.Time) (from, to int, info *api.RejectedLogEventsInfo) {
	old, expired := 0, 0
	for to = len(events); to > 0 && events[to-1].Timestamp > now.Add(logs.MaxAhead).UnixMilli(); to-- {
	}
	for old < to && events[old].Timestamp < now.Add(-logs.MaxBehind).UnixMilli() {
		old++
	}
	if g.RetentionDays > 0 {
		limit := now.Add(-time.Duration(g.RetentionDays) * 24 * time.Hour).UnixMilli()
		for expired < to && events[expired].Timestamp < limit {
			expired++
		}
	}
	info = &api.RejectedLogEventsInfo{}
	if to < len(events) {
		info.TooNewLogEventStartIndex = new(int32(to))
	}
	if old > 0 {
		info.TooOldLogEventEndIndex = new(int32(old))
	}
	if expired > old {
		info.ExpiredLogEventEndIndex = new(int32(expired))
	}
	if *info == (api.RejectedLogEventsInfo{}) {
		info = nil
	}
	return max(old, expired), to, info
}

// GetLogEvents implements api.Service.
func (s *Service) GetLogEvents(ctx context.Context, in *api.GetLogEventsInput) (*api.GetLogEventsOutput, error) {
	id, err := s.either(ctx, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	page, err := s.store.Get(ctx, id, logs.GetQuery{Stream: in.LogStreamName, From: value(in.StartTime), To: value(in.EndTime),
		Limit: int(or(in.Limit, maxEvents)), FromHead: value(in.StartFromHead), Token: value(in.NextToken)})
	if err != nil {
		return nil, err
	}
	out := &api.GetLogEventsOutput{Events: []api.OutputLogEvent{}, NextForwardToken: &page.Forward, NextBackwardToken: &page.Backward}
	for _, e := range page.Events {
		out.Events = append(out.Events, api.OutputLogEvent{Timestamp: ms(e.Time), IngestionTime: ms(e.Ingested), Message: &e.Message})
	}
	return out, nil
}

// FilterLogEvents implements api.Service. Events are always interleaved, as AWS does now.
func (s *Service) FilterLogEvents(ctx context.Context, in *api.FilterLogEventsInput) (*api.FilterLogEventsOutput, error) {
	id, err := s.either(ctx, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	switch {
	case !or(in.StartFromHead, true):
		return nil, faas.Errorf(faas.Unsupported, "startFromHead false is not supported here; use GetLogEvents for the newest events of a stream.")
	case len(in.LogStreamNames) > 0 && in.LogStreamNamePrefix != nil:
		return nil, faas.Errorf(faas.Invalid, "logStreamNames and logStreamNamePrefix must not both be given.")
	}
	filter, err := pattern.Parse(value(in.FilterPattern))
	if err != nil {
		return nil, err
	}
	page, err := s.store.Filter(ctx, id, logs.Query{Match: filter.Match, Streams: in.LogStreamNames, Prefix: value(in.LogStreamNamePrefix),
		From: value(in.StartTime), To: value(in.EndTime), Limit: int(or(in.Limit, maxEvents)), Token: value(in.NextToken)})
	if err != nil {
		return nil, err
	}
	out := &api.FilterLogEventsOutput{Events: []api.FilteredLogEvent{}, SearchedLogStreams: []api.SearchedLogStream{}}
	for _, e := range page.Events {
		out.Events = append(out.Events, api.FilteredLogEvent{EventId: &e.ID, LogStreamName: &e.Stream, Timestamp: ms(e.Time),
			IngestionTime: ms(e.Ingested), Message: &e.Message})
	}
	if page.Token != "" {
		out.NextToken = &page.Token
	}
	return out, nil
}

// TestMetricFilter tells which messages a filter pattern matches. Metric filters themselves are not built.
func (s *Service) TestMetricFilter(ctx context.Context, in *api.TestMetricFilterInput) (*api.TestMetricFilterOutput, error) {
	filter, err := pattern.Parse(in.FilterPattern)
	if err != nil {
		return nil, err
	}
	out := &api.TestMetricFilterOutput{Matches: []api.MetricFilterMatchRecord{}}
	for i, message := range in.LogEventMessages {
		var values map[string]string
		var ok bool
		if err := s.store.Matching(ctx, func() { values, ok = filter.Extract(message) }); err != nil {
			return nil, err
		}
		if ok {
			out.Matches = append(out.Matches, api.MetricFilterMatchRecord{EventNumber: new(int64(i + 1)), EventMessage: &message, ExtractedValues: values})
		}
	}
	return out, nil
}
