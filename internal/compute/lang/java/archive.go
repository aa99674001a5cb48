package java

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"artesian/internal/compute/lang/durable"
	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/sandbox"
)

const (
	oldestArchiving = 13        // first version that writes an archive of what it has loaded when it ends
	archiveMB       = 512       // memory of the JVM that writes one
	maxArchive      = 128 << 20 // bytes
	archivePrefix   = ".classes-"
	written         = "/tmp/classes.jsa" // inside
)

// Archive implements lang.Archived: a JVM loads what each loads before a function's own classes, and writes down how it looks in memory
// then. Others map that and share it. The JVM itself refuses an archive of another one, or of other jars, and goes without.
func (r *Runtime) Archive(spec *sandbox.Spec) bool {
	if r.pack == "" || r.jvm.Major < oldestArchiving {
		return false
	}
	if _, err := os.Stat(r.archive()); err == nil {
		return false
	}
	r.mount(spec)
	spec.MemoryMB = archiveMB
	argv := r.argv(archiveMB, "", aheadMain, aheadNative, "rehearse")
	argv = slices.Insert(argv, 1, "-XX:ArchiveClassesAtExit="+written)
	spec.Argv = append([]string{"/bin/sh", "-c", `"$@" && cat ` + written + ` >&3`, "sh"}, argv...)
	spec.Env = append(lambda.Defaults(), r.own()...)
	spec.Dir = "/"
	spec.Channel = true
	return true
}

// Keep implements lang.Archived.
func (r *Runtime) Keep(from io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(from, maxArchive+1))
	switch {
	case err != nil:
		return fmt.Errorf("read archive of classes: %w", err)
	case len(b) == 0:
		return errors.New("the JVM wrote no archive of classes")
	case len(b) > maxArchive:
		return fmt.Errorf("the archive of classes is larger than %d bytes", maxArchive)
	}
	return durable.Replace(r.archive(), b, 0o644)
}

// Build names a JVM of that version with library, its code, that runs what Install wrote to folder ahead. An archive is bound to
// the times of the files, too.
func Build(version, library, ahead string) (string, error) {
	out := version
	for _, path := range []string{library, filepath.Join(filepath.Dir(library), "classes.jsa"), filepath.Join(ahead, filepath.Base(aheadJar))} {
		info, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // an installation without an archive of the JVM's own classes
		}
		if err != nil {
			return "", fmt.Errorf("look at a JVM: %w", err)
		}
		out += fmt.Sprintf("\n%s %d %d", path, info.Size(), info.ModTime().UnixNano())
	}
	return out, nil
}

// archive is where on the host the archive of this JVM and pack is: in the pack's folder, with which it goes.
func (r *Runtime) archive() string {
	sum := sha256.Sum256([]byte(r.jvm.Build + "\n" + r.classPath()))
	return filepath.Join(r.pack, archivePrefix+hex.EncodeToString(sum[:8])+".jsa")
}

// archived are the flags by which a JVM uses the archive, if there is one and the function's own options have no other wish.
func (r *Runtime) archived(options string) []string {
	if r.pack == "" || r.jvm.Major < oldestArchiving || strings.Contains(options, "-Xshare") || strings.Contains(options, "SharedArchiveFile") || strings.Contains(options, "AOT") {
		return nil
	}
	at := r.archive()
	if _, err := os.Stat(at); err != nil {
		return nil
	}
	// What does not fit is not the function's business, and no line of its log.
	return []string{"-XX:SharedArchiveFile=" + clientDir + "/" + filepath.Base(at), "-Xlog:cds=off", "-Xlog:cds+dynamic=off"}
}
