package container

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"unsafe"

	"artesian/internal/compute/sandbox/container/stage0"
)

// reg is the number of a stage 0 register as an argument of a step.
type reg uint8

// words is an array of strings that ends with a null pointer, as execve takes it.
type words []string

// filter is a seccomp program in the kernel's form.
type filter []byte

const none = reg(stage0.NoReg)

// lastReg is the first register that a program may not use: stage 0 has the last two.
const lastReg = 254

// step is one stage0.Op with arguments by value: int, reg, string, []byte (passed by address), words, filter.
type step struct {
	what  string // as it is named when it fails
	kind  uint8
	nr    uint32
	args  []any
	dst   reg
	allow syscall.Errno
}

// program is what stage 0 carries out in one process, in order.
type program struct {
	steps  []step
	next   reg  // the first register that is free
	first  reg  // of the descriptors that come with it
	full   bool // it needs more registers than there are
	clone  uint64
	owner  int // the host user who makes the user namespace; -1: whoever the spawner is
	group  reg // of the cgroup2 directory to be born in
	within reg // of the pidfd of the first process in whose namespaces this one's are made; 0: the spawner's
	uids   string
	gids   string
}

func (p *program) add(s step) { p.steps = append(p.steps, s) }

// call adds a system call whose result is not needed.
func (p *program) call(what string, nr int, args ...any) {
	p.add(step{what: what, nr: uint32(nr), args: args, dst: none})
}

// allow is call, except that one errno counts as success.
func (p *program) allow(errno syscall.Errno, what string, nr int, args ...any) {
	p.add(step{what: what, nr: uint32(nr), args: args, dst: none, allow: errno})
}

// open is call for what returns a descriptor.
func (p *program) open(what string, nr int, args ...any) reg {
	fd := p.take(1)
	p.add(step{what: what, nr: uint32(nr), args: args, dst: fd})
	return fd
}

// send adds a report with n descriptors from the registers that begin at first.
func (p *program) send(kind int, first reg, n int) {
	p.add(step{what: "report", kind: stage0.Send, args: []any{kind, int(first), n}, dst: none})
}

// take reserves n registers and returns the first.
func (p *program) take(n int) reg {
	if int(p.next)+n > lastReg {
		p.full = true
		return p.next
	}
	p.next += reg(n)
	return p.next - reg(n)
}

// encode gives the program the form that stage 0 reads.
func (p *program) encode() ([]byte, error) {
	if p.full {
		return nil, errors.New("it has too many mounts and sockets")
	}
	e := encoder{at: int(unsafe.Sizeof(stage0.Header{})) + len(p.steps)*int(unsafe.Sizeof(stage0.Op{}))}
	// The number of relocations is known only at the end: lay data out as if there were none, then move it.
	ops := make([]stage0.Op, len(p.steps))
	for i, s := range p.steps {
		o := stage0.Op{Kind: s.kind, Dst: uint8(s.dst), Nr: s.nr, Allow: uint8(s.allow)}
		for j, a := range s.args {
			v, isReg, isPointer := e.value(a)
			o.Args[j] = v
			if isReg {
				o.Regs |= 1 << j
			}
			if isPointer {
				e.relocs = append(e.relocs, int(unsafe.Sizeof(stage0.Header{}))+i*int(unsafe.Sizeof(o))+int(unsafe.Offsetof(o.Args))+8*j)
			}
		}
		ops[i] = o
	}
	h := stage0.Header{Ops: uint32(len(ops)), Clone: p.clone, Owner: uint32(p.owner), Cgroup: uint8(p.group), Within: uint8(p.within), First: uint16(p.first)}
	h.UIDMap, h.GIDMap = uint32(e.bytes([]byte(p.uids+"\x00"))), uint32(e.bytes([]byte(p.gids+"\x00")))
	return e.finish(h, ops)
}

// encoder lays out a program's data. Offsets count from the program's begin as long as there are no relocations between
// steps and data; finish adds their length.
type encoder struct {
	at     int // where data begins
	data   []byte
	relocs []int // offsets of pointers: below at in the steps, from there on in the data
}

