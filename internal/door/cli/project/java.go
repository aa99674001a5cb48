package project

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// JavaVersions are the versions of Java that Lambda has an identifier for, newest first.
var JavaVersions = []int{25, 21, 17, 11, 8}

// JavaRuntime returns the identifier of a version of Java.
func JavaRuntime(version int) string {
	if version == 8 {
		return "java8.al2"
	}
	return fmt.Sprintf("java%d", version)
}

// isJava reports whether a folder is Java's.
func isJava(dir, runtime string) bool {
	if runtime != "" {
		return strings.HasPrefix(runtime, "java")
	}
	return exists(dir, "pom.xml") || exists(dir, "build.gradle") || exists(dir, "build.gradle.kts")
}

// pom is what counts here of a pom.xml.
type pom struct {
	Properties struct {
		All []struct {
			XMLName xml.Name
			Value   string `xml:",chardata"`
		} `xml:",any"`
	} `xml:"properties"`
	Modules []string `xml:"modules>module"`
	Plugins []plugin `xml:"build>plugins>plugin"`
}

type plugin struct {
	Artifact string `xml:"artifactId"`
	Release  string `xml:"configuration>release"`
	Target   string `xml:"configuration>target"`
}

func (p *pom) property(name string) string {
	for _, q := range p.Properties.All {
		if q.XMLName.Local == name {
			return strings.TrimSpace(q.Value)
		}
	}
	return ""
}

// shades reports whether the build makes a jar with everything in it.
func (p *pom) shades() bool {
	return slices.ContainsFunc(p.Plugins, func(q plugin) bool { return q.Artifact == "maven-shade-plugin" })
}

func readPom(dir string) (*pom, error) {
	b, err := os.ReadFile(filepath.Join(dir, "pom.xml"))
	p := new(pom)
	if err == nil {
		err = xml.Unmarshal(b, p)
	}
	if err != nil {
		return nil, fmt.Errorf("read pom.xml: %w", err)
	}
	return p, nil
}

// javaHandlerProperty is the property of a pom.xml that names the handler.
const javaHandlerProperty = "lambda.handler"

func (p Project) java() (Project, error) {
	p.Language = Java
	if !exists(p.Dir, "pom.xml") {
		if exists(p.Dir, "build.gradle") || exists(p.Dir, "build.gradle.kts") {
			return p, errors.New("the folder is Gradle's, which deploy does not run: build a zip with the jars in lib/ yourself and hand it to AWS's tools " +
				"(aws lambda create-function --zip-file fileb://FILE), or add a pom.xml")
		}
		return p, fmt.Errorf("%s has no pom.xml: functions in Java are built by Maven", p.Dir)
	}
	m, err := readPom(p.Dir)
	if err != nil {
		return p, err
	}
	if len(m.Modules) > 0 {
		return p, fmt.Errorf("pom.xml only joins modules (%s); deploy the folder of one", strings.Join(m.Modules, ", "))
	}
	if p.Runtime == "" {
		if p.Oldest, err = javaVersion(m); err != nil {
			return p, err
		}
	}
	if p.Handler == "" {
		p.Handler = m.property(javaHandlerProperty)
	}
	if p.Handler == "" {
		p.Handler, err = javaHandler(p.Dir)
	}
	return p, err
}

// javaVersion is the version that a pom.xml compiles for; 0 when it doesn't say.
func javaVersion(m *pom) (int, error) {
	said := ""
	for _, q := range m.Plugins {
		if q.Artifact == "maven-compiler-plugin" {
			said = q.Release + q.Target
		}
	}
	for _, name := range []string{"maven.compiler.release", "maven.compiler.target", "java.version"} {
		if said == "" || strings.HasPrefix(said, "${") {
			said = m.property(name)
		}
	}
	if said == "" || strings.HasPrefix(said, "${") {
		return 0, nil
	}
	n, err := strconv.Atoi(strings.TrimPrefix(said, "1."))
	if err != nil || n < 1 {
		return 0, fmt.Errorf("pom.xml compiles for Java %q, which is no version; name the runtime with --runtime, for example java21", said)
	}
	return n, nil
}

var (
	javaComment = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	javaPackage = regexp.MustCompile(`(?m)^\s*package\s+([\w.]+)\s*;`)
	javaClass   = regexp.MustCompile(`\bclass\s+(\w+)[^{]*\bimplements\s[^{]*\b(RequestHandler|RequestStreamHandler)\b`)
)

// javaHandler finds the one class that implements a handler's interface.
func javaHandler(dir string) (string, error) {
	var found []string
	root := filepath.Join(dir, "src", "main", "java")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".java" {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if class := handlerClass(src); class != "" {
			found = append(found, class)
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("look for the handler: %w", err)
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no class below %s implements RequestHandler or RequestStreamHandler; name the handler with --handler, for example com.example.App::handleRequest", root)
	case 1:
		return found[0] + "::handleRequest", nil
	}
	return "", fmt.Errorf("several classes implement a handler's interface (%s); name one with --handler, or in pom.xml by the property %s", strings.Join(found, ", "), javaHandlerProperty)
}

// handlerClass returns the full name of the class in a source that implements a handler's interface, or nothing.
func handlerClass(src []byte) string {
	src = javaComment.ReplaceAll(src, nil)
	class := javaClass.FindSubmatch(src)
	if class == nil {
		return ""
	}
	name := string(class[1])
	if in := javaPackage.FindSubmatch(src); in != nil {
		name = string(in[1]) + "." + name
	}
	return name
}
