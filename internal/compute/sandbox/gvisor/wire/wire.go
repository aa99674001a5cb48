// Package wire is how the daemon and the supervisor in a sandbox of the level gvisor talk: orders one way, news the other.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Order is what the daemon asks of a supervisor. Descriptors travel with it, in the order that the kinds say.
type Order struct {
	Kind    string   `json:"kind"`
	Number  uint64   `json:"number,omitempty"` // of those that are answered, each its own
	Program *Program `json:"program,omitempty"`
	Signal  int      `json:"signal,omitempty"`
}

// Kinds of Order.
const (
	Run     = "run"     // Program; descriptors: channel, if it has one, then the output of those beside, if there are any
	Restore = "restore" // Run from an image: Program as it was saved; descriptors follow: state, metadata, pages
	Save    = "save"    // descriptors: state, metadata, pages, all empty; everything ends with it
	Pause   = "pause"   // what runs inside
	Resume  = "resume"  // without an answer
	Signal  = "signal"  // to the main process, without an answer
)

// Program is what runs inside.
type Program struct {
	Argv    []string `json:"argv"`
	Env     []string `json:"env"`
	Dir     string   `json:"dir"`
	Files   int      `json:"files"`
	Pids    int      `json:"pids"`
	Memory  int      `json:"memory"`        // MB, the size of /dev/shm
	TmpMB   int      `json:"tmp,omitempty"` // /tmp is a file system of the kernel's own, of this size; 0: that of the sandbox around
	Channel bool     `json:"channel,omitempty"`
	Beside  []Aside  `json:"beside,omitempty"`
}

// Aside is a program beside the main one.
type Aside struct {
	Argv []string `json:"argv"`
	Env  []string `json:"env"`
}

// News is what a supervisor tells.
type News struct {
	Kind    string        `json:"kind"`
	Number  uint64        `json:"number,omitempty"` // of the order that this answers
	Error   string        `json:"error,omitempty"`
	Status  uint32        `json:"status,omitempty"`  // wait status
	Program int           `json:"program,omitempty"` // number of one beside
	Took    time.Duration `json:"took,omitempty"`
}

// Kinds of News.
const (
	Made    = "made"    // the kernel is there, and nothing in it yet
	Running = "running" // the answer to Run and Restore
	Done    = "done"    // the answer to Save and Pause
	Failed  = "failed"  // the answer to any, with Error
	Exited  = "exited"  // the main process
	Left    = "left"    // one beside
)

const (
	maxMessage = 1 << 20
	maxFiles   = 8
)

// Write sends one message with descriptors.
func Write(c *net.UnixConn, message any, files ...int) error {
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if len(body) > maxMessage {
		return fmt.Errorf("a message of %d bytes, of at most %d", len(body), maxMessage)
	}
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	if _, _, err := c.WriteMsgUnix(head, rights, nil); err != nil {
		return err
	}
	_, err = c.Write(body)
	return err
}

// Read receives one message into message, and its descriptors; io.EOF when the other side is gone.
func Read(c *net.UnixConn, message any) ([]*os.File, error) {
	head, rights := make([]byte, 4), make([]byte, unix.CmsgSpace(4*maxFiles))
	n, oobn, _, _, err := c.ReadMsgUnix(head, rights)
	files, ferr := received(rights[:oobn])
	switch {
	case err != nil:
		return files, err
	case ferr != nil:
		return files, ferr
	case n == 0:
		return files, io.EOF
	}
	if _, err := io.ReadFull(c, head[n:]); err != nil {
		return files, err
	}
	size := binary.BigEndian.Uint32(head)
	if size > maxMessage {
		return files, fmt.Errorf("a message of %d bytes, of at most %d", size, maxMessage)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(c, body); err != nil {
		return files, err
	}
	return files, json.Unmarshal(body, message)
}

func received(rights []byte) (files []*os.File, err error) {
	if len(rights) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(rights)
	for _, m := range messages {
		fds, e := unix.ParseUnixRights(&m)
		err = errors.Join(err, e)
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, err
}

// Close closes all.
func Close(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
