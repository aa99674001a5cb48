// Package output takes over what a sandbox prints. It reads the pipe in the background and, when asked, at once; splits
// it into log records; and hands them to a function that may block: the pipe fills, and this sandbox alone waits.
package output

import (
	"bytes"
	"encoding/binary"
	"time"
	"unicode/utf8"
)

// MaxRecord is the longest record in bytes, the limit of a CloudWatch log event with its 26 bytes of overhead taken off
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html). A longer one becomes several.
const MaxRecord = 256<<10 - 26

// A record of several lines comes in a frame, as Lambda's own runtimes write it to their telemetry descriptor: four bytes
// of type, 0xA55A00 and a kind; four of length; eight of time; the text. The time is passed over: records carry the time
// at which they arrived, so that those with and those without a frame stay in the order in which they were written. No UTF-8 text begins with
// 0xA5, so everything else is plain lines.
const frameHead = 16

var frameMagic = [3]byte{0xA5, 0x5A, 0x00}

// decoder splits a stream of bytes into records. Its input may be anything. Every byte is looked at once.
type decoder struct {
	emit  func(at time.Time, message string)
	rest  []byte // what has not made a record yet
	clean int    // how much of rest holds neither a line's end nor the start of a frame
}

// write takes over b, which came at now.
func (d *decoder) write(b []byte, now time.Time) {
	if len(d.rest) == 0 {
		n := d.consume(b, now)
		d.rest = append(d.rest, b[n:]...)
		return
	}
	d.rest = append(d.rest, b...)
	if n := d.consume(d.rest, now); n > 0 {
		left := d.rest[n:]
		if cap(d.rest) > keep && len(left) <= keep {
			d.rest = nil
		}
		d.rest = append(d.rest[:0], left...)
	}
}

// keep is how much memory a decoder holds on to while little is in it.
const keep = 4 << 10

// flush makes a record of a line that was left open; with all, also of a frame that was.
func (d *decoder) flush(now time.Time, all bool) {
	left := d.rest
	if _, ok := frame(left); ok {
		if !all {
			return
		}
		left = left[min(len(left), frameHead):]
	}
	d.rest, d.clean = d.rest[:0], 0
	d.record(now, left)
}

// consume emits the records at the start of b and returns their size with what ends them.
func (d *decoder) consume(b []byte, now time.Time) (used int) {
	for {
		n := d.first(b[used:], now)
		if n == 0 {
			return used
		}
		used += n
		d.clean = 0
	}
}

// first emits the record that b begins with and returns the size of what it used; 0 when more is needed.
func (d *decoder) first(b []byte, now time.Time) int {
	if size, ok := frame(b); ok {
		if size == 0 || len(b) < frameHead+size {
			return 0
		}
		d.record(now, bytes.TrimSuffix(b[frameHead:frameHead+size], []byte{'\n'}))
		return frameHead + size
	}
	line, ended := b, 0
	if i := bytes.IndexByte(b[d.clean:], '\n'); i >= 0 {
		line, ended = b[:d.clean+i], 1
	}
	if from := max(d.clean, 1); len(line) > from {
		if i := bytes.Index(line[from:], frameMagic[:]); i >= 0 {
			line, ended = line[:from+i], 0 // a frame follows a line left open
			d.record(now, line)
			return len(line)
		}
	}
	switch {
	case ended > 0:
	case len(line) >= MaxRecord:
		line = line[:cut(line[:MaxRecord])]
	default:
		d.clean = max(0, len(line)-len(frameMagic)+1) // the last bytes may begin a frame
		return 0
	}
	d.record(now, line)
	return len(line) + ended
}

// record emits one record, in pieces when it is too long, with what is not UTF-8 replaced. An empty one is left out: a log
// event has at least one character.
func (d *decoder) record(at time.Time, message []byte) {
	message = bytes.TrimSuffix(message, []byte{'\r'})
	if !utf8.Valid(message) {
		message = bytes.ToValidUTF8(message, []byte("\uFFFD"))
	}
	for len(message) > MaxRecord {
		n := cut(message[:MaxRecord])
		d.emit(at, string(message[:n]))
		message = message[n:]
	}
	if len(message) > 0 {
		d.emit(at, string(message))
	}
}

// frame reports whether b begins like a frame, and the size of its text; 0 as long as that isn't known. A frame without
// text or beyond the limit is none: its bytes are taken as they are.
func frame(b []byte) (size int, ok bool) {
	n := min(len(b), len(frameMagic))
	if n == 0 || !bytes.Equal(b[:n], frameMagic[:n]) {
		return 0, false
	}
	if len(b) < 8 {
		return 0, true
	}
	size = int(binary.BigEndian.Uint32(b[4:]))
	return size, size > 0 && size <= MaxRecord
}

// cut returns how much of b to take so that no character is split.
func cut(b []byte) int {
	n := len(b)
	for i := 1; i < utf8.UTFMax && i < n; i++ {
		if c := b[n-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[n-i:]) {
				return n - i
			}
			break
		}
	}
	return n
}
