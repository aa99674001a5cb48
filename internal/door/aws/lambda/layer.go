package lambda

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"artesian/internal/compute/registry"
	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/faas"
)

// Layers is the book of layers.
type Layers interface {
	PublishLayer(ctx context.Context, l registry.Layer) (*registry.Layer, error)
	Layer(id faas.LayerID) (*registry.Layer, error)
	LayerVersions(scope faas.Scope, name string, before int64, fn func(*registry.Layer) bool)
	LayerNames(scope faas.Scope, after string, fn func(name string) bool)
	DeleteLayer(ctx context.Context, id faas.LayerID) error
	GrantLayer(ctx context.Context, id faas.LayerID, revision string, mutate func([]registry.Grant) ([]registry.Grant, error)) (*registry.Layer, error)
}

// parseLayer reads what callers may write for a layer: a name or an ARN without a version. The model's pattern holds already.
func parseLayer(scope faas.Scope, name string) (faas.LayerID, error) {
	id := faas.LayerID{Scope: scope, Name: name}
	if rest, ok := strings.CutPrefix(name, "arn:"); ok {
		p := strings.Split(rest, ":") // aws:lambda:region:account:layer:name
		if len(p) != 6 {
			return id, faas.Errorf(faas.Invalid, "LayerName: %q is no layer's ARN", name)
		}
		id.Region, id.Account, id.Name = p[2], p[3], p[5]
	}
	if id.Region != scope.Region {
		return id, faas.Errorf(faas.NotFound, "Layers from '%s' are not reachable in this region ('%s')", id.Region, scope.Region)
	}
	return id, nil
}

// parseLayerVersion reads the ARN of a layer version. The model's pattern holds already.
func parseLayerVersion(member, arn string) (faas.LayerID, error) {
	p := strings.Split(arn, ":") // arn:aws:lambda:region:account:layer:name:version
	if len(p) == 8 && p[5] == "layer" {
		n, err := strconv.ParseInt(p[7], 10, 64)
		if err == nil && n > 0 && len(p[6]) <= 140 && strconv.FormatInt(n, 10) == p[7] {
			return faas.LayerID{Scope: faas.Scope{Account: p[4], Region: p[3]}, Name: p[6], Version: n}, nil
		}
	}
	return faas.LayerID{}, faas.Errorf(faas.Invalid, "%s: %q is not the ARN of a layer version, arn:aws:lambda:REGION:ACCOUNT:layer:NAME:NUMBER", member, arn)
}

// layerResource is Resource for the operations on layers.
func (s *Service) layerResource(ctx context.Context, input any) string {
	name, number := "", int64(0)
	switch in := input.(type) {
	case *api.PublishLayerVersionInput:
		name = in.LayerName
	case *api.ListLayerVersionsInput:
		name = in.LayerName
	case *api.GetLayerVersionInput:
		name, number = in.LayerName, in.VersionNumber
	case *api.DeleteLayerVersionInput:
		name, number = in.LayerName, in.VersionNumber
	case *api.AddLayerVersionPermissionInput:
		name, number = in.LayerName, in.VersionNumber
	case *api.RemoveLayerVersionPermissionInput:
		name, number = in.LayerName, in.VersionNumber
	case *api.GetLayerVersionPolicyInput:
		name, number = in.LayerName, in.VersionNumber
	case *api.GetLayerVersionByArnInput:
		return in.Arn
	default:
		return "*"
	}
	id, err := s.layer(ctx, name)
	if err != nil {
		return "*" // the operation itself refuses the name
	}
	if id.Version = number; number == 0 {
		return id.LayerARN()
	}
	return id.ARN()
}

func (s *Service) layer(ctx context.Context, name string) (faas.LayerID, error) {
	_, scope := s.cfg.Caller(ctx)
	return parseLayer(scope, name)
}

// ownLayer is layer for what only the owner may do.
func (s *Service) ownLayer(ctx context.Context, action, name string) (faas.LayerID, error) {
	caller, scope := s.cfg.Caller(ctx)
	id, err := parseLayer(scope, name)
	if err == nil && id.Account != scope.Account {
		err = notGranted(caller, action, id.LayerARN())
	}
	return id, err
}

