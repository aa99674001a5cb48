package cgroup

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// write and read avoid os.File: its poller registration costs more than the access.
func write(dir, name, value string) error {
	path := filepath.Join(dir, name)
	fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	_, err = syscall.Write(fd, []byte(value))
	_ = syscall.Close(fd)
	if err != nil {
		return &os.PathError{Op: "write " + value + " to", Path: path, Err: err}
	}
	return nil
}

func read(dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = syscall.Close(fd) }()
	var buf [2048]byte
	n, err := syscall.Read(fd, buf[:])
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: path, Err: err}
	}
	return buf[:n], nil
}

// field reads "key value" lines.
func field(dir, name, key string) (int64, error) {
	b, err := read(dir, name)
	if err != nil {
		return 0, err
	}
	if v, ok := value(b, key); ok {
		return strconv.ParseInt(string(bytes.TrimSpace(v)), 10, 64)
	}
	return 0, fmt.Errorf("no %s in %s", key, filepath.Join(dir, name))
}
