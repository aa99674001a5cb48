package logs

import (
	"context"
	"errors"
	"strconv"

	"artesian/internal/door/aws/logs/api"
	"artesian/internal/faas"
	"artesian/internal/observe/logs/insights"
)

const (
	maxQueryGroups = 50
	language       = "CWLI" // the one query language there is here
	millisFrom     = 1e11   // times of queries are seconds since 1970; what is larger is taken for ms, as AWS's console sends them
)

// StartQuery implements api.Service.
func (s *Service) StartQuery(ctx context.Context, in *api.StartQueryInput) (*api.StartQueryOutput, error) {
	if l := or(in.QueryLanguage, language); l != language {
		return nil, faas.Errorf(faas.Unsupported, "queryLanguage %s is not supported here; only %s is.", l, language)
	}
	groups, err := s.queried(ctx, in)
	if err != nil {
		return nil, err
	}
	from, to := queryTime(in.StartTime, 0), queryTime(in.EndTime, 999)
	if from > to {
		return nil, faas.Errorf(faas.Invalid, "startTime is after endTime.")
	}
	q, err := insights.Parse(in.QueryString)
	if err != nil {
		return nil, malformed(err)
	}
	id, err := s.queries.Start(insights.Job{Scope: s.scope(ctx), Groups: groups, From: from, To: to, Text: in.QueryString, Query: q,
		Limit: int(or(in.Limit, 0)), Owner: s.caller(ctx)})
	if err != nil {
		return nil, err
	}
	return &api.StartQueryOutput{QueryId: &id}, nil
}

// queryTime is in ms, with a part of a second where only seconds were said.
func queryTime(t, part int64) int64 {
	if t >= millisFrom {
		return t
	}
	return t*1000 + part
}

// queried returns the names of the groups that one of three members names. They exist.
func (s *Service) queried(ctx context.Context, in *api.StartQueryInput) ([]string, error) {
	names := in.LogGroupNames
	given := min(len(in.LogGroupNames), 1) + min(len(in.LogGroupIdentifiers), 1)
	if in.LogGroupName != nil {
		names, given = []string{*in.LogGroupName}, given+1
	}
	if given != 1 {
		return nil, faas.Errorf(faas.Invalid, "Exactly one of logGroupName, logGroupNames and logGroupIdentifiers must be given.")
	}
	for _, text := range in.LogGroupIdentifiers {
		id, err := s.identified(ctx, "logGroupIdentifiers", text)
		if err != nil {
			return nil, err
		}
		names = append(names, id.Name)
	}
	if len(names) > maxQueryGroups {
		return nil, faas.Errorf(faas.Invalid, "A query can be about %d log groups at most, not %d.", maxQueryGroups, len(names))
	}
	for _, name := range names {
		if _, err := s.store.Group(s.group(ctx, name)); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// malformed says where a query is wrong, in the words of the API.
func malformed(err error) error {
	var syntax *insights.SyntaxError
	if !errors.As(err, &syntax) {
		return err
	}
	return &api.MalformedQueryException{Message: new(syntax.Error()), QueryCompileError: &api.QueryCompileError{Message: new(syntax.Error()),
		Location: &api.QueryCompileErrorLocation{StartCharOffset: new(int32(syntax.Start)), EndCharOffset: new(int32(syntax.End))}}}
}

// GetQueryResults implements api.Service.
func (s *Service) GetQueryResults(ctx context.Context, in *api.GetQueryResultsInput) (*api.GetQueryResultsOutput, error) {
	q, err := s.queries.Get(s.scope(ctx), in.QueryId)
	if err != nil {
		return nil, err
	}
	from, to := 0, len(q.Rows)
	if in.NextToken != nil {
		if from, err = strconv.Atoi(*in.NextToken); err != nil || from < 0 || from > to {
			return nil, faas.Errorf(faas.Invalid, "The specified nextToken is invalid.")
		}
	}
	out := &api.GetQueryResultsOutput{QueryLanguage: new(language), Status: new(string(q.Status)), Results: [][]api.ResultField{}}
	if in.MaxItems != nil && from+int(*in.MaxItems) < to {
		to = from + int(*in.MaxItems)
		out.NextToken = new(strconv.Itoa(to))
	}
	for _, row := range q.Rows[from:to] {
		fields := make([]api.ResultField, 0, len(row))
		for _, f := range row {
			fields = append(fields, api.ResultField{Field: &f.Name, Value: &f.Value})
		}
		out.Results = append(out.Results, fields)
	}
	out.Statistics = &api.QueryStatistics{RecordsScanned: new(float64(q.Scanned)), RecordsMatched: new(float64(q.Matched)),
		BytesScanned: new(float64(q.Bytes)), LogGroupsScanned: new(float64(len(q.Job.Groups))), ResultCount: new(float64(len(q.Rows))),
		EstimatedBytesSkipped: new(0.0), EstimatedRecordsSkipped: new(0.0)}
	return out, nil
}

// StopQuery implements api.Service.
func (s *Service) StopQuery(ctx context.Context, in *api.StopQueryInput) (*api.StopQueryOutput, error) {
	stopped, err := s.queries.Stop(s.scope(ctx), in.QueryId)
	if err != nil {
		return nil, err
	}
	if !stopped {
		return nil, faas.Errorf(faas.Invalid, "Query with ID %s has already ended", in.QueryId)
	}
	return &api.StopQueryOutput{Success: &stopped}, nil
}

// DescribeQueries implements api.Service.
func (s *Service) DescribeQueries(ctx context.Context, in *api.DescribeQueriesInput) (*api.DescribeQueriesOutput, error) {
	from := 0
	if in.NextToken != nil {
		n, err := strconv.Atoi(*in.NextToken)
		if err != nil || n < 0 {
			return nil, faas.Errorf(faas.Invalid, "The specified nextToken is invalid.")
		}
		from = n
	}
	out := &api.DescribeQueriesOutput{Queries: []api.QueryInfo{}}
	if or(in.QueryLanguage, language) != language {
		return out, nil
	}
	for i, q := range s.queries.List(s.scope(ctx)) {
		var group *string
		if len(q.Job.Groups) == 1 {
			group = &q.Job.Groups[0]
		}
		if i < from || in.Status != nil && *in.Status != string(q.Status) || in.LogGroupName != nil && *in.LogGroupName != value(group) {
			continue
		}
		if len(out.Queries) == int(or(in.MaxResults, 1000)) {
			out.NextToken = new(strconv.Itoa(i))
			break
		}
		info := api.QueryInfo{QueryId: &q.ID, QueryLanguage: new(language), QueryString: &q.Job.Text, Status: new(string(q.Status)),
			CreateTime: ms(q.Created), LogGroupName: group, BytesScanned: new(float64(q.Bytes)), UserIdentity: &q.Job.Owner}
		if q.Status != insights.Running {
			info.QueryDuration = new(q.Took.Milliseconds())
		}
		out.Queries = append(out.Queries, info)
	}
	return out, nil
}
