// Command gen compiles the Java sources in ../runtime against the interface client of the runtime pack, with the javac on the PATH.
// It is run in the package's folder: go generate. Usage: gen [FOLDER OF THE PACK]
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	pack, err := packFolder()
	if err != nil {
		return err
	}
	sources, err := filepath.Glob("runtime/artesian/*.java")
	if err != nil || len(sources) == 0 {
		return fmt.Errorf("no sources here: %w", err)
	}
	const out = "runtime/classes"
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	args := append([]string{"-source", "8", "-target", "8", "-Xlint:-options", "-XDignore.symbol.file", "-proc:none", "-g:none", "-encoding", "UTF-8",
		"-cp", filepath.Join(pack, "*"), "-d", out}, sources...)
	cmd := exec.Command("javac", args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	sum := sha256.New()
	for _, name := range sources {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n%s", filepath.Base(name), len(text), text)
	}
	return os.WriteFile(filepath.Join(out, "SOURCES"), []byte(hex.EncodeToString(sum.Sum(nil))+"\n"), 0o644)
}

// packFolder returns the argument, or the pack that tests have installed.
func packFolder() (string, error) {
	if len(os.Args) > 1 {
		return os.Args[1], nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	found, _ := filepath.Glob(filepath.Join(cache, "artesian", "test-packs", "java-runtime-*")) // the pattern is well-formed
	if len(found) == 0 {
		return "", fmt.Errorf("the runtime pack java-runtime is not in %s; name its folder", cache)
	}
	return found[len(found)-1], nil
}
