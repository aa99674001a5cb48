package lambda

import (
	"context"
	"strconv"
	"strings"

	"artesian/internal/compute/registry"
	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/faas"
)

const maxPage = 50 // of functions and versions, as AWS documents

// ListFunctions implements api.Service. The marker is the last name of the page before.
func (s *Service) ListFunctions(ctx context.Context, in *api.ListFunctionsInput) (*api.ListFunctionsOutput, error) {
	_, scope := s.cfg.Caller(ctx)
	if value(in.FunctionVersion) == "ALL" {
		return s.listAllVersions(scope, value(in.Marker), pageSize(in.MaxItems))
	}
	size := pageSize(in.MaxItems)
	recs := s.cfg.Functions.List(scope, value(in.Marker), size+1)
	out := &api.ListFunctionsOutput{Functions: []api.FunctionConfiguration{}}
	for i, rec := range recs {
		if i == size {
			out.NextMarker = ptr(recs[i-1].Version.ID.Name)
			break
		}
		out.Functions = append(out.Functions, listed(&rec.Version, ""))
	}
	return out, nil
}

// listAllVersions lists every version of every function. The marker is name:version of the page before.
func (s *Service) listAllVersions(scope faas.Scope, marker string, size int) (*api.ListFunctionsOutput, error) {
	out := &api.ListFunctionsOutput{Functions: []api.FunctionConfiguration{}}
	name, version, _ := strings.Cut(marker, ":")
	past, err := position(version)
	if err != nil {
		return nil, err
	}
	id := faas.FunctionID{Scope: scope, Name: name}
	var last *registry.Record
	for {
		versions, err := s.cfg.Functions.Versions(id)
		if err != nil {
			versions = nil // the first page, or deleted since
		}
		for _, rec := range versions {
			if at, _ := position(rec.Version.ID.Version); at <= past {
				continue
			}
			if len(out.Functions) == size {
				out.NextMarker = ptr(last.Version.ID.Name + ":" + last.Version.ID.Version)
				return out, nil
			}
			out.Functions = append(out.Functions, listed(&rec.Version, rec.Version.ID.Version))
			last = rec
		}
		next := s.cfg.Functions.List(scope, id.Name, 1)
		if len(next) == 0 {
			return out, nil
		}
		id, past = next[0].Version.ID.FunctionID, -1
	}
}

func pageSize(n *int32) int {
	if n == nil {
		return maxPage
	}
	return min(int(*n), maxPage)
}

// ListVersionsByFunction implements api.Service.
func (s *Service) ListVersionsByFunction(ctx context.Context, in *api.ListVersionsByFunctionInput) (*api.ListVersionsByFunctionOutput, error) {
	id, _, err := s.name(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	recs, err := s.cfg.Functions.Versions(id)
	if err != nil {
		return nil, err
	}
	size, out := pageSize(in.MaxItems), &api.ListVersionsByFunctionOutput{Versions: []api.FunctionConfiguration{}}
	past, err := position(value(in.Marker))
	if err != nil {
		return nil, err
	}
	for i, rec := range recs {
		if at, _ := position(rec.Version.ID.Version); at <= past {
			continue
		}
		if len(out.Versions) == size {
			out.NextMarker = ptr(recs[i-1].Version.ID.Version)
			break
		}
		out.Versions = append(out.Versions, *configuration(&rec.Version, rec.Version.ID.Version))
	}
	return out, nil
}

// position is a version's place in lists: $LATEST, then numbers; none is before all. A page goes on behind the place of the
// page before, so what is deleted meanwhile hides nothing.
func position(version string) (int, error) {
	switch version {
	case "":
		return -1, nil
	case faas.Latest:
		return 0, nil
	}
	n, err := strconv.Atoi(version)
	if err != nil || n < 1 {
		return 0, faas.Errorf(faas.Invalid, "Marker: it must be the NextMarker of the page before")
	}
	return n, nil
}
