package java

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"
)

// TestLibrary: what reads such files finds its way in it, and the methods call what they are named for. That they do is what
// TestCannotTell sees, on this machine's architecture.
func TestLibrary(t *testing.T) {
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		b := library(arch)
		f, err := elf.NewFile(bytes.NewReader(b))
		if err != nil {
			t.Fatal(arch, err)
		}
		if f.Machine != machine || f.Type != elf.ET_DYN {
			t.Error(arch, f.Machine, f.Type)
		}
		for _, p := range f.Progs {
			if p.Off+p.Filesz > uint64(len(b)) || p.Vaddr%p.Align != p.Off%p.Align || p.Flags&(elf.PF_W|elf.PF_X) == elf.PF_W|elf.PF_X {
				t.Error(arch, p.ProgHeader)
			}
		}
	}
	l := layoutOf()
	for i, n := range natives { // this machine runs one of them only
		at := l.code + uint64(i)*codeSize
		c := machines["arm64"].jump(at, l.slot(i), n.arguments)
		word := func(back int) uint64 { return uint64(binary.LittleEndian.Uint32(c[len(c)-4*back:])) }
		adrp, ldr := word(3), word(2)
		pages := adrp>>29&3 | adrp>>5&0x7ffff<<2
		if got := (at+uint64(len(c))-12)&^0xfff + pages<<12 + ldr>>10&0xfff*8; got != l.slot(i) || word(1) != 0xd61f0200 {
			t.Errorf("%s jumps to what is at %#x, not %#x", n.name, got, l.slot(i))
		}
	}
	if library("m68k") != nil {
		t.Error("a library for a machine that nobody knows")
	}
}
