// Package lambda answers AWS Lambda's API on the registry, the package store and the invoker.
package lambda

import (
	"context"
	"log/slog"
	"reflect"
	"time"

	"artesian/internal/compute/registry"
	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/faas"
)

// Functions is the book of functions.
type Functions interface {
	Get(id faas.FunctionID, qualifier string) (*registry.Record, error)
	List(scope faas.Scope, after string, limit int) []*registry.Record
	Versions(id faas.FunctionID) ([]*registry.Record, error)
	Create(ctx context.Context, v faas.Version, tags map[string]string, publish bool) (*registry.Record, error)
	Update(ctx context.Context, id faas.FunctionID, revision string, publish bool, mutate func(*registry.Record) error) (*registry.Record, error)
	Publish(ctx context.Context, id faas.FunctionID, revision, codeSHA256, description string) (*registry.Record, error)
	Tag(ctx context.Context, id faas.FunctionID, mutate func(map[string]string) error) error
	Delete(ctx context.Context, id faas.FunctionID, qualifier string) error
	Aliases
	Policies
	Reservations
	Provisions
	Events
	Loops
	Configure(ctx context.Context, id faas.FunctionID, mutate func(*registry.Record) error) (*registry.Record, error)
}

// Packages keeps deployment packages. Put answers only once a package is durable and has been judged whole.
type Packages interface {
	Put(ctx context.Context, zip []byte) (faas.Code, error)
	// Unpacked returns how many bytes the files of a package have together.
	Unpacked(ctx context.Context, sha256 string) (int64, error)
	// Measure is Unpacked for a package that is not stored.
	Measure(ctx context.Context, zip []byte) (int64, error)
	// Layers merges layers, so that the first instance need not, and refuses what can't be merged.
	Layers(ctx context.Context, layers []faas.Layer) (string, error)
}

// Invoker runs functions.
type Invoker interface {
	Invoke(ctx context.Context, inv faas.Invocation, out faas.Sink) error
	Concurrency() int
}

// Config of the service.
type Config struct {
	Functions Functions
	Layers    Layers
	Packages  Packages
	Invoker   Invoker
	// Serves says what serves a runtime identifier here, or why nothing does.
	Serves func(runtime string) (string, error)
	// Installs says what a runtime needs and is not here, nothing when it is ready: with wait it is being installed for a version
	// that is Pending, else functions run without it.
	Installs func(runtime string) (reason string, wait bool)
	// Remark says what a tenant should know of an Active version beside its record, in words; nil: nothing.
	Remark func(v *faas.Version) string
	// AssumableRole refuses a role that does not exist or that functions may not assume.
	AssumableRole func(account, arn string) error
	// Internet says why a function cannot have what it chose by faas.InternetTag here; nil when it can.
	Internet func(choice string) error
	// SnapStart says why no version can go on from an image here; nil when it can.
	SnapStart func() error
	// Caller says who is calling, for which account and region.
	Caller func(ctx context.Context) (arn string, scope faas.Scope)
	// Trace returns the trace header that the caller sent, or nothing.
	Trace func(ctx context.Context) string
	// Location makes a URL from which the caller can download a package for ten minutes.
	Location func(ctx context.Context, sha256 string) string
	// Provisioned says how far the node is with the instances that are kept ready under a qualifier.
	Provisioned func(rec *registry.Record, qualifier string) Provisioned
	// URL makes the URL by which the caller reaches the function's URL of an id.
	URL func(ctx context.Context, id, region string) string
	// MaxTimeout is the longest that a function may be given.
	MaxTimeout time.Duration
	Now        func() time.Time
	Logger     *slog.Logger
}

// Service implements api.Service.
type Service struct{ cfg Config }

// New returns the service.
func New(cfg Config) *Service { return &Service{cfg: cfg} }

var _ api.Service = (*Service)(nil)

