// Package lambda holds what AWS Lambda made public: the Runtime API that custom runtimes speak, the environment of a
// function, and the forms of its platform's log lines and error documents.
package lambda

import (
	"slices"
	"strconv"
	"strings"

	"artesian/internal/faas"
)

// Where things are inside a sandbox, as on Lambda.
const (
	TaskRoot   = "/var/task"
	RuntimeDir = "/var/runtime"
	LangDir    = "/var/lang"
	LayerDir   = "/opt"
)

// base is what a function may override.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
var base = [...]string{
	"LANG=en_US.UTF-8",
	"TZ=:UTC",
	"PATH=/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
	"LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
	"AWS_XRAY_CONTEXT_MISSING=LOG_ERROR",
}

// endpoint begins the names by which SDKs are told where services are: AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3, …
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
const endpoint = "AWS_ENDPOINT_URL"

// Env returns the environment of one instance of v whose output goes to log stream stream. What is in given wins; then
// the platform's own variables, then the function's, then those of its language, then the defaults. But a function may
// send its SDK elsewhere: its own endpoints win over those in given.
func Env(given []string, v faas.Version, stream string, language ...string) []string {
	given = slices.DeleteFunc(slices.Clone(given), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		_, own := v.Env[name]
		return own && strings.HasPrefix(name, endpoint)
	})
	env := newEnviron(given, len(v.Env)+32)
	env.add("_HANDLER", v.Handler)
	env.add("LAMBDA_TASK_ROOT", TaskRoot)
	env.add("LAMBDA_RUNTIME_DIR", RuntimeDir)
	env.add("AWS_REGION", v.ID.Region)
	env.add("AWS_DEFAULT_REGION", v.ID.Region)
	env.add("AWS_LAMBDA_FUNCTION_NAME", v.ID.Name)
	env.add("AWS_LAMBDA_FUNCTION_VERSION", v.ID.Version)
	env.add("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", strconv.Itoa(v.MemoryMB))
	env.add("AWS_LAMBDA_LOG_GROUP_NAME", v.Logging.Group)
	env.add("AWS_LAMBDA_LOG_STREAM_NAME", stream)
	env.add("AWS_LAMBDA_INITIALIZATION_TYPE", InitializationType(&v))
	if v.Logging.Format == "JSON" {
		env.add("AWS_LAMBDA_LOG_FORMAT", "JSON")
		level := v.Logging.ApplicationLevel
		if level == "" {
			level = "INFO"
		}
		env.add("AWS_LAMBDA_LOG_LEVEL", level)
	}
	names := make([]string, 0, len(v.Env))
	for name := range v.Env {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		env.add(name, v.Env[name])
	}
	for _, kv := range append(language, base[:]...) {
		name, value, _ := strings.Cut(kv, "=")
		env.add(name, value)
	}
	return env.list
}

// environ is a list of variables in which the first of a name wins.
type environ struct {
	list []string
	have map[string]bool
}

func newEnviron(given []string, more int) *environ {
	e := &environ{list: make([]string, 0, len(given)+more), have: make(map[string]bool, len(given)+more)}
	for _, kv := range given {
		name, value, _ := strings.Cut(kv, "=")
		e.add(name, value)
	}
	return e
}

func (e *environ) add(name, value string) {
	if !e.have[name] {
		e.have[name] = true
		e.list = append(e.list, name+"="+value)
	}
}

// Reserved reports whether a function's configuration may not set variable name.
func Reserved(name string) bool { return slices.Contains(reserved[:], name) }

// reserved are the variables that the same page calls reserved, those that it allows to set (TZ, PATH, …) left out.
var reserved = [...]string{
	"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME",
	"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE",
	"AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID",
	"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
}

// SnapStarted is the InitializationType of versions with SnapStart.
const SnapStarted = "snap-start"

// InitializationType is how AWS Lambda calls the way in which an instance of v is made.
func InitializationType(v *faas.Version) string {
	if v.Held {
		return "provisioned-concurrency"
	}
	if v.SnapStart && v.ID.Version != faas.Latest {
		return SnapStarted
	}
	return "on-demand"
}
