package lambda

import (
	"net/http"
	"strings"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// Neighbourly is a sandbox with extensions: what a session of the Runtime API serves beside that API, on the same listener, and
// how many connections more that takes.
type Neighbourly interface {
	sandbox.Sandbox
	Neighbours() (h http.Handler, connections int)
}

// shell is among the tools that functions find.
const shell = "/usr/bin/sh"

// APIVariable names the variable with the address of the Runtime API and its neighbours.
const APIVariable = "AWS_LAMBDA_RUNTIME_API"

// APIAddress is where sandbox id finds them.
func APIAddress(id string) string { return apiAddress(id) }

// hidden are the variables of a runtime that extensions do not get:
// https://docs.aws.amazon.com/lambda/latest/dg/extensions-configuration.html
var hidden = []string{"AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_XRAY_CONTEXT_MISSING",
	"AWS_XRAY_DAEMON_ADDRESS", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "_AWS_XRAY_DAEMON_ADDRESS", "_AWS_XRAY_DAEMON_PORT", "_HANDLER"}

// ExtensionEnv is what an extension gets of a runtime's environment.
func ExtensionEnv(runtime []string) []string {
	var env []string
next:
	for _, kv := range runtime {
		for _, name := range hidden {
			if strings.HasPrefix(kv, name+"=") {
				continue next
			}
		}
		env = append(env, kv)
	}
	return env
}

// Outcome classifies the end of an initialisation, or of a call that broke, as events have it.
func Outcome(err error) (status, kind string) { return outcome(err) }

// Status classifies the end of a call.
func Status(f *lang.Failure) (status, kind string) { return statusOf(f) }

// CrashFailure is the answer of an invocation whose instance an extension ended.
func CrashFailure(id string, e *lang.Crashed) *lang.Failure {
	return ofRequest(id, e.Type, "%s", e.Reason)
}

// ExtensionLines tells where an extension stands once an instance is initialised.
func ExtensionLines(v *faas.Version, name, state string, events []string, at time.Time) []string {
	if !isJSON(v) {
		return []string{"EXTENSION\tName: " + name + "\tState: " + state + "\tEvents: [" + strings.Join(events, ", ") + "]"}
	}
	return event(v, at, levelInfo, "platform.extension", record{Name: name, State: state, Events: events})
}

// Executable says why the kernel would not execute a program inside; nothing when it would.
func Executable(mounts []sandbox.Mount, program string) string {
	v := view(mounts)
	file, err := v.find(program)
	if err == nil {
		err = v.executable(file, 0)
	}
	if err != nil {
		return "fork/exec " + program + ": " + err.Error()
	}
	return ""
}

// Gate has the main process of spec wait until a line comes by its channel, and begin then: a shell waits in its place, and is what it
// executes. It reports false, and changes nothing, where there is no shell. A channel that the process has no use for is closed before.
func Gate(spec *sandbox.Spec) bool {
	if Executable(spec.Mounts, shell) != "" {
		return false
	}
	begin := `read -r _ <&3; unset PWD OLDPWD SHLVL; exec "$@"`
	if !spec.Channel {
		begin += " 3<&-"
	}
	spec.Argv = append([]string{shell, "-c", begin, "sh"}, spec.Argv...)
	spec.Channel = true
	return true
}
