package project

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	javaHandlerSource = "package com.example;\n// class Not implements RequestHandler<A, B> {}\npublic final class App extends Base<X>\n    implements Closeable, RequestHandler<Map<String, String>, String> {}\n"
	javaStreamSource  = "public class Streams implements com.amazonaws.services.lambda.runtime.RequestStreamHandler { }"
)

func TestDetectJava(t *testing.T) {
	for name, c := range map[string]struct {
		files            map[string]string
		handler, runtime string
		want             Project
		err              string
	}{
		"the only class": {files: map[string]string{"pom.xml": "<project/>", "src/main/java/com/example/App.java": javaHandlerSource, "src/main/java/Base.java": "class Base {}"},
			want: Project{Handler: "com.example.App::handleRequest"}},
		"streams, release": {files: map[string]string{"pom.xml": "<project><properties><maven.compiler.release>21</maven.compiler.release></properties></project>",
			"src/main/java/Streams.java": javaStreamSource}, want: Project{Handler: "Streams::handleRequest", Oldest: 21}},
		"plugin's release": {files: map[string]string{"pom.xml": "<project><build><plugins><plugin><artifactId>maven-compiler-plugin</artifactId><configuration><target>1.8</target></configuration></plugin></plugins></build></project>"},
			handler: "a.B", want: Project{Handler: "a.B", Oldest: 8}},
		"property": {files: map[string]string{"pom.xml": "<project><properties><lambda.handler> a.B::c </lambda.handler></properties></project>"},
			runtime: "java17", want: Project{Handler: "a.B::c", Runtime: "java17"}},
		"none":         {files: map[string]string{"pom.xml": "<project/>", "src/main/java/A.java": "class A {}"}, err: "no class below"},
		"no sources":   {files: map[string]string{"pom.xml": "<project/>"}, err: "look for the handler"},
		"several":      {files: map[string]string{"pom.xml": "<project/>", "src/main/java/A.java": javaHandlerSource, "src/main/java/B.java": javaStreamSource}, err: "(com.example.App, Streams)"},
		"modules":      {files: map[string]string{"pom.xml": "<project><modules><module>a</module></modules></project>"}, err: "deploy the folder of one"},
		"gradle":       {files: map[string]string{"build.gradle.kts": ""}, err: "Gradle"},
		"plain":        {files: map[string]string{"App.java": javaHandlerSource}, err: "write a pom.xml"},
		"no XML":       {files: map[string]string{"pom.xml": "<project"}, err: "read pom.xml"},
		"odd release":  {files: map[string]string{"pom.xml": "<project><properties><java.version>new</java.version></properties></project>"}, handler: "a.B", err: `Java "new"`},
		"runtime only": {files: map[string]string{"app.py": handlerSource}, runtime: "java21", err: "has no pom.xml"},
	} {
		dir := folder(t, c.files)
		got, err := Detect(dir, c.handler, c.runtime)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		c.want.Dir, c.want.Name, c.want.Language = dir, "f", Java
		if err != nil || got != c.want {
			t.Errorf("%s: %+v %v, want %+v", name, got, err, c.want)
		}
	}
}

// mavenStub stands in for Maven: what it would make is in made.
func mavenStub(t *testing.T, script string) {
	t.Helper()
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "mvn"), []byte("#!/bin/sh\nset -e\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
}

// class is the head of a class file for Java 17.
const class = `printf '\312\376\272\276\0\0\0\075'`

func TestBuildJava(t *testing.T) {
	zipper, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	files := map[string]string{"pom.xml": "<project/>", "src/main/java/com/example/App.java": javaHandlerSource}
	mavenStub(t, `mkdir -p target/classes/com/example target/classes/META-INF/maven
`+class+` > target/classes/com/example/App.class
echo dated > target/classes/META-INF/maven/x
for a in "$@"; do case $a in -DoutputDirectory=*) mkdir -p ${a#-DoutputDirectory=}; echo jar > ${a#-DoutputDirectory=}/a.jar;; esac; done`)
	dir := folder(t, files)
	got := entries(t, build(t, Builder{Cache: t.TempDir()}, dir))
	if len(got) != 2 || !strings.HasPrefix(got[0], "-rw-r--r-- com/example/App.class ") || !strings.HasPrefix(got[1], "-rw-r--r-- lib/a.jar jar") {
		t.Errorf("%q", got)
	}
	for want, p := range map[string]Project{"made no class x.Y": {Handler: "x.Y::z"}, "compiled for Java 17 and does not run on java11": {Handler: "com.example.App", Runtime: "java11"}} {
		p.Dir, p.Language = dir, Java
		if _, err := (Builder{Cache: t.TempDir()}).Build(t.Context(), p, quiet); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	files["pom.xml"] = "<project><build><plugins><plugin><artifactId>maven-shade-plugin</artifactId></plugin></plugins></build></project>"
	mavenStub(t, `mkdir -p target/x/com/example target/x/META-INF && cd target/x
`+class+` > com/example/App.class
echo x > META-INF/MANIFEST.MF
touch ../original-x.jar
`+zipper+` -m zipfile -c ../x.jar com META-INF`)
	if got := entries(t, build(t, Builder{Cache: t.TempDir()}, folder(t, files))); len(got) != 1 || !strings.HasPrefix(got[0], "-rw-r--r-- com/example/App.class ") {
		t.Errorf("shaded: %q", got)
	}
	mavenStub(t, "echo tests fail; exit 1")
	if _, err := (Builder{Cache: t.TempDir()}).Build(t.Context(), Project{Dir: dir, Language: Java, Handler: "com.example.App"}, quiet); err == nil || !strings.Contains(err.Error(), "tests fail") {
		t.Error(err)
	}
}

// FuzzPom: whatever a pom.xml says, it is understood or refused.
func FuzzPom(f *testing.F) {
	f.Add([]byte("<project><properties><java.version>21</java.version></properties></project>"), []byte(javaHandlerSource))
	f.Fuzz(func(t *testing.T, text, source []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "pom.xml"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := readPom(dir); err == nil {
			if n, err := javaVersion(m); err == nil && n < 0 {
				t.Error(n)
			}
		}
		if name := handlerClass(source); strings.ContainsAny(name, " \n/") {
			t.Errorf("%q", name)
		}
	})
}
