package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// stem waits until it is told what to execute, and does.
func stem([]string) error {
	c := os.NewFile(3, "channel")
	var told struct {
		Argv, Env []string
		Dir       string
		Channel   bool
	}
	if err := json.NewDecoder(c).Decode(&told); err != nil {
		return err
	}
	err := os.Chdir(told.Dir)
	if err == nil {
		err = executable(told.Argv[0])
	}
	if err != nil {
		_, err = fmt.Fprintln(c, err)
		return err
	}
	if _, err := fmt.Fprintln(c); err != nil {
		return err
	}
	on := 0
	if !told.Channel {
		on = syscall.FD_CLOEXEC
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, 3, syscall.F_SETFD, uintptr(on)); errno != 0 {
		return errno
	}
	return syscall.Exec(told.Argv[0], told.Argv, told.Env)
}

func executable(file string) error {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return errors.Join(fs.ErrPermission, fmt.Errorf("%s is a directory", file))
	}
	return nil
}
