package container

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox/container/stage0"
)

// inserted is memory of a tracee's, for programs, and what they need to know.
type inserted struct {
	base     uint64
	size     int
	programs [][]byte // as they are there
	fds      []int    // that have come
}

// Places in a room before its programs: a message's head, its vector, its byte, and the descriptors with it.
const (
	atVector   = 64
	atByte     = 128
	atRights   = 192
	atPrograms = 2048
)

// load makes room in a process for programs, writes them there, and has it receive n descriptors from descriptor 3.
func (t *tracee) load(n int, programs ...*program) (*inserted, error) {
	m := &inserted{size: atPrograms}
	for _, p := range programs {
		code, err := p.encode()
		if err != nil {
			return nil, err
		}
		m.programs = append(m.programs, code)
		m.size += len(code) + 7
	}
	m.size = (m.size + 4095) &^ 4095
	var err error
	if m.base, _, err = t.do(unix.SYS_MMAP, 0, uint64(m.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, ^uint64(0)); err != nil {
		return nil, fmt.Errorf("make room: %w", err)
	}
	image := make([]byte, m.size)
	put := func(at int, v uint64) { binary.NativeEndian.PutUint64(image[at:], v) }
	put(16, m.base+atVector) // struct msghdr
	put(24, 1)
	put(32, m.base+atRights)
	put(40, uint64(unix.CmsgSpace(4*n)))
	put(atVector, m.base+atByte)
	put(atVector+8, 1)
	at := atPrograms
	for _, code := range m.programs {
		relocateTo(code, m.base+uint64(at))
		at += copy(image[at:], code)
		at = (at + 7) &^ 7
	}
	if err := t.write(m.base, image); err != nil {
		return nil, fmt.Errorf("write programs: %w", err)
	}
	return m, m.receive(t, n)
}

func (m *inserted) receive(t *tracee, n int) error {
	got, _, err := t.do(unix.SYS_RECVMSG, channelFD, m.base, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	if err != nil {
		return fmt.Errorf("receive descriptors: %w", err)
	}
	rights := make([]byte, unix.CmsgSpace(4*n))
	if err := t.read(m.base+atRights, rights); err != nil {
		return err
	}
	if m.fds = parseRights(rights); got != 1 || len(m.fds) != n {
		return errors.New("its descriptors did not arrive")
	}
	return nil
}

// relocateTo makes the offsets in a program addresses.
func relocateTo(code []byte, base uint64) {
	h := (*stage0.Header)(unsafe.Pointer(&code[0]))
	at := int(unsafe.Sizeof(*h)) + int(h.Ops)*int(unsafe.Sizeof(stage0.Op{}))
	for i := range int(h.Relocs) {
		off := binary.NativeEndian.Uint32(code[at+4*i:])
		binary.NativeEndian.PutUint64(code[off:], binary.NativeEndian.Uint64(code[off:])+base)
	}
}

// carryOut has a process carry out one of the programs that were loaded.
func (m *inserted) carryOut(t *tracee, p *program, number int) error {
	code := m.programs[number]
	h := (*stage0.Header)(unsafe.Pointer(&code[0]))
	ops := unsafe.Slice((*stage0.Op)(unsafe.Pointer(&code[unsafe.Sizeof(*h)])), h.Ops)
	for n, op := range ops {
		for i := range op.Args {
			if op.Regs>>i&1 != 0 {
				op.Args[i] = uint64(m.fds[op.Args[i]])
			}
		}
		_, _, err := t.do(int(op.Nr), op.Args[:]...)
		var errno syscall.Errno
		if errors.As(err, &errno) && errno != unix.ESRCH {
			if errno != syscall.Errno(op.Allow) {
				return p.failure(stage0.Message{Op: uint32(n), Value: int64(errno)})
			}
		} else if err != nil {
			return err
		}
	}
	return nil
}
