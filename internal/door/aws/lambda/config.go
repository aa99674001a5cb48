package lambda

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	contract "artesian/internal/compute/lang/lambda"
	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/faas"
)

var envName = regexp.MustCompile(`^[a-zA-Z]([a-zA-Z0-9_])+$`)

// settings are the members that create and update share; nil leaves a setting as it is.
type settings struct {
	description, handler, role, runtime *string
	memory, timeout                     *int32
	environment                         *api.Environment
	tmp                                 *api.EphemeralStorage
	tracing                             *api.TracingConfig
	logging                             *api.LoggingConfig
	snapStart                           *api.SnapStart
	deadLetter                          *api.DeadLetterConfig
}

// apply writes the settings that are given into v. The model's own constraints (ranges, patterns, lengths) hold already.
func (s settings) apply(v *faas.Version) error {
	set(&v.Description, s.description)
	set(&v.Handler, s.handler)
	set(&v.Role, s.role)
	set(&v.Runtime, s.runtime)
	if s.memory != nil {
		v.MemoryMB = int(*s.memory)
	}
	if s.timeout != nil {
		v.Timeout = time.Duration(*s.timeout) * time.Second
	}
	if s.tmp != nil {
		v.TmpMB = int(s.tmp.Size)
	}
	if s.environment != nil {
		if err := checkEnv(s.environment.Variables); err != nil {
			return err
		}
		v.Env = maps.Clone(s.environment.Variables)
	}
	if s.tracing != nil && value(s.tracing.Mode) != "" {
		v.Tracing = value(s.tracing.Mode)
	}
	if s.logging != nil {
		s.applyLogging(v)
	}
	if s.snapStart != nil && value(s.snapStart.ApplyOn) != "" {
		v.SnapStart = value(s.snapStart.ApplyOn) == "PublishedVersions"
	}
	if s.deadLetter != nil && value(s.deadLetter.TargetArn) != "" {
		return refused("DeadLetterConfig.TargetArn", "a target", "none")
	}
	return checkVersion(v)
}

func (s settings) applyLogging(v *faas.Version) {
	l := &v.Logging
	set(&l.Group, s.logging.LogGroup)
	if f := value(s.logging.LogFormat); f != "" {
		l.Format = f
		if f == "Text" {
			l.ApplicationLevel, l.SystemLevel = "", ""
		}
	}
	set(&l.ApplicationLevel, s.logging.ApplicationLogLevel)
	set(&l.SystemLevel, s.logging.SystemLogLevel)
}

// checkTimeout holds the bound that is configured, in the words that the model's own would have.
func (s *Service) checkTimeout(seconds *int32) error {
	most := int64(s.cfg.MaxTimeout / time.Second)
	if seconds == nil || int64(*seconds) <= most {
		return nil
	}
	return &faas.Error{Kind: faas.Invalid, Code: "ValidationException", Message: fmt.Sprintf("1 validation error detected: Value '%d' at "+
		"'timeout' failed to satisfy constraint: Member must have value less than or equal to %d", *seconds, most)}
}

// checkVersion holds what the model's constraints can't say.
func checkVersion(v *faas.Version) error {
	if v.TmpMB > faas.MaxTmpMB { // the model allows more, for functions on instances of one's own
		return &faas.Error{Kind: faas.Invalid, Code: "ValidationException", Message: fmt.Sprintf("1 validation error detected: Value '%d' at "+
			"'ephemeralStorage.size' failed to satisfy constraint: Member must have value less than or equal to %d", v.TmpMB, faas.MaxTmpMB)}
	}
	if v.Handler == "" && !strings.HasPrefix(v.Runtime, "provided") {
		return faas.Errorf(faas.Invalid, "Handler is required for functions with the runtime %s", v.Runtime)
	}
	if v.Logging.Format == "Text" && (v.Logging.ApplicationLevel != "" || v.Logging.SystemLevel != "") {
		return faas.Errorf(faas.Invalid, "LoggingConfig.ApplicationLogLevel and LoggingConfig.SystemLogLevel are allowed with the LogFormat JSON only")
	}
	return nil
}

func checkEnv(env map[string]string) error {
	total := 0
	for _, k := range slices.Sorted(maps.Keys(env)) {
		if contract.Reserved(k) {
			return faas.Errorf(faas.Invalid, "Lambda was unable to configure your environment variables because the environment variables you have provided "+
				"contains reserved keys that are currently not supported for modification. Reserved keys used in this request: %s", k)
		}
		if !envName.MatchString(k) {
			return faas.Errorf(faas.Invalid, "Environment.Variables: %q is not a name: a letter and at least one of a-z, A-Z, 0-9 and _ are allowed", k)
		}
		if strings.ContainsRune(env[k], 0) {
			return faas.Errorf(faas.Invalid, "Environment.Variables: the value of %s contains a zero byte", k)
		}
		total += len(k) + len(env[k])
	}
	if total > faas.MaxEnvBytes {
		return faas.Errorf(faas.Invalid, "Lambda was unable to configure your environment variables because the environment variables you have provided "+
			"exceeded the 4KB limit. String measured: %d bytes", total)
	}
	return nil
}