// Resource returns the ARN that an operation is about, for authorisation.
func (s *Service) Resource(ctx context.Context, _ string, input any) string {
	name, qualifier := "", (*string)(nil)
	switch in := input.(type) {
	case *api.CreateFunctionInput:
		name = in.FunctionName
	case *api.GetFunctionInput:
		name, qualifier = in.FunctionName, in.Qualifier
	case *api.GetFunctionConfigurationInput:
		name, qualifier = in.FunctionName, in.Qualifier
	case *api.UpdateFunctionCodeInput:
		name = in.FunctionName
	case *api.UpdateFunctionConfigurationInput:
		name = in.FunctionName
	case *api.DeleteFunctionInput:
		name, qualifier = in.FunctionName, in.Qualifier
	case *api.InvokeInput:
		name, qualifier = in.FunctionName, in.Qualifier
	case *api.InvokeWithResponseStreamInput:
		name, qualifier = in.FunctionName, in.Qualifier
	case *api.CreateFunctionUrlConfigInput:
		name, qualifier = in.FunctionName, in.Qualifier
	case *api.GetFunctionUrlConfigInput:
		name, qualifier = in.FunctionName, in.Qualifier
	case *api.UpdateFunctionUrlConfigInput:
		name, qualifier = in.FunctionName, in.Qualifier
	case *api.DeleteFunctionUrlConfigInput:
		name, qualifier = in.FunctionName, in.Qualifier
	case *api.ListFunctionUrlConfigsInput:
		name = in.FunctionName
	case *api.PublishVersionInput:
		name = in.FunctionName
	case *api.ListVersionsByFunctionInput:
		name = in.FunctionName
	case *api.ListTagsInput:
		name = in.Resource
	case *api.TagResourceInput:
		name = in.Resource
	case *api.UntagResourceInput:
		name = in.Resource
	default:
		if name, qualifier = named(input); name == "" { // about no function
			return s.layerResource(ctx, input)
		}
	}
	id, q, err := s.name(ctx, name, qualifier)
	if err != nil {
		return "*" // the operation itself refuses the name
	}
	return invokedARN(id, q)
}

// named finds the function's name and the qualifier in an operation's input.
func named(input any) (name string, qualifier *string) {
	in := reflect.Indirect(reflect.ValueOf(input))
	text := func(field string) *string {
		switch f := in.FieldByName(field); {
		case f.IsValid() && f.Kind() == reflect.String:
			return ptr(f.String())
		case f.IsValid() && f.Type() == reflect.TypeFor[*string]():
			return f.Interface().(*string)
		}
		return nil
	}
	return value(text("FunctionName")), text("Qualifier")
}

func (s *Service) name(ctx context.Context, name string, qualifier *string) (faas.FunctionID, string, error) {
	_, scope := s.cfg.Caller(ctx)
	return parseName(scope, name, value(qualifier))
}

