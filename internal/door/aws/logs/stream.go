package logs

import (
	"context"
	"fmt"
	"time"

	"artesian/internal/door/aws/logs/api"
	"artesian/internal/faas"
	"artesian/internal/observe/logs"
)

// CreateLogStream implements api.Service.
func (s *Service) CreateLogStream(ctx context.Context, in *api.CreateLogStreamInput) (*api.CreateLogStreamOutput, error) {
	return nil, s.store.CreateStream(ctx, s.group(ctx, in.LogGroupName), in.LogStreamName)
}

// DeleteLogStream implements api.Service.
func (s *Service) DeleteLogStream(ctx context.Context, in *api.DeleteLogStreamInput) (*api.DeleteLogStreamOutput, error) {
	return nil, s.store.DeleteStream(ctx, s.group(ctx, in.LogGroupName), in.LogStreamName)
}

// streamToken is what the next page of DescribeLogStreams needs.
type streamToken struct {
	Name string    `json:"name"`
	Last time.Time `json:"last"`
}

// DescribeLogStreams implements api.Service.
func (s *Service) DescribeLogStreams(ctx context.Context, in *api.DescribeLogStreamsInput) (*api.DescribeLogStreamsOutput, error) {
	id, err := s.either(ctx, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	q := logs.StreamQuery{Prefix: value(in.LogStreamNamePrefix), ByTime: value(in.OrderBy) == "LastEventTime",
		Descending: value(in.Descending), Limit: int(or(in.Limit, pageSize))}
	if q.ByTime && q.Prefix != "" {
		return nil, faas.Errorf(faas.Invalid, "Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	if in.NextToken != nil {
		var token streamToken
		if err := openToken(in.NextToken, &token); err != nil {
			return nil, err
		}
		q.After = &logs.Stream{Name: token.Name, Last: token.Last}
	}
	streams, more, err := s.store.Streams(ctx, id, q)
	if err != nil {
		return nil, err
	}
	out := &api.DescribeLogStreamsOutput{LogStreams: []api.LogStream{}}
	for i := range streams {
		out.LogStreams = append(out.LogStreams, describeStream(id, &streams[i]))
	}
	if more {
		last := &streams[len(streams)-1]
		out.NextToken, err = sealToken(streamToken{last.Name, last.Last})
	}
	return out, err
}

func describeStream(id logs.GroupID, st *logs.Stream) api.LogStream {
	d := api.LogStream{LogStreamName: &st.Name, Arn: new(id.ARN() + ":log-stream:" + st.Name), CreationTime: ms(st.Created),
		FirstEventTimestamp: ms(st.First), LastEventTimestamp: ms(st.Last), LastIngestionTime: ms(st.Ingested), StoredBytes: new(int64(0))}
	if !st.Ingested.IsZero() {
		d.UploadSequenceToken = sequenceToken(st.Ingested)
	}
	return d
}

// sequenceToken is a token for clients that still send one back: it is ignored, as AWS ignores it.
func sequenceToken(t time.Time) *string { return new(fmt.Sprintf("49%054d", t.UnixNano())) }
