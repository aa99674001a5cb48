package java

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"

	"artesian/internal/compute/lang/durable"
	"artesian/internal/compute/lang/lambda"
)

//go:generate go run ./gen

// classes are those of runtime/artesian, compiled; SOURCES has the digest of what they were compiled from.
//
//go:embed runtime/classes/artesian/*.class runtime/classes/SOURCES
var classes embed.FS

// Where a sandbox sees what Install writes, in AheadDir.
const (
	AheadDir    = lambda.RuntimeDir + "/artesian"
	aheadJar    = AheadDir + "/ahead.jar"
	aheadNative = AheadDir + "/libahead.so"
	aheadMain   = "artesian.Stem"
)

// Install writes what a JVM that is started ahead runs below dir, and returns its folder, which a sandbox sees as
// /var/runtime/artesian.
func Install(dir string) (string, error) {
	jar, err := packed()
	if err != nil {
		return "", err
	}
	native := library(runtime.GOARCH)
	sum := sha256.Sum256(append(bytes.Clone(jar), native...))
	folder := filepath.Join(dir, "java-"+hex.EncodeToString(sum[:8]))
	for _, d := range []string{dir, folder} {
		if err := durable.MakeFolder(d); err != nil {
			return "", err
		}
	}
	for name, text := range map[string][]byte{"ahead.jar": jar, "libahead.so": native} {
		if err := durable.Restore(filepath.Join(folder, name), text); err != nil {
			return "", fmt.Errorf("install %s: %w", folder, err)
		}
	}
	return folder, nil
}

// packed returns the classes as a jar, the same for the same classes.
func packed() ([]byte, error) {
	var out bytes.Buffer
	jar := zip.NewWriter(&out)
	names, err := fs.Glob(classes, "runtime/classes/artesian/*.class")
	if err != nil {
		return nil, fmt.Errorf("list classes: %w", err)
	}
	slices.Sort(names)
	for _, name := range names {
		text, err := fs.ReadFile(classes, name)
		if err != nil {
			return nil, fmt.Errorf("read classes: %w", err)
		}
		w, err := jar.CreateHeader(&zip.FileHeader{Name: "artesian/" + filepath.Base(name), Method: zip.Store})
		if err != nil {
			return nil, fmt.Errorf("pack classes: %w", err)
		}
		if _, err := w.Write(text); err != nil {
			return nil, fmt.Errorf("pack classes: %w", err)
		}
	}
	if err := jar.Close(); err != nil {
		return nil, fmt.Errorf("pack classes: %w", err)
	}
	return out.Bytes(), nil
}