// CreateFunction implements api.Service.
func (s *Service) CreateFunction(ctx context.Context, in *api.CreateFunctionInput) (*api.CreateFunctionOutput, error) {
	id, qualifier, err := s.name(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	if qualifier != "" {
		return nil, invalidName(in.FunctionName)
	}
	v := faas.Version{
		ID:           faas.VersionID{FunctionID: id},
		MemoryMB:     faas.DefaultMemoryMB,
		Timeout:      faas.DefaultTimeout,
		TmpMB:        faas.DefaultTmpMB,
		Architecture: Architecture(),
		Tracing:      "PassThrough",
		PerTenant:    in.TenancyConfig != nil, // it has one mode
		Logging:      faas.Logging{Group: "/aws/lambda/" + id.Name, Format: "Text"},
		State:        faas.Active,
		Update:       faas.Successful,
	}
	if err := s.checkTimeout(in.Timeout); err != nil {
		return nil, err
	}
	if err := checkArchitectures(in.Architectures); err != nil {
		return nil, err
	}
	if p := value(in.PackageType); p != "" && p != "Zip" {
		return nil, refused("PackageType", p, "Zip")
	}
	if in.Runtime == nil {
		return nil, faas.Errorf(faas.Invalid, "Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	if err := checkZip("Code.ZipFile", value(in.Code).ZipFile); err != nil {
		return nil, err
	}
	if err := (settings{description: in.Description, handler: in.Handler, role: &in.Role, runtime: in.Runtime, memory: in.MemorySize,
		timeout: in.Timeout, environment: in.Environment, tmp: in.EphemeralStorage, tracing: in.TracingConfig,
		logging: in.LoggingConfig, snapStart: in.SnapStart, deadLetter: in.DeadLetterConfig}).apply(&v); err != nil {
		return nil, err
	}
	if err := s.checkSnapStart(&v); err != nil {
		return nil, err
	}
	if err := s.checkServed(ctx, &v); err != nil {
		return nil, err
	}
	if v.Layers, err = s.resolveLayers(ctx, in.Layers); err != nil {
		return nil, err
	}
	if err := s.checkTags(in.Tags); err != nil {
		return nil, err
	}
	if err := checkShared(&v, in.Tags[faas.ConcurrencyTag]); err != nil {
		return nil, err
	}
	s.stand(&v, "")
	if _, err := s.cfg.Functions.Get(id, ""); err == nil { // spares the upload; Create decides
		return nil, &faas.Error{Kind: faas.Conflict, Op: "create function", Message: "Function already exist: " + id.Name}
	}
	if err := s.checkUnpacked(ctx, v.Layers, s.uploaded(ctx, in.Code.ZipFile)); err != nil {
		return nil, err
	}
	if v.Code, err = s.cfg.Packages.Put(ctx, in.Code.ZipFile); err != nil {
		return nil, err
	}
	rec, err := s.cfg.Functions.Create(ctx, v, in.Tags, value(in.Publish))
	if err != nil {
		return nil, err
	}
	return configuration(&rec.Version, published(rec, in.Publish)), nil
}

// published is the qualifier of what an operation made: the version's when it was to be published.
func published(rec *registry.Record, publish *bool) string {
	if value(publish) {
		return rec.Version.ID.Version
	}
	return ""
}

// checkServed refuses what would be accepted now and fail at every call.
func (s *Service) checkServed(ctx context.Context, v *faas.Version) error {
	served, err := s.cfg.Serves(v.Runtime)
	if err != nil {
		return err
	}
	s.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "runtime found", slog.String("function", v.ID.Name), slog.String("runtime", v.Runtime),
		slog.String("served_by", served), slog.String("request_id", faas.RequestID(ctx)))
	if err := s.cfg.AssumableRole(v.ID.Account, v.Role); err != nil {
		return &faas.Error{Kind: faas.Invalid, Op: "check role", Message: "The role defined for the function cannot be assumed by Lambda. " + faas.Message(err) + "."}
	}
	return nil
}

// GetFunction implements api.Service.
func (s *Service) GetFunction(ctx context.Context, in *api.GetFunctionInput) (*api.GetFunctionOutput, error) {
	rec, qualifier, err := s.get(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	out := &api.GetFunctionOutput{
		Configuration: s.told(&rec.Version, qualifier),
		Code:          &api.FunctionCodeLocation{RepositoryType: ptr("S3"), Location: ptr(s.cfg.Location(ctx, rec.Version.Code.SHA256))},
	}
	if latest, err := s.cfg.Functions.Get(rec.Version.ID.FunctionID, ""); err == nil && len(latest.Tags) > 0 {
		out.Tags = latest.Tags
	}
	if n := s.reservation(rec.Version.ID.FunctionID); n != nil && qualifier == "" {
		out.Concurrency = &api.Concurrency{ReservedConcurrentExecutions: n}
	}
	return out, nil
}

// GetFunctionConfiguration implements api.Service.
func (s *Service) GetFunctionConfiguration(ctx context.Context, in *api.GetFunctionConfigurationInput) (*api.GetFunctionConfigurationOutput, error) {
	rec, qualifier, err := s.get(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return s.told(&rec.Version, qualifier), nil
}

func (s *Service) get(ctx context.Context, name string, qualifier *string) (*registry.Record, string, error) {
	id, q, err := s.name(ctx, name, qualifier)
	if err != nil {
		return nil, "", err
	}
	rec, err := s.cfg.Functions.Get(id, q)
	return rec, q, err
}

// UpdateFunctionCode implements api.Service.
func (s *Service) UpdateFunctionCode(ctx context.Context, in *api.UpdateFunctionCodeInput) (*api.UpdateFunctionCodeOutput, error) {
	id, err := s.latest(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if err := checkArchitectures(in.Architectures); err != nil {
		return nil, err
	}
	old, err := s.cfg.Functions.Get(id, "")
	if err != nil {
		return nil, err
	}
	if err := checkZip("ZipFile", in.ZipFile); err != nil {
		return nil, err
	}
	if r := value(in.RevisionId); r != "" && r != old.Version.ID.Revision { // spares the upload; Update decides
		return nil, &faas.Error{Kind: faas.Precondition, Op: "update code", Message: registry.StaleRevision}
	}
	if err := s.checkUnpacked(ctx, old.Version.Layers, s.uploaded(ctx, in.ZipFile)); err != nil {
		return nil, err
	}
	code, err := s.cfg.Packages.Put(ctx, in.ZipFile)
	if err != nil {
		return nil, err
	}
	if value(in.DryRun) {
		v := old.Version
		v.Code = code
		return configuration(&v, ""), nil
	}
	rec, err := s.cfg.Functions.Update(ctx, id, value(in.RevisionId), value(in.Publish), func(r *registry.Record) error {
		r.Version.Code = code
		s.stand(&r.Version, r.Version.Runtime)
		return s.checkUnpacked(ctx, r.Version.Layers, s.stored(ctx, &r.Version)) // the layers may have changed since
	})
	if err != nil {
		return nil, err
	}
	return configuration(&rec.Version, published(rec, in.Publish)), nil
}

// UpdateFunctionConfiguration implements api.Service.
func (s *Service) UpdateFunctionConfiguration(ctx context.Context, in *api.UpdateFunctionConfigurationInput) (*api.UpdateFunctionConfigurationOutput, error) {
	id, err := s.latest(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if err := s.checkTimeout(in.Timeout); err != nil {
		return nil, err
	}
	rec, err := s.cfg.Functions.Update(ctx, id, value(in.RevisionId), false, func(r *registry.Record) error {
		before := r.Version.Runtime
		if err := (settings{description: in.Description, handler: in.Handler, role: in.Role, runtime: in.Runtime, memory: in.MemorySize,
			timeout: in.Timeout, environment: in.Environment, tmp: in.EphemeralStorage, tracing: in.TracingConfig,
			logging: in.LoggingConfig, snapStart: in.SnapStart, deadLetter: in.DeadLetterConfig}).apply(&r.Version); err != nil {
			return err
		}
		if err := s.checkSnapStart(&r.Version); err != nil {
			return err
		}
		if err := s.changeLayers(ctx, &r.Version, in.Layers); err != nil {
			return err
		}
		if err := checkShared(&r.Version, r.Tags[faas.ConcurrencyTag]); err != nil {
			return err
		}
		s.stand(&r.Version, before)
		if in.Runtime == nil && in.Role == nil {
			return nil
		}
		return s.checkServed(ctx, &r.Version)
	})
	if err != nil {
		return nil, err
	}
	return configuration(&rec.Version, ""), nil
}

// latest accepts a name without a qualifier, or with the one of the version that can change.
func (s *Service) latest(ctx context.Context, name string) (faas.FunctionID, error) {
	id, q, err := s.name(ctx, name, nil)
	if err != nil {
		return id, err
	}
	if q != "" && q != faas.Latest {
		return id, faas.Errorf(faas.Invalid, "FunctionName: a published version can't be changed; leave out :%s", q)
	}
	return id, nil
}

// DeleteFunction implements api.Service.
func (s *Service) DeleteFunction(ctx context.Context, in *api.DeleteFunctionInput) (*api.DeleteFunctionOutput, error) {
	id, q, err := s.name(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if q == faas.Latest {
		return nil, faas.Errorf(faas.Invalid, "$LATEST version cannot be deleted without deleting the function.")
	}
	if _, err := s.cfg.Functions.Alias(id, q); q != "" && err == nil {
		return nil, faas.Errorf(faas.Invalid, "Qualifier: %s is an alias, which DeleteAlias deletes; a version is deleted by its number", q)
	}
	if err := s.cfg.Functions.Delete(ctx, id, q); err != nil {
		return nil, err
	}
	return &api.DeleteFunctionOutput{StatusCode: ptr(int32(204))}, nil
}

// PublishVersion implements api.Service.
func (s *Service) PublishVersion(ctx context.Context, in *api.PublishVersionInput) (*api.PublishVersionOutput, error) {
	id, err := s.latest(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	sha, err := parseCodeSHA(value(in.CodeSha256))
	if err != nil {
		return nil, err
	}
	rec, err := s.cfg.Functions.Publish(ctx, id, value(in.RevisionId), sha, value(in.Description))
	if err != nil {
		return nil, err
	}
	return configuration(&rec.Version, rec.Version.ID.Version), nil
}

// GetAccountSettings implements api.Service.
func (s *Service) GetAccountSettings(ctx context.Context, _ *api.GetAccountSettingsInput) (*api.GetAccountSettingsOutput, error) {
	_, scope := s.cfg.Caller(ctx)
	var count, size int64
	after := ""
	for {
		page := s.cfg.Functions.List(scope, after, 1000)
		for _, rec := range page {
			count, size, after = count+1, size+rec.Version.Code.Size, rec.Version.ID.Name
		}
		if len(page) < 1000 {
			break
		}
	}
	n := int32(s.cfg.Invoker.Concurrency())
	unreserved := n - int32(s.cfg.Functions.Reserved(scope))
	return &api.GetAccountSettingsOutput{
		AccountLimit: &api.AccountLimit{
			TotalCodeSize: ptr[int64](75 << 30), CodeSizeUnzipped: ptr[int64](faas.MaxUnpackedBytes), CodeSizeZipped: ptr[int64](faas.MaxZipBytes),
			ConcurrentExecutions: &n, UnreservedConcurrentExecutions: &unreserved,
		},
		AccountUsage: &api.AccountUsage{FunctionCount: &count, TotalCodeSize: &size},
	}, nil
}
