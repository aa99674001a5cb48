package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"
)

// message is one message of an event stream, as https://smithy.io/2.0/aws/amazon-eventstream.html describes it: a prelude
// (total length, length of the headers, checksum of the two), headers, payload, checksum of all.
type message struct {
	headers []header
	payload []byte
}

// header is a name of at most 255 bytes and a value: bool, int32, int64, []byte, string or time.Time.
type header struct {
	name  string
	value any
}

// The types of header values.
const (
	headerTrue = iota
	headerFalse
	headerByte
	headerShort
	headerInt
	headerLong
	headerBytes
	headerString
	headerTime
)

// maxHeaderValue is the most that a string or bytes in a header may have.
const maxHeaderValue = 1<<15 - 1

func (m *message) append(b []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, 12)...)
	for _, h := range m.headers {
		b = h.append(b)
	}
	headers := len(b) - start - 12
	b = append(b, m.payload...)
	prelude := b[start:]
	binary.BigEndian.PutUint32(prelude, uint32(len(prelude)+4))
	binary.BigEndian.PutUint32(prelude[4:], uint32(headers))
	binary.BigEndian.PutUint32(prelude[8:], crc32.ChecksumIEEE(prelude[:8]))
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
}

func (h *header) append(b []byte) []byte {
	b = append(append(b, byte(len(h.name))), h.name...)
	switch v := h.value.(type) {
	case bool:
		if v {
			return append(b, headerTrue)
		}
		return append(b, headerFalse)
	case int32:
		return binary.BigEndian.AppendUint32(append(b, headerInt), uint32(v))
	case int64:
		return binary.BigEndian.AppendUint64(append(b, headerLong), uint64(v))
	case []byte:
		v = v[:min(len(v), maxHeaderValue)]
		return append(binary.BigEndian.AppendUint16(append(b, headerBytes), uint16(len(v))), v...)
	case string:
		v = v[:min(len(v), maxHeaderValue)]
		return append(binary.BigEndian.AppendUint16(append(b, headerString), uint16(len(v))), v...)
	case time.Time:
		return binary.BigEndian.AppendUint64(append(b, headerTime), uint64(v.UnixMilli()))
	}
	panic(fmt.Sprintf("a header of type %T", h.value)) // the model allows the above
}