// checkZip refuses what is no package at a glance. member is where the request has it.
func checkZip(member string, zip []byte) error {
	if len(zip) == 0 {
		return faas.Errorf(faas.Invalid, "%s is required: please provide a source for function code.", member)
	}
	if len(zip) > faas.MaxZipBytes {
		return faas.Errorf(faas.Invalid, "%s: Zipped size must be smaller than %d bytes", member, faas.MaxZipBytes)
	}
	return nil
}

// Architecture is this machine's, in the service's words.
func Architecture() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

func checkArchitectures(list []string) error {
	if len(list) == 0 || len(list) == 1 && list[0] == Architecture() {
		return nil
	}
	return refused("Architectures", strings.Join(list, ", "), Architecture()+", which is this machine's")
}

// refused is the answer to a member that is not honoured here.
func refused(member, got, allowed string) error {
	return faas.Errorf(faas.Unsupported, "%s: %s is not supported by this platform; allowed is %s", member, got, allowed)
}

// configuration writes a version as the API reports it. Its ARN carries the qualifier, if there is one.
func configuration(v *faas.Version, qualifier string) *api.FunctionConfiguration {
	arn := invokedARN(v.ID.FunctionID, qualifier)
	c := &api.FunctionConfiguration{
		FunctionName:     ptr(v.ID.Name),
		FunctionArn:      &arn,
		Runtime:          ptr(v.Runtime),
		Role:             ptr(v.Role),
		CodeSize:         ptr(v.Code.Size),
		Description:      ptr(v.Description),
		Timeout:          ptr(int32(v.Timeout / time.Second)),
		MemorySize:       ptr(int32(v.MemoryMB)),
		LastModified:     ptr(v.Modified.UTC().Format("2006-01-02T15:04:05.000-0700")),
		CodeSha256:       ptr(codeSHA(v.Code.SHA256)),
		Version:          ptr(v.ID.Version),
		TracingConfig:    &api.TracingConfigResponse{Mode: ptr(v.Tracing)},
		RevisionId:       ptr(v.ID.Revision),
		State:            ptr(string(v.State)),
		LastUpdateStatus: ptr(string(v.Update)),
		PackageType:      ptr("Zip"),
		Architectures:    []string{v.Architecture},
		EphemeralStorage: &api.EphemeralStorage{Size: int32(v.TmpMB)},
		SnapStart:        snapStart(v),
		LoggingConfig:    loggingConfig(v.Logging),
		Layers:           layerList(v.Layers),
	}
	if v.PerTenant {
		c.TenancyConfig = &api.TenancyConfig{TenantIsolationMode: "PER_TENANT"}
	}
	if v.Handler != "" {
		c.Handler = ptr(v.Handler)
	}
	if len(v.Env) > 0 {
		c.Environment = &api.EnvironmentResponse{Variables: v.Env}
	}
	c.StateReason, c.StateReasonCode = said(v.StateReason), said(v.StateCode)
	c.LastUpdateStatusReason, c.LastUpdateStatusReasonCode = said(v.UpdateReason), said(v.UpdateCode)
	return c
}

// listed is what a list of functions tells of a version: not where it stands
// (https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html).
func listed(v *faas.Version, qualifier string) api.FunctionConfiguration {
	c := *configuration(v, qualifier)
	c.State, c.StateReason, c.StateReasonCode = nil, nil, nil
	c.LastUpdateStatus, c.LastUpdateStatusReason, c.LastUpdateStatusReasonCode = nil, nil, nil
	return c
}

func loggingConfig(l faas.Logging) *api.LoggingConfig {
	c := &api.LoggingConfig{LogFormat: ptr(l.Format), LogGroup: ptr(l.Group)}
	if l.Format == "JSON" {
		c.ApplicationLogLevel, c.SystemLogLevel = ptr(orDefault(l.ApplicationLevel)), ptr(orDefault(l.SystemLevel))
	}
	return c
}

func orDefault(level string) string {
	if level == "" {
		return "INFO"
	}
	return level
}

// codeSHA turns the store's hexadecimal hash into the base64 that the API uses.
func codeSHA(hexadecimal string) string {
	b, err := hex.DecodeString(hexadecimal)
	if err != nil {
		return fmt.Sprintf("invalid hash %q", hexadecimal)
	}
	return base64.StdEncoding.EncodeToString(b)
}

func ptr[T any](v T) *T { return &v }

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func set[T any](dst, src *T) {
	if src != nil {
		*dst = *src
	}
}
