package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// zygoteMode has this program behave as a zygote until it is asked for a fork, and make all attacks with what came.
const zygoteMode = "all but clone3 into a user namespace" // which a zygote may; its child could do no more than it

// zygoteChannel is a zygote's descriptor to the daemon.
const zygoteChannel = 3

// asZygote says that it can fork and waits for the descriptor of a sandbox's control group. What is printed goes to the daemon.
func asZygote() {
	ready := []byte(`{"error": ""}`)
	if _, err := unix.Write(zygoteChannel, append(binary.BigEndian.AppendUint32(nil, uint32(len(ready))), ready...)); err != nil {
		os.Exit(1)
	}
	head, rights := make([]byte, 4), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(zygoteChannel, head, rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		os.Exit(1)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		os.Exit(1)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 || unix.Dup3(zygoteChannel, 1, 0) != nil || unix.Dup3(zygoteChannel, 2, 0) != nil {
		os.Exit(1)
	}
	unix.CloseOnExec(zygoteChannel)
	for name, outcome := range zygoteAttacks(fds[0]) {
		fmt.Printf("%s\t%s\n", name, outcome)
	}
}

// zygoteAttacks are those for which one has to be a zygote.
func zygoteAttacks(group int) map[string]string {
	return map[string]string{
		"signal others":                         signalOthers(),
		"kill all":                              outcome(unix.Kill(-1, unix.SIGKILL)),
		"find control groups above":             groupsAbove(group),
		"kill all control groups":               open(group, "../cgroup.kill", unix.O_WRONLY),
		"kill the victim's control group":       open(group, "../victim/cgroup.kill", unix.O_WRONLY),
		"freeze the victim's control group":     open(group, "../victim/cgroup.freeze", unix.O_WRONLY),
		"enter the victim's control group":      open(group, "../victim/cgroup.procs", unix.O_WRONLY),
		"enter a mount namespace":               enterMounts(),
		"ask for the namespace above":           ask(0xb702),
		"ask for the next mount namespace":      ask(0x8010b70b),
		"open the spawner's memory for writing": write("/proc/1/mem", "x"),
		"open the spawner's root":               list("/proc/1/root/"),
	}
}

// signalOthers lists who could be signalled.
func signalOthers() string {
	var found []int
	for pid := 1; pid < 1<<15; pid++ {
		if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", pid)); err != nil && unix.Kill(pid, 0) == nil {
			found = append(found, pid)
		}
	}
	return fmt.Sprint(found)
}

// groupsAbove walks up from a control group's directory.
func groupsAbove(group int) string {
	var seen []uint64
	for path := ".."; len(path) < 40; path += "/.." {
		var st unix.Stat_t
		if err := unix.Fstatat(group, path, &st, 0); err != nil {
			return outcome(err)
		}
		if !slices.Contains(seen, st.Ino) {
			seen = append(seen, st.Ino)
		}
	}
	return fmt.Sprint(len(seen), " above")
}

func open(dir int, name string, flags int) string {
	fd, err := unix.Openat(dir, name, flags, 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	return outcome(err)
}

func enterMounts() string {
	fd, err := unix.Open("/proc/self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return outcome(err)
	}
	return outcome(unix.Setns(fd, unix.CLONE_NEWNS))
}

func ask(request uintptr) string {
	fd, err := unix.Open("/proc/self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return outcome(err)
	}
	return try(unix.SYS_IOCTL, uintptr(fd), request, 0)
}
