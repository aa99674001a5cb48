// Package java runs Lambda functions for java identifiers on a JVM of this machine, by AWS's own runtime interface client,
// which speaks the Runtime API.
package java

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// JVM is a Java virtual machine of this machine and how it is shown inside a sandbox.
type JVM struct {
	Version string          // 17.0.15
	Major   int             // 17
	Path    string          // on the host
	Exec    string          // inside
	Mounts  []sandbox.Mount // itself, the libraries that it needs, what Install writes
	Build   string          // tells it from all others, and changes with any of its files
}

// Runtime is a lang.Runtime for one runtime identifier.
type Runtime struct {
	id   string
	jvm  JVM
	pack string
}

// clientDir is where the interface client is inside, as on Lambda.
const clientDir = lambda.RuntimeDir + "/lib"

// clientMain is the interface client's program.
const clientMain = "com.amazonaws.services.lambda.runtime.api.client.AWSLambda"

// New returns the runtime that serves identifier id, such as java21, by jvm, with the interface client's jars in folder
// pack. Without it, functions fail and say so.
func New(id string, jvm JVM, pack string) *Runtime { return &Runtime{id: id, jvm: jvm, pack: pack} }

// Served implements lang.Runtime. When another version than the one asked for serves, it says so.
func (r *Runtime) Served() string {
	s := "java " + r.jvm.Version + " (" + r.jvm.Path + ")"
	if name, _, _ := strings.Cut(r.id, "."); name != "java"+strconv.Itoa(r.jvm.Major) {
		s += " in place of " + r.id
	}
	return s
}

// Prepare implements lang.Runtime. The client itself puts the function's classes and jars on its class path: /var/task,
// /var/task/lib and /opt/java/lib.
func (r *Runtime) Prepare(spec *sandbox.Spec, v faas.Version, code, stream string) {
	r.mount(spec)
	spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: code, Target: lambda.TaskRoot})
	api := lambda.ListenAPI(spec)
	spec.Argv = []string{"/usr/bin/false"}
	if r.pack != "" {
		spec.Argv = r.argv(v.MemoryMB, v.Env["JAVA_TOOL_OPTIONS"], clientMain, v.Handler)
		if lambda.InitializationType(&v) == lambda.SnapStarted {
			spec.Argv = slices.Insert(spec.Argv, 1, hooksFlag)
		}
	}
	spec.Env = lambda.Env(spec.Env, v, stream, append(r.own(), "AWS_LAMBDA_RUNTIME_API="+api)...)
	spec.Dir = lambda.TaskRoot
	spec.Channel = true // by which a JVM that is started ahead is told; a sandbox has it from its beginning
}

// mount adds what all functions of the runtime see.
func (r *Runtime) mount(spec *sandbox.Spec) {
	spec.Mounts = append(spec.Mounts, r.jvm.Mounts...)
	if r.pack != "" {
		spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: r.pack, Target: clientDir})
	}
}

// argv is the command that runs a program of the class path in a function of that memory and with those options.
func (r *Runtime) argv(memoryMB int, options, program string, args ...string) []string {
	argv := append([]string{r.jvm.Exec}, flags(memoryMB, r.jvm.Major, options)...)
	argv = append(argv, r.archived(options)...)
	return append(append(argv, "-cp", r.classPath(), program), args...)
}

// classPath lists the client's jars in an order that is always the same, which an archive of their classes is bound to.
func (r *Runtime) classPath() string {
	jars, _ := filepath.Glob(filepath.Join(r.pack, "*.jar")) // the pattern is well-formed
	if len(jars) == 0 {
		return clientDir + "/*"
	}
	for i, jar := range jars {
		jars[i] = clientDir + "/" + filepath.Base(jar)
	}
	return strings.Join(append(jars, aheadJar), ":")
}

// own are the variables that only this language has.
func (r *Runtime) own() []string {
	return []string{"AWS_EXECUTION_ENV=AWS_Lambda_" + r.id, "JAVA_HOME=" + lambda.LangDir}
}

// heapPercent of a function's memory may be heap, as on Lambda; the rest is for threads, classes and compiled code.
const heapPercent = 85

// flags are the JVM's, as Lambda sets them: a heap by the function's memory, the collector that takes least, the compiler
// that is ready soonest (https://docs.aws.amazon.com/lambda/latest/dg/java-customization.html). A flag that the function's
// own options are about is left to them: of two collectors the JVM takes none.
func flags(memoryMB, major int, options string) []string {
	var out []string
	for _, f := range []struct {
		flag   string
		oldest int      // first version that knows it
		about  []string // what in the options decides the same
	}{
		{"-XX:MaxHeapSize=" + strconv.Itoa(memoryMB*1024*heapPercent/100) + "k", 0, []string{"-Xmx", "MaxHeapSize", "MaxRAM"}},
		{"-XX:+UseSerialGC", 0, []string{"GC"}},
		{"-XX:TieredStopAtLevel=1", 0, []string{"Tiered", "-Xint", "-Xcomp"}},
		{"-Xshare:auto", 0, []string{"-Xshare"}},
		{"-Djava.net.preferIPv4Stack=true", 0, []string{"preferIPv"}},
		// From 24 on the JVM warns of what the client does: it loads a library and reads fields by address.
		{"--enable-native-access=ALL-UNNAMED", 24, []string{"native-access"}},
		{"--sun-misc-unsafe-memory-access=allow", 24, []string{"sun-misc-unsafe"}},
	} {
		decided := major < f.oldest
		for _, a := range f.about {
			decided = decided || strings.Contains(options, a)
		}
		if !decided {
			out = append(out, f.flag)
		}
	}
	return out
}

// Attach implements lang.Runtime.
func (r *Runtime) Attach(sb sandbox.Sandbox, v faas.Version) lang.Session {
	s := lambda.Attach(sb)
	if lambda.InitializationType(&v) == lambda.SnapStarted {
		s.Restoring() // the client asks, whether there is an image or not
	}
	if r.pack == "" {
		s.Refuse(lambda.ErrorEntrypoint, "The runtime pack with AWS's runtime interface client for Java is not installed; run: artesian runtime add java-runtime")
	}
	return s
}
