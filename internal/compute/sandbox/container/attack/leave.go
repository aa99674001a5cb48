package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Names under which leave leaves things and find looks for them.
const (
	leftKey      = 0x4154 // of System V objects
	leftAbstract = "artesian-left"
	leftFile     = "left"
)

// leftDirs are where a program might write; it may in the first two.
var leftDirs = []string{"/tmp", "/dev/shm", "/", "/dev", "/etc", "/home/sbx_user1051", "/run", "/var", "/var/task", "/var/tmp"}

// leave leaves something wherever that is possible, says so, and stays.
func leave() {
	for i, dir := range leftDirs {
		if err := os.WriteFile(filepath.Join(dir, leftFile), []byte("left"), 0o666); err != nil && i < 2 {
			fmt.Println(err)
		}
	}
	if _, err := net.Listen("unix", "@"+leftAbstract); err != nil {
		fmt.Println(err)
	}
	for _, nr := range []uintptr{unix.SYS_SHMGET, unix.SYS_MSGGET, unix.SYS_SEMGET} {
		_, _, _ = unix.RawSyscall(nr, leftKey, 1, unix.IPC_CREAT|0o666)
	}
	_, _ = unix.AddKey("user", leftFile, []byte("left"), unix.KEY_SPEC_USER_KEYRING)
	fmt.Println("left all")
	select {}
}

// find says what it finds of all that.
func find() {
	var found []string
	for _, dir := range leftDirs {
		if _, err := os.Lstat(filepath.Join(dir, leftFile)); err == nil {
			found = append(found, dir)
		}
	}
	for _, dir := range leftDirs[:2] {
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			found = append(found, fmt.Sprint(dir, " has ", entries, err))
		}
	}
	if c, err := net.Dial("unix", "@"+leftAbstract); err == nil {
		_ = c.Close()
		found = append(found, "socket")
	}
	for _, nr := range []uintptr{unix.SYS_SHMGET, unix.SYS_MSGGET, unix.SYS_SEMGET} {
		if _, _, errno := unix.RawSyscall(nr, leftKey, 1, 0); errno == 0 {
			found = append(found, "System V object")
		}
	}
	if _, err := unix.KeyctlSearch(unix.KEY_SPEC_USER_KEYRING, "user", leftFile, 0); err == nil {
		found = append(found, "key")
	}
	found = append(found, strangers()...)
	if len(found) == 0 {
		found = []string{"nothing"}
	}
	fmt.Println("found", strings.Join(found, ", "))
	os.Exit(0)
}

// strangers are processes other than this one.
func strangers() []string {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return []string{err.Error()}
	}
	return slices.DeleteFunc(all, func(p string) bool { return p == fmt.Sprint("/proc/", os.Getpid()) })
}
