package engine

import (
	"syscall"
	"testing"
)

// TestLockIsGivenUpAtOnce keeps a copy of the lock's descriptor, as a child process between fork and exec does.
func TestLockIsGivenUpAtOnce(t *testing.T) {
	dir := t.TempDir()
	l, err := acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := acquire(dir); err == nil {
		t.Fatal("two hold the lock")
	}
	fd, err := syscall.Dup(int(l.f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(fd) }()
	if err := l.release(); err != nil {
		t.Fatal(err)
	}
	again, err := acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.release(); err != nil {
		t.Fatal(err)
	}
}