func (e *encoder) value(a any) (v uint64, isReg, isPointer bool) {
	switch a := a.(type) {
	case int:
		return uint64(a), false, false
	case reg:
		return uint64(a), true, false
	case string:
		return uint64(e.bytes([]byte(a + "\x00"))), false, true
	case []byte:
		return uint64(e.bytes(a)), false, true
	case words:
		return uint64(e.words(a)), false, true
	case filter:
		code := e.bytes(a)
		fprog := binary.NativeEndian.AppendUint64(nil, uint64(len(a)/8))
		at := e.bytes(binary.NativeEndian.AppendUint64(fprog, uint64(code)))
		e.relocs = append(e.relocs, at+8)
		return uint64(at), false, true
	default:
		panic(fmt.Sprintf("container: a step cannot have an argument of type %T", a))
	}
}

// bytes appends b, aligned, and returns where it is.
func (e *encoder) bytes(b []byte) int {
	at := e.at + len(e.data)
	e.data = append(e.data, b...)
	for len(e.data)%8 != 0 {
		e.data = append(e.data, 0)
	}
	return at
}

func (e *encoder) words(list []string) int {
	var array []byte
	for _, s := range list {
		array = binary.NativeEndian.AppendUint64(array, uint64(e.bytes([]byte(s+"\x00"))))
	}
	at := e.bytes(binary.NativeEndian.AppendUint64(array, 0))
	for i := range list {
		e.relocs = append(e.relocs, at+8*i)
	}
	return at
}

func (e *encoder) finish(h stage0.Header, ops []stage0.Op) ([]byte, error) {
	if len(e.relocs)%2 != 0 {
		e.relocs = append(e.relocs, e.bytes(make([]byte, 8))) // keeps the data aligned; an unused word may be relocated
	}
	h.Relocs = uint32(len(e.relocs))
	shift := 4 * len(e.relocs)
	h.UIDMap += uint32(shift)
	h.GIDMap += uint32(shift)
	head := int(unsafe.Sizeof(h))
	out := make([]byte, 0, e.at+shift+len(e.data))
	out = append(out, unsafe.Slice((*byte)(unsafe.Pointer(&h)), head)...)
	if len(ops) > 0 {
		out = append(out, unsafe.Slice((*byte)(unsafe.Pointer(&ops[0])), len(ops)*int(unsafe.Sizeof(ops[0])))...)
	}
	for _, r := range e.relocs {
		if r >= e.at {
			r += shift
		}
		out = binary.NativeEndian.AppendUint32(out, uint32(r))
	}
	out = append(out, e.data...)
	for _, r := range e.relocs { // every pointer is into the data, which has moved
		if r >= e.at {
			r += shift
		}
		binary.NativeEndian.PutUint64(out[r:], binary.NativeEndian.Uint64(out[r:])+uint64(shift))
	}
	if len(out) > stage0.MaxSize {
		return nil, fmt.Errorf("its arguments, environment and mounts take %d bytes of at most %d", len(out), stage0.MaxSize)
	}
	return out, nil
}

// failure says in words what stage 0 reported.
func (p *program) failure(m stage0.Message) error {
	errno := syscall.Errno(m.Value)
	switch m.Op {
	case stage0.OpClone:
		if errno == syscall.EPERM && p.clone&syscall.CLONE_NEWUSER != 0 {
			return fmt.Errorf("create user namespace: %w (not allowed in a chroot, nor under some container engines' system call filters)", errno)
		}
		if p.clone&syscall.CLONE_NEWUSER == 0 {
			return fmt.Errorf("create process: %w", errno)
		}
		return fmt.Errorf("create user namespace: %w", errno)
	case stage0.OpUIDMap, stage0.OpGIDMap:
		return fmt.Errorf("map user and group ids: %w", errno)
	case stage0.OpOwner:
		return fmt.Errorf("become the owner's user: %w", errno)
	case stage0.OpEnter:
		return fmt.Errorf("enter pid namespace: %w", errno)
	case stage0.OpPipe:
		return fmt.Errorf("open pipe: %w", errno)
	}
	if int(m.Op) < len(p.steps) {
		return fmt.Errorf("%s: %w", p.steps[m.Op].what, errno)
	}
	return fmt.Errorf("step %d: %w", m.Op, errno)
}

// String lists the steps' names, a line each: a program's summary for tests.
func (p *program) String() string {
	var b strings.Builder
	for _, s := range p.steps {
		b.WriteString(s.what)
		b.WriteByte('\n')
	}
	return b.String()
}
