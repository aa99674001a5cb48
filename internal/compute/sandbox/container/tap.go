package container

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// tap bounds what the files in a mounted ext4 may take, while it is in use: the kernel gives no file the blocks that are reserved.
// Who writes meets ENOSPC in the write itself, as in a file system of that size.
type tap struct{ file string }

// tapOf is that of the file system on a block device.
func tapOf(device string) tap {
	return tap{"/sys/fs/ext4/" + filepath.Base(device) + "/reserved_clusters"}
}

func (t tap) get() (blocks int64, err error) {
	b, err := os.ReadFile(t.file)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
}

func (t tap) set(blocks int64) error {
	fd, err := unix.Open(t.file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", t.file, err)
	}
	_, err = unix.Write(fd, strconv.AppendInt(nil, blocks, 10))
	_ = unix.Close(fd)
	if err != nil {
		return fmt.Errorf("write %s: %w", t.file, err)
	}
	return nil
}

// punches reports whether what is dropped from a file in dir goes back to the disk.
func punches(dir string) bool {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	if _, err := unix.Write(fd, make([]byte, 1<<16)); err != nil {
		return false
	}
	return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 1<<16) == nil
}
