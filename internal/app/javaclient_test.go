package app_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// javaClient returns the class path of the program in testdata/java-client, which Maven builds once for all runs.
func javaClient(t *testing.T) string {
	t.Helper()
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		t.Skip("needs mvn; scripts/setup installs it")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip("no cache:", err)
	}
	sum := sha256.New()
	for _, f := range []string{"pom.xml", "src/main/java/Client.java"} {
		b, err := os.ReadFile(filepath.Join("testdata", "java-client", f))
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(b)
	}
	dir := filepath.Join(cache, "artesian", "test-java-client", fmt.Sprintf("%x", sum.Sum(nil)[:8]))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "target", "classes") + ":" + filepath.Join(dir, "lib", "*")
	if _, err := os.Stat(filepath.Join(dir, "complete")); err == nil {
		return path
	}
	if err := os.RemoveAll(filepath.Join(dir, "src")); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(dir, "pom.xml"))
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "java-client"))); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), mvn, "-q", "-B", "compile", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(dir, "lib"))
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "Unknown host") || strings.Contains(string(out), "Connection refused") {
			t.Skipf("Maven reaches no repository: %.300s", out)
		}
		t.Fatalf("mvn: %v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "complete"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestJavaClient: AWS's SDK for Java v2, unmodified.
func TestJavaClient(t *testing.T) {
	t.Parallel()
	path := javaClient(t)
	p := start(t)
	p.role()
	zip := filepath.Join(t.TempDir(), "f.zip")
	if err := os.WriteFile(zip, zipOf(t, map[string]string{"app.py": "def handler(e, c):\n    if 'fail' in e: raise ValueError('no')\n    return [e]\n"}), 0o600); err != nil {
		t.Fatal(err)
	}
	p.create("another", map[string]string{"app.py": "def handler(e, c): pass"}, nil)
	out, err := p.client(t.TempDir(), "java", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-cp", path, "Client", rolePath, "python3.11", zip)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	mustContain(t, "what the client printed", out,
		"created sdk python3.11 256\n", "active Active\n", `answer 200 [{"a": "\u00e4"}] $LATEST true`+"\n", `error Unhandled {"errorMessage": "no", "errorType": "ValueError"`,
		"listed another,sdk,\n", "updated 7 {KEY=v}\n", "missing 404 Function not found: arn:aws:lambda:us-east-1:000000000000:function:missing", " true\n",
		"refused 400\n", "conflict 409\n", "deleted\n")
}
