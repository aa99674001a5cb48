package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// hold takes inotify instances until there are no more, says how many it has and why there are no more, and keeps them.
func hold() {
	n := 0
	for {
		if _, err := unix.InotifyInit(); err != nil {
			fmt.Println(n, outcome(err))
			break
		}
		n++
	}
	for {
		_ = unix.Pause()
	}
}