func (s *Service) ownVersion(ctx context.Context, action, name string, number int64) (faas.LayerID, error) {
	id, err := s.ownLayer(ctx, action, name)
	if err == nil && number < 1 {
		err = faas.Errorf(faas.Invalid, "Layer Version Cannot be less than 1.")
	}
	id.Version = number
	return id, err
}

func notGranted(caller, action, arn string) error {
	return faas.Errorf(faas.Denied, "User: %s is not authorized to perform: lambda:%s on resource: %s because no resource-based policy allows the lambda:%s action",
		caller, action, arn, action)
}

// PublishLayerVersion implements api.Service.
func (s *Service) PublishLayerVersion(ctx context.Context, in *api.PublishLayerVersionInput) (*api.PublishLayerVersionOutput, error) {
	id, err := s.ownLayer(ctx, "PublishLayerVersion", in.LayerName)
	if err != nil {
		return nil, err
	}
	if err := checkZip("Content.ZipFile", value(in.Content).ZipFile); err != nil {
		return nil, err
	}
	code, err := s.cfg.Packages.Put(ctx, in.Content.ZipFile)
	if err != nil {
		return nil, err
	}
	l, err := s.cfg.Layers.PublishLayer(ctx, registry.Layer{ID: id, Description: value(in.Description), License: value(in.LicenseInfo), Code: code,
		Runtimes: in.CompatibleRuntimes, Architectures: in.CompatibleArchitectures})
	if err != nil {
		return nil, err
	}
	out := api.PublishLayerVersionOutput(*s.layerVersion(ctx, l))
	return &out, nil
}

// layerVersion writes a layer version as the API reports it.
func (s *Service) layerVersion(ctx context.Context, l *registry.Layer) *api.GetLayerVersionResponse {
	item := layerItem(l)
	return &api.GetLayerVersionResponse{
		Content: &api.LayerVersionContentOutput{
			Location: ptr(s.cfg.Location(ctx, l.Code.SHA256)), CodeSha256: ptr(codeSHA(l.Code.SHA256)), CodeSize: ptr(l.Code.Size),
		},
		LayerArn: ptr(l.ID.LayerARN()), LayerVersionArn: item.LayerVersionArn, Description: item.Description, CreatedDate: item.CreatedDate,
		Version: item.Version, CompatibleRuntimes: item.CompatibleRuntimes, CompatibleArchitectures: item.CompatibleArchitectures, LicenseInfo: item.LicenseInfo,
	}
}

func layerItem(l *registry.Layer) *api.LayerVersionsListItem {
	item := &api.LayerVersionsListItem{
		LayerVersionArn: ptr(l.ID.ARN()), Version: ptr(l.ID.Version), Description: ptr(l.Description), CompatibleRuntimes: l.Runtimes,
		CompatibleArchitectures: l.Architectures, CreatedDate: ptr(l.Created.UTC().Format("2006-01-02T15:04:05.000-0700")),
	}
	if l.License != "" {
		item.LicenseInfo = ptr(l.License)
	}
	return item
}

