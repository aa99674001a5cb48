package artifact

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"artesian/internal/faas"
)

// Sizes and signatures of a zip's ending (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3.12 to 4.3.16).
const (
	recordSize    = 46 // of a directory's record, without its name, extra field and comment
	endSize       = 22 // without its comment
	locatorSize   = 20
	end64Size     = 56
	endSearch     = endSize + 1<<16 // a comment has at most 65,535 bytes
	recordSig     = 0x02014b50
	endSig        = 0x06054b50
	locatorSig    = 0x07064b50
	end64Sig      = 0x06064b50
	all16, all32  = 1<<16 - 1, 1<<32 - 1 // the zip64 end has the number
	archiveLimit  = all32                // bytes of an archive; packages are far smaller
	directoryRead = 64 << 10
)

var errEnding = errors.New("bad end of zip directory")

// ending is where an archive's directory lies and how many records it says it has.
type ending struct {
	at            int64 // of the end record that counts
	records       uint64
	size, offset  uint64 // of the directory; offset is relative to base
	base, dirSize int64
}

// openZip reads the directory of an archive. zip.NewReader believes neither the number of records nor the directory's size and
// keeps some hundred bytes for each record that it finds, so both are checked first, without keeping anything, and it
// gets to see only what was checked.
func openZip(r io.ReaderAt, size int64) (*zip.Reader, error) {
	e, err := findEnding(r, size)
	if err != nil {
		return nil, err
	}
	if e.records > MaxEntries {
		return nil, tooMany()
	}
	if err := e.walk(r); err != nil {
		return nil, err
	}
	v := e.view(r)
	zr, err := zip.NewReader(v, v.size())
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // the names are judged by plan
		return nil, broken(err)
	}
	return zr, nil
}

func tooMany() error {
	return faas.Errorf(faas.Invalid, "%s It has more than %d files and directories.", notAZip, MaxEntries)
}

// findEnding reads the end of an archive, and its zip64 end when there is one.
func findEnding(r io.ReaderAt, size int64) (*ending, error) {
	if size < endSize || size > archiveLimit {
		return nil, broken(errEnding)
	}
	tail := make([]byte, min(size, endSearch))
	if _, err := io.ReadFull(io.NewSectionReader(r, size-int64(len(tail)), int64(len(tail))), tail); err != nil {
		return nil, broken(err)
	}
	i := bytes.LastIndex(tail[:len(tail)-endSize+4], binary.LittleEndian.AppendUint32(nil, endSig))
	if i < 0 || i+endSize+int(u16(tail[i+20:])) > len(tail) {
		return nil, broken(errEnding)
	}
	b := tail[i:]
	e := &ending{at: size - int64(len(tail)) + int64(i), records: uint64(u16(b[10:])), size: uint64(u32(b[12:])), offset: uint64(u32(b[16:]))}
	if e.records == all16 || e.size == all32 || e.offset == all32 {
		if err := e.read64(r); err != nil {
			return nil, broken(err)
		}
	}
	return e, e.place(r)
}

// read64 takes the numbers from the zip64 end. Without one they are meant as they stand.
func (e *ending) read64(r io.ReaderAt) error {
	if e.at < locatorSize {
		return nil
	}
	var l [locatorSize]byte
	if _, err := r.ReadAt(l[:], e.at-locatorSize); err != nil {
		return err
	}
	if u32(l[:]) != locatorSig {
		return nil
	}
	at := u64(l[8:])
	if at > uint64(e.at-locatorSize) || uint64(e.at-locatorSize)-at < end64Size {
		return errEnding
	}
	var b [end64Size]byte
	if _, err := r.ReadAt(b[:], int64(at)); err != nil {
		return err
	}
	if u32(b[:]) != end64Sig {
		return errEnding
	}
	e.at, e.records, e.size, e.offset = int64(at), u64(b[32:]), u64(b[40:]), u64(b[48:])
	return nil
}

// place finds where offsets count from: an archive may have something before it, as self-extracting ones do.
func (e *ending) place(r io.ReaderAt) error {
	if e.size > uint64(e.at) || e.offset > uint64(e.at)-e.size {
		return broken(errEnding) // the directory does not fit before its end
	}
	e.dirSize = int64(e.size)
	e.base = e.at - e.dirSize - int64(e.offset)
	if e.base > 0 && e.records > 0 { // some say a wrong size and a right offset
		var sig [4]byte
		if _, err := r.ReadAt(sig[:], int64(e.offset)); err != nil {
			return broken(err)
		}
		if u32(sig[:]) == recordSig {
			e.base, e.dirSize = 0, e.at-int64(e.offset)
		}
	}
	return nil
}

// walk passes over the directory's records, which must be as many as are said.
func (e *ending) walk(r io.ReaderAt) error {
	dir := bufio.NewReaderSize(io.NewSectionReader(r, e.base+int64(e.offset), e.dirSize), directoryRead)
	for range e.records {
		b, err := dir.Peek(recordSize)
		if err != nil || u32(b) != recordSig {
			return broken(errEnding)
		}
		if _, err := dir.Discard(recordSize + int(u16(b[28:])) + int(u16(b[30:])) + int(u16(b[32:]))); err != nil {
			return broken(errEnding)
		}
	}
	if b, err := dir.Peek(4); err == nil && u32(b) == recordSig {
		return broken(errEnding)
	}
	return nil
}

// view is an archive up to the end of its directory, and an ending of our own.
type view struct {
	archive *io.SectionReader
	end     []byte
}

func (e *ending) view(r io.ReaderAt) *view {
	length := int64(e.offset) + e.dirSize
	le := binary.LittleEndian
	b := le.AppendUint32(nil, end64Sig)
	b = le.AppendUint64(b, end64Size-12)
	b = append(b, 45, 0, 45, 0)       // version 4.5 has zip64
	b = append(b, make([]byte, 8)...) // the first disk
	for _, n := range [...]uint64{e.records, e.records, uint64(e.dirSize), e.offset} {
		b = le.AppendUint64(b, n)
	}
	b = append(le.AppendUint32(b, locatorSig), 0, 0, 0, 0)
	b = le.AppendUint32(le.AppendUint64(b, uint64(length)), 1)
	b = append(le.AppendUint32(b, endSig), 0, 0, 0, 0)
	for range 12 {
		b = append(b, 0xff)
	}
	return &view{io.NewSectionReader(r, e.base, length), append(b, 0, 0)}
}

func (v *view) size() int64 { return v.archive.Size() + int64(len(v.end)) }

// ReadAt implements io.ReaderAt.
func (v *view) ReadAt(p []byte, off int64) (n int, err error) {
	if off < v.archive.Size() {
		if n, err = v.archive.ReadAt(p, off); n == len(p) || err != nil && err != io.EOF {
			return n, err
		}
	}
	rest := off + int64(n) - v.archive.Size()
	if rest >= int64(len(v.end)) {
		return n, io.EOF
	}
	m := copy(p[n:], v.end[rest:])
	if n += m; n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func u16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
func u32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func u64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
