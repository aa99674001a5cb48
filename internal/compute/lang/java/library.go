package java

import (
	"bytes"
	"encoding/binary"
)

// library returns a shared library with the native methods of runtime/artesian/Native.java, each of which passes its arguments on to
// a function of the C library: all that a JVM can't do to its process by itself. nil for an architecture that it is not known for.
// Every such file that a linker makes has these parts; here they are few enough to be written by hand, so that no C compiler is needed.
// https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html
func library(arch string) []byte {
	machine, ok := machines[arch]
	if !ok {
		return nil
	}
	l := layoutOf()
	var hash, symbols, relocations, code buffer
	count := uint32(1 + 2*len(natives))
	hash.words32(1, count, count-1) // one chain through all symbols, the last one first
	for i := range count {
		hash.words32(max(i, 1) - 1)
	}
	symbols.Write(make([]byte, symbolSize))
	for i, n := range natives {
		symbols.symbol(l.name[n.calls], 0, 0)
		relocations.words64(l.slot(i), uint64(1+i)<<32|machine.relocation, 0)
	}
	for i, n := range natives {
		at := l.code + uint64(i)*codeSize
		symbols.symbol(l.name[prefix+n.name], at, codeSize)
		c := machine.jump(at, l.slot(i), n.arguments)
		code.Write(append(c, make([]byte, codeSize-len(c))...))
	}
	var dynamic buffer
	dynamic.words64(4, l.hash, 5, l.text, 6, l.symbols, 10, uint64(len(l.texts)), 11, symbolSize, 7, l.relocations, 8, uint64(relocations.Len()), 9, relocationSize, 0, 0)

	out := make([]byte, l.dynamic+uint64(dynamic.Len()))
	var head buffer
	head.WriteString("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	head.words16(3, machine.number)
	head.words32(1)
	head.words64(0, headSize, 0)
	head.words32(0)
	head.words16(headSize, segmentSize, segments, 0, 0, 0)
	head.segment(1, 5, 0, 0, l.code+uint64(code.Len()), page)
	head.segment(1, 6, l.slots, l.slots+page, uint64(len(out))-l.slots, page)
	head.segment(2, 6, l.dynamic, l.dynamic+page, uint64(dynamic.Len()), 8)
	head.segment(0x6474e551, 6, 0, 0, 0, 16) // the stack is not executable
	for at, part := range map[uint64][]byte{0: head.Bytes(), l.hash: hash.Bytes(), l.symbols: symbols.Bytes(), l.text: l.texts, l.relocations: relocations.Bytes(), l.code: code.Bytes(), l.dynamic: dynamic.Bytes()} {
		copy(out[at:], part)
	}
	return out
}

// natives are the methods and what they call. A method's own arguments are behind two of the JVM's.
var natives = [...]struct {
	name, calls string
	arguments   int
}{{"chdir", "chdir", 1}, {"setenv", "setenv", 2}, {"clearenv", "clearenv", 0}}

const (
	prefix = "Java_artesian_Native_"

	headSize, segmentSize, segments = 64, 56, 4
	symbolSize, relocationSize      = 24, 24
	codeSize                        = 32      // room for one method
	page                            = 1 << 16 // the largest that Linux has on these machines
)

// layout is where the parts of the file are. Those that are written to, from slots on, are a page further on in memory.
type layout struct {
	hash, symbols, text, relocations, code, slots, dynamic uint64

	texts []byte
	name  map[string]uint32 // where a symbol's name is in texts
}

func layoutOf() layout {
	l := layout{texts: []byte{0}, name: make(map[string]uint32)}
	for _, n := range natives {
		for _, s := range []string{n.calls, prefix + n.name} {
			l.name[s] = uint32(len(l.texts))
			l.texts = append(append(l.texts, s...), 0)
		}
	}
	n := uint64(len(natives))
	align := func(at uint64) uint64 { return (at + 15) &^ 15 }
	l.hash = align(headSize + segments*segmentSize)
	l.symbols = align(l.hash + 4*(3+2*n+1))
	l.text = align(l.symbols + symbolSize*(2*n+1))
	l.relocations = align(l.text + uint64(len(l.texts)))
	l.code = align(l.relocations + relocationSize*n)
	l.slots = align(l.code + codeSize*n)
	l.dynamic = align(l.slots + 8*n)
	return l
}

// slot is where in memory the loader puts the address of the function that native i calls.
func (l layout) slot(i int) uint64 { return l.slots + page + 8*uint64(i) }

// machine is what differs between architectures.
type machine struct {
	number     uint16
	relocation uint64 // that puts an address into a slot
	// jump is code at address at that moves n arguments to where the C library takes them, and 1 behind two, and goes where slot says.
	jump func(at, slot uint64, n int) []byte
}

var machines = map[string]machine{
	"amd64": {62, 6, func(at, slot uint64, n int) []byte {
		c := [][]byte{{}, {0x48, 0x89, 0xd7}, {0x48, 0x89, 0xd7, 0x48, 0x89, 0xce, 0xba, 1, 0, 0, 0}}[n] // mov rdi, rdx; mov rsi, rcx; mov edx, 1
		c = append(bytes.Clone(c), 0xff, 0x25)                                                           // jmp [rip+…]
		return binary.LittleEndian.AppendUint32(c, uint32(slot-(at+uint64(len(c))+4)))
	}},
	"arm64": {183, 1025, func(at, slot uint64, n int) []byte {
		ins := [][]uint32{{}, {0xaa0203e0}, {0xaa0203e0, 0xaa0303e1, 0x52800022}}[n] // mov x0, x2; mov x1, x3; mov w2, #1
		pages := uint32(slot>>12 - (at+4*uint64(len(ins)))>>12)
		ins = append(ins[:len(ins):len(ins)],
			0x90000010|pages&3<<29|pages>>2&0x7ffff<<5, // adrp x16, …
			0xf9400210|uint32(slot&0xfff/8)<<10,        // ldr x16, [x16, …]
			0xd61f0200)                                 // br x16
		var c buffer
		c.words32(ins...)
		return c.Bytes()
	}},
}

// buffer takes little-endian words.
type buffer struct{ bytes.Buffer }

func (b *buffer) words16(all ...uint16) { _ = binary.Write(b, binary.LittleEndian, all) } // a buffer takes everything
func (b *buffer) words32(all ...uint32) { _ = binary.Write(b, binary.LittleEndian, all) }
func (b *buffer) words64(all ...uint64) { _ = binary.Write(b, binary.LittleEndian, all) }

// symbol is that of a function: of another library, unless it has an address.
func (b *buffer) symbol(name uint32, at, size uint64) {
	b.words32(name)
	b.Write([]byte{0x12, 0})
	b.words16(uint16(min(at, 1)))
	b.words64(at, size)
}

func (b *buffer) segment(kind, flags uint32, offset, address, size, align uint64) {
	b.words32(kind, flags)
	b.words64(offset, address, address, size, size, align)
}
