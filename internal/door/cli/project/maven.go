package project

import (
	"archive/zip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// java has Maven build and test the project, and adds what it made: the shaded jar's content, or the classes and, in lib/, the
// jars that they need when they run.
func (b Builder) java(ctx context.Context, p Project, t tree, step Step) error {
	m, err := readPom(p.Dir)
	if err != nil {
		return err
	}
	mvn, err := maven(p.Dir)
	if err != nil {
		return err
	}
	made := filepath.Join(b.Cache, "maven", hash(p.Dir))
	if err := os.RemoveAll(made); err != nil {
		return fmt.Errorf("empty cache: %w", err)
	}
	args := []string{"-q", "-B", "package"}
	if !m.shades() {
		args = append(args, "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(made, "lib"))
	}
	if b.Fresh {
		args = append(args, "-U")
	}
	err = step("mvn package", func() error {
		cmd := exec.CommandContext(ctx, mvn, args...)
		cmd.Dir = p.Dir
		return run(cmd)
	})
	if err != nil {
		return err
	}
	if m.shades() {
		jar, err := shaded(p.Dir)
		if err != nil {
			return err
		}
		if err := unjar(jar, made); err != nil {
			return err
		}
	} else if err := t.add(filepath.Join(p.Dir, "target", "classes"), unwanted); err != nil {
		return err
	}
	if isDir(made) {
		if err := t.add(made, unwanted); err != nil {
			return err
		}
	}
	return t.runsOnJava(p)
}

// unwanted are Maven's notes about the build, some with its date.
func unwanted(rel string) bool {
	return skipped(rel) || filepath.ToSlash(rel) == "META-INF/maven" || filepath.ToSlash(rel) == "META-INF/MANIFEST.MF"
}

// maven returns the project's own Maven wrapper, or the one on the PATH.
func maven(dir string) (string, error) {
	if fi, err := os.Stat(filepath.Join(dir, "mvnw")); err == nil && fi.Mode()&0o111 != 0 {
		return filepath.Join(dir, "mvnw"), nil
	}
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return "", errors.New("pom.xml needs Maven, which is not on this machine (Debian: apt install maven)")
	}
	return mvn, nil
}

// shaded returns the jar that has everything in it: the shade plugin keeps what was there before as original-NAME, unless it
// attaches the new one as NAME-shaded.
func shaded(dir string) (string, error) {
	target := escapeGlob(filepath.Join(dir, "target"))
	attached, _ := filepath.Glob(filepath.Join(target, "*-shaded.jar")) // the patterns are well-formed
	if len(attached) == 1 {
		return attached[0], nil
	}
	before, _ := filepath.Glob(filepath.Join(target, "original-*.jar"))
	if len(before) == 1 {
		return filepath.Join(dir, "target", strings.TrimPrefix(filepath.Base(before[0]), "original-")), nil
	}
	return "", fmt.Errorf("the shade plugin made no jar below %s that can be told, or there are several: mvn clean", filepath.Join(dir, "target"))
}

// unjar unpacks a jar below dir.
func unjar(jar, dir string) error {
	zr, err := zip.OpenReader(jar)
	if err != nil {
		return fmt.Errorf("read %s: %w", jar, err)
	}
	defer zr.Close()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("unpack %s: %w", jar, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", jar, err)
	}
	defer root.Close()
	for _, f := range zr.File {
		if f.FileInfo().IsDir() {
			continue
		}
		if err := unjarFile(root, f); err != nil {
			return fmt.Errorf("unpack %s: %w", jar, err)
		}
	}
	return nil
}

func unjarFile(root *os.Root, f *zip.File) error {
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	if err := root.MkdirAll(path.Dir(f.Name), 0o700); err != nil {
		return err
	}
	out, err := root.Create(f.Name)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// runsOnJava refuses a package without the handler's class, or one that is compiled for a newer Java than its runtime.
func (t tree) runsOnJava(p Project) error {
	class, _, _ := strings.Cut(p.Handler, "::")
	file, ok := t[strings.ReplaceAll(class, ".", "/")+".class"]
	if !ok {
		return fmt.Errorf("handler %s: Maven made no class %s", p.Handler, class)
	}
	version, err := classVersion(file.path)
	if err != nil {
		return err
	}
	if want := javaNumber(p.Runtime); want > 0 && version > want {
		return fmt.Errorf("the code is compiled for Java %d and does not run on %s: set maven.compiler.release to %d in pom.xml, or choose a newer runtime with --runtime", version, p.Runtime, want)
	}
	return nil
}

// classVersion returns the version of Java that a class file needs: https://docs.oracle.com/javase/specs/jvms/se21/html/jvms-4.html
func classVersion(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("read class: %w", err)
	}
	defer f.Close()
	var head [8]byte
	if _, err := io.ReadFull(f, head[:]); err != nil || binary.BigEndian.Uint32(head[:]) != 0xCAFEBABE {
		return 0, fmt.Errorf("%s is no class file", path)
	}
	return int(binary.BigEndian.Uint16(head[6:])) - 44, nil
}

// javaNumber returns 21 of java21, and 0 of what has no such form.
func javaNumber(runtime string) (n int) {
	if _, err := fmt.Sscanf(runtime, "java%d", &n); err != nil {
		return 0
	}
	return n
}