// GetLayerVersion implements api.Service.
func (s *Service) GetLayerVersion(ctx context.Context, in *api.GetLayerVersionInput) (*api.GetLayerVersionResponse, error) {
	id, err := s.layer(ctx, in.LayerName)
	if err != nil {
		return nil, err
	}
	if in.VersionNumber < 1 {
		return nil, faas.Errorf(faas.Invalid, "Layer Version Cannot be less than 1.")
	}
	id.Version = in.VersionNumber
	l, err := s.readable(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.layerVersion(ctx, l), nil
}

// GetLayerVersionByArn implements api.Service.
func (s *Service) GetLayerVersionByArn(ctx context.Context, in *api.GetLayerVersionByArnInput) (*api.GetLayerVersionResponse, error) {
	id, err := parseLayerVersion("Arn", in.Arn)
	if err != nil {
		return nil, err
	}
	if _, scope := s.cfg.Caller(ctx); id.Region != scope.Region {
		return nil, faas.Errorf(faas.NotFound, "Layers from '%s' are not reachable in this region ('%s')", id.Region, scope.Region)
	}
	l, err := s.readable(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.layerVersion(ctx, l), nil
}

// readable returns a layer version that the caller's account may use. Of another account's, what is missing and what is not
// granted look the same.
func (s *Service) readable(ctx context.Context, id faas.LayerID) (*registry.Layer, error) {
	caller, scope := s.cfg.Caller(ctx)
	l, err := s.cfg.Layers.Layer(id)
	if id.Account != scope.Account && (err != nil || !l.Readable(scope.Account)) {
		return nil, notGranted(caller, "GetLayerVersion", id.ARN())
	}
	return l, err
}

// DeleteLayerVersion implements api.Service.
func (s *Service) DeleteLayerVersion(ctx context.Context, in *api.DeleteLayerVersionInput) (*api.DeleteLayerVersionOutput, error) {
	id, err := s.ownVersion(ctx, "DeleteLayerVersion", in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Layers.DeleteLayer(ctx, id); err != nil {
		return nil, err
	}
	return &api.DeleteLayerVersionOutput{}, nil
}

// layerFilter reports whether a layer names the runtime and the architecture, those that are given.
func layerFilter(runtime, architecture *string) func(*registry.Layer) bool {
	r, a := value(runtime), value(architecture)
	return func(l *registry.Layer) bool {
		return (r == "" || slices.Contains(l.Runtimes, r)) && (a == "" || slices.Contains(l.Architectures, a))
	}
}

// ListLayers implements api.Service. The marker is the last name of the page before.
func (s *Service) ListLayers(ctx context.Context, in *api.ListLayersInput) (*api.ListLayersOutput, error) {
	_, scope := s.cfg.Caller(ctx)
	size, matches := pageSize(in.MaxItems), layerFilter(in.CompatibleRuntime, in.CompatibleArchitecture)
	out := &api.ListLayersOutput{Layers: []api.LayersListItem{}}
	s.cfg.Layers.LayerNames(scope, value(in.Marker), func(name string) bool {
		s.cfg.Layers.LayerVersions(scope, name, 0, func(l *registry.Layer) bool {
			if !matches(l) {
				return true
			}
			if n := len(out.Layers); n == size {
				out.NextMarker = out.Layers[n-1].LayerName
			} else {
				out.Layers = append(out.Layers, api.LayersListItem{LayerName: ptr(name), LayerArn: ptr(l.ID.LayerARN()), LatestMatchingVersion: layerItem(l)})
			}
			return false
		})
		return out.NextMarker == nil
	})
	return out, nil
}

// ListLayerVersions implements api.Service. The marker is the last number of the page before; the newest comes first.
func (s *Service) ListLayerVersions(ctx context.Context, in *api.ListLayerVersionsInput) (*api.ListLayerVersionsOutput, error) {
	id, err := s.ownLayer(ctx, "ListLayerVersions", in.LayerName)
	if err != nil {
		return nil, err
	}
	var before int64
	if m := value(in.Marker); m != "" {
		if before, err = strconv.ParseInt(m, 10, 64); err != nil || before < 1 {
			return nil, faas.Errorf(faas.Invalid, "Marker: it must be the NextMarker of the page before")
		}
	}
	size, matches := pageSize(in.MaxItems), layerFilter(in.CompatibleRuntime, in.CompatibleArchitecture)
	out := &api.ListLayerVersionsOutput{LayerVersions: []api.LayerVersionsListItem{}}
	s.cfg.Layers.LayerVersions(id.Scope, id.Name, before, func(l *registry.Layer) bool {
		if !matches(l) {
			return true
		}
		if n := len(out.LayerVersions); n == size {
			out.NextMarker = ptr(strconv.FormatInt(*out.LayerVersions[n-1].Version, 10))
			return false
		}
		out.LayerVersions = append(out.LayerVersions, *layerItem(l))
		return true
	})
	return out, nil
}
