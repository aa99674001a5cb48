package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"artesian/internal/compute/lang"
	"artesian/internal/compute/lang/ask"
	"artesian/internal/compute/lang/java"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/sandbox"
)

var javaLanguage = language{
	name: "java", title: "Java", form: "java%d", component: 0,
	identifiers: []string{"java25", "java21", "java17", "java11", "java8.al2", "java8"},
	file:        regexp.MustCompile(`^java$`),
	places: []string{
		"/usr/lib/jvm/*/bin", "/usr/java/*/bin", "~/.sdkman/candidates/java/*/bin", "~/.jdks/*/bin",
		"~/.local/share/mise/installs/java/*/bin", "~/.asdf/installs/java/*/bin",
	},
	ask: askJava, check: checkJava, plan: planJava,
}

// property is a line of what -XshowSettings:properties prints.
var property = regexp.MustCompile(`(?m)^\s+([a-z.]+) = (.*?)\s*$`)

// released is the line of the file that installations have beside bin, which spares starting a JVM.
var released = regexp.MustCompile(`(?m)^JAVA_VERSION="([^"]+)"`)

func askJava(ctx context.Context, path string) (*facts, error) {
	home := filepath.Dir(filepath.Dir(path))
	if b, err := os.ReadFile(filepath.Join(home, "release")); err == nil && path == filepath.Join(home, "bin", "java") {
		if m := released.FindSubmatch(b); m != nil {
			if f, err := javaFacts("  java.home = " + home + "\n  java.version = " + string(m[1]) + "\n"); err == nil {
				f.Executable = path
				return f, nil
			}
		}
	}
	said, err := ask.Run(ctx, path, nil, "-XshowSettings:properties", "-version")
	if err != nil {
		return nil, err
	}
	f, err := javaFacts(string(said.Stderr))
	if err != nil {
		return nil, fmt.Errorf("use %s: %w", path, err)
	}
	f.Executable = filepath.Join(f.Prefix, "bin", "java")
	return f, nil
}

// javaFacts reads what a JVM prints about itself. Before 9 a version was written 1.8.0_392.
func javaFacts(said string) (*facts, error) {
	told := make(map[string]string)
	for _, m := range property.FindAllStringSubmatch(said, -1) {
		told[m[1]] = m[2]
	}
	f := &facts{Prefix: told["java.home"]}
	text := strings.TrimPrefix(told["java.version"], "1.")
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '.' || r == '_' }) {
		digits, _, _ := strings.Cut(part, "-") // 26-ea
		n, err := strconv.Atoi(digits)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("it says that its version is %.100q", told["java.version"])
		}
		f.Version = append(f.Version, n)
	}
	for len(f.Version) < 3 {
		f.Version = append(f.Version, 0)
	}
	f.Version = f.Version[:3]
	return f, nil
}

// oldestJava is the first that AWS's runtime interface client runs on.
const oldestJava = 8

func checkJava(f *facts) error {
	if len(f.Version) != 3 || f.Version[0] < oldestJava {
		return fmt.Errorf("it is Java %v, and %d or newer is needed", f.Version, oldestJava)
	}
	if !filepath.IsAbs(f.Prefix) {
		return fmt.Errorf("it does not know its own place (%q)", f.Prefix)
	}
	if library, err := jvmLibrary(f.Prefix); err != nil {
		return fmt.Errorf("%s is incomplete: %w", library, err)
	}
	return nil
}

// jvmLibrary finds the JVM itself: Java 8 has a folder of the machine's architecture between.
func jvmLibrary(home string) (string, error) {
	found, _ := filepath.Glob(filepath.Join(home, "lib", "*", "server", "libjvm.so")) // the pattern is well-formed unless the home is odd
	if len(found) > 0 {
		return found[0], nil
	}
	library := filepath.Join(home, "lib", "server", "libjvm.so")
	_, err := os.Stat(library)
	return library, err
}

func planJava(_ context.Context, f *facts, g ground) (served, error) {
	jvm := java.JVM{Version: version(f), Major: f.Version[0], Path: f.Executable, Exec: lambda.LangDir + "/bin/java"}
	load, err := systemLoader(f.Executable)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", f.Executable, err)
	}
	library, err := jvmLibrary(f.Prefix)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", f.Executable, err)
	}
	m := append(load.mounts(), sandbox.Mount{Source: f.Prefix, Target: lambda.LangDir})
	settings, err := outside(f.Prefix)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", f.Executable, err)
	}
	m = append(m, settings...)
	files := []string{f.Executable, library}
	for _, dir := range []string{filepath.Join(f.Prefix, "lib"), filepath.Dir(library), filepath.Dir(filepath.Dir(library))} {
		found, _ := filepath.Glob(filepath.Join(dir, "*.so"))
		files = append(files, found...)
	}
	libraries := load.closure(files, filepath.Join(f.Prefix, "lib"), filepath.Dir(library))
	for _, name := range sorted(libraries) {
		if real := libraries[name]; !strings.HasPrefix(real, f.Prefix+"/") {
			m = append(m, sandbox.Mount{Source: real, Target: filepath.Join(filepath.Dir(real), name)})
		}
	}
	m = append(m, system("")...)
	ahead, err := java.Install(g.dir)
	if err != nil {
		return nil, err
	}
	if jvm.Build, err = java.Build(jvm.Version, library, ahead); err != nil {
		return nil, fmt.Errorf("plan %s: %w", f.Executable, err)
	}
	jvm.Mounts = append(m, sandbox.Mount{Source: g.tools, Target: "/usr/bin"}, sandbox.Mount{Source: ahead, Target: java.AheadDir})
	return func(id, pack string) lang.Runtime { return java.New(id, jvm, pack) }, nil
}

// javaFolder is a folder below /etc in which distributions keep the settings of their Java.
var javaFolder = regexp.MustCompile(`^/etc/[^/]*(java|jdk|jre)[^/]*`)

// outside shows what the installation at home has links to that lead out of it: distributions keep its settings and
// certificates below /etc. A folder of Java's own is shown whole, anything else file by file.
func outside(home string) (m []sandbox.Mount, err error) {
	seen := make(map[string]bool)
	for _, dir := range []string{"conf", "lib"} {
		err := filepath.WalkDir(filepath.Join(home, dir), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // Java 8 has no conf
			}
			if err != nil || d.Type()&fs.ModeSymlink == 0 {
				return err
			}
			target, err := os.Readlink(path)
			if err != nil || !filepath.IsAbs(target) || strings.HasPrefix(target, home+"/") {
				return err
			}
			target = filepath.Clean(target)
			if folder := javaFolder.FindString(target); folder != "" {
				target = folder
			}
			real, err := filepath.EvalSymlinks(target)
			if err == nil && !seen[target] {
				seen[target] = true
				m = append(m, sandbox.Mount{Source: real, Target: target})
			}
			return nil // a link to nothing is one inside as well
		})
		if err != nil {
			return nil, fmt.Errorf("look at its settings: %w", err)
		}
	}
	return m, nil
}
