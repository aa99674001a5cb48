package meter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"artesian/internal/engine/journal"
	"artesian/internal/faas"
)

// Kinds of journal records. Integers are varints, text has its length before it.
const (
	kindUsage = 1 // one invocation
	kindRow   = 2 // a key and a sum, added to what there is
	kindBegin = 3 // a snapshot begins: rows follow
	kindRest  = 4 // a key and a sum of the snapshot
	kindEnd   = 5 // the snapshot is whole; the number of its rows, and where the closed days are
	kindSpill = 6 // the rows of this group are of records that the queue had no room for; a name for the group
)

// codecVersion begins every record. A reader that finds a newer one stops.
const codecVersion = 1

// rowVersion begins a key and a sum. Those of version 1 end before what provisioned instances used.
const rowVersion = 2

// usageVersion begins a usage record. Records of version 1 end with the phases of a cold start.
const usageVersion = 2

const maxText = 4096 // bytes of one text in a record; nothing that is recorded is longer

var errRecord = errors.New("damaged usage record")

type encoder []byte

func newEncoder() encoder { return append(make(encoder, 0, 192), codecVersion) }

func newUsageEncoder() encoder { return append(make(encoder, 0, 320), usageVersion) }

func (e *encoder) int(v int64) { *e = binary.AppendVarint(*e, v) }

func (e *encoder) ints(vs ...int64) {
	for _, v := range vs {
		e.int(v)
	}
}

func (e *encoder) text(s string) {
	s = s[:min(len(s), maxText)]
	*e = append(binary.AppendUvarint(*e, uint64(len(s))), s...)
}

type decoder struct {
	b   []byte
	bad bool
}

func newDecoder(b []byte) (*decoder, error) {
	d, _, err := newDecoderUpTo(codecVersion, b)
	return d, err
}

// newDecoderUpTo reads records of the versions from 1 to newest, and returns which it is.
func newDecoderUpTo(newest byte, b []byte) (*decoder, byte, error) {
	if len(b) == 0 {
		return nil, 0, errRecord
	}
	if b[0] == 0 || b[0] > newest {
		return nil, 0, fmt.Errorf("%w: format %d, this version reads only up to format %d", errRecord, b[0], newest)
	}
	return &decoder{b: b[1:]}, b[0], nil
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) dur() time.Duration { return time.Duration(d.int()) }

func (d *decoder) text() string {
	size, n := binary.Uvarint(d.b)
	if n <= 0 || size > maxText || size > uint64(len(d.b)-n) {
		d.bad, d.b = true, nil
		return ""
	}
	s := string(d.b[n : n+int(size)])
	d.b = d.b[n+int(size):]
	return s
}

func (d *decoder) end() error {
	if d.bad || len(d.b) > 0 {
		return errRecord
	}
	return nil
}

func encodeUsage(u *faas.Usage) journal.Record {
	e := newUsageEncoder()
	for _, s := range [...]string{u.RequestID, u.Account, u.Region, u.Function, u.Version, string(u.Outcome)} {
		e.text(s)
	}
	e.ints(u.Start.Unix(), int64(u.Start.Nanosecond()), int64(u.Queue), int64(u.Run), u.BilledMS, int64(u.CPU), int64(u.MemoryMB),
		int64(u.PeakMB), u.BytesIn, u.BytesOut, int64(u.TmpMB))
	if c := u.Cold; c != nil {
		e.ints(1, int64(c.Place), int64(c.Sandbox), int64(c.Runtime), int64(c.Init))
		e.text(c.Way)
		e.text(c.Why)
	} else {
		e.int(0)
	}
	for _, s := range [...]string{u.Runtime, u.TraceID, u.Instance} {
		e.text(s)
	}
	flags := int64(0)
	for i, set := range [...]bool{u.Thawed, u.Ahead, u.Held} {
		if set {
			flags |= 1 << i
		}
	}
	e.ints(int64(u.Idle), flags, int64(u.Settle))
	return journal.Record{Kind: kindUsage, Data: e}
}

func decodeUsage(b []byte) (faas.Usage, error) {
	var u faas.Usage
	d, version, err := newDecoderUpTo(usageVersion, b)
	if err != nil {
		return u, err
	}
	for _, s := range [...]*string{&u.RequestID, &u.Account, &u.Region, &u.Function, &u.Version, (*string)(&u.Outcome)} {
		*s = d.text()
	}
	sec, nsec := d.int(), d.int()
	if nsec < 0 || nsec >= int64(time.Second) {
		return u, errRecord
	}
	u.Start = time.Unix(sec, nsec).UTC()
	u.Queue, u.Run, u.BilledMS, u.CPU = d.dur(), d.dur(), d.int(), d.dur()
	u.MemoryMB, u.PeakMB = int(d.int()), int(d.int())
	u.BytesIn, u.BytesOut, u.TmpMB = d.int(), d.int(), int(d.int())
	switch d.int() {
	case 0:
	case 1:
		u.Cold = &faas.Cold{Place: d.dur(), Sandbox: d.dur(), Runtime: d.dur(), Init: d.dur()}
		if version > 1 {
			u.Cold.Way, u.Cold.Why = d.text(), d.text()
		}
	default:
		return u, errRecord
	}
	if version > 1 {
		u.Runtime, u.TraceID, u.Instance = d.text(), d.text(), d.text()
		u.Idle = d.dur()
		flags := d.int()
		if flags < 0 || flags > 7 {
			return u, errRecord
		}
		u.Thawed, u.Ahead, u.Held, u.Settle = flags&1 != 0, flags&2 != 0, flags&4 != 0, d.dur()
	}
	return u, d.end()
}

func encodeRow(kind uint16, k Key, s *Sum) journal.Record {
	e := append(make(encoder, 0, 192), rowVersion)
	for _, t := range [...]string{k.Account, k.Region, k.Function, k.Version} {
		e.text(t)
	}
	e.int(int64(k.Day))
	e.int(int64(len(s.Outcomes)))
	e.ints(s.Outcomes[:]...)
	e.ints(s.Cold, int64(s.Place), int64(s.Sandbox), int64(s.Runtime), int64(s.Init), int64(s.Queue), int64(s.Run), s.BilledMS,
		s.Used.Requests, s.Used.MemoryMBs, s.Used.TmpMBs, int64(s.Used.CPU), s.Used.BytesOut, s.BytesIn, s.PeakMB, s.Receiptless,
		s.Used.HeldMBs, s.Used.HeldRunMBs)
	return journal.Record{Kind: kind, Data: e}
}

func decodeRow(b []byte) (k Key, s Sum, err error) {
	d, version, err := newDecoderUpTo(rowVersion, b)
	if err != nil {
		return k, s, err
	}
	for _, t := range [...]*string{&k.Account, &k.Region, &k.Function, &k.Version} {
		*t = d.text()
	}
	day := d.int()
	k.Day = Day(day)
	if int64(k.Day) != day || d.int() != int64(len(s.Outcomes)) {
		return k, s, errRecord
	}
	for i := range s.Outcomes {
		s.Outcomes[i] = d.int()
	}
	s.Cold, s.Place, s.Sandbox, s.Runtime, s.Init = d.int(), d.dur(), d.dur(), d.dur(), d.dur()
	s.Queue, s.Run, s.BilledMS = d.dur(), d.dur(), d.int()
	s.Used.Requests, s.Used.MemoryMBs, s.Used.TmpMBs, s.Used.CPU, s.Used.BytesOut = d.int(), d.int(), d.int(), d.dur(), d.int()
	s.BytesIn, s.PeakMB, s.Receiptless = d.int(), d.int(), d.int()
	if version > 1 {
		s.Used.HeldMBs, s.Used.HeldRunMBs = d.int(), d.int()
	}
	return k, s, d.end()
}

// closed says in which groups of the journal of closed days the rows of a day are.
type closed map[Day][]journal.Seq

func encodeEnd(rows int, c closed) journal.Record {
	e := newEncoder()
	e.ints(int64(rows), int64(len(c)))
	for day, seqs := range c {
		e.ints(int64(day), int64(len(seqs)))
		for _, s := range seqs {
			e.int(int64(s))
		}
	}
	return journal.Record{Kind: kindEnd, Data: e}
}

func decodeEnd(b []byte) (rows int, c closed, err error) {
	d, err := newDecoder(b)
	if err != nil {
		return 0, nil, err
	}
	rows = int(d.int())
	c = closed{}
	for n := d.int(); n > 0 && !d.bad; n-- {
		day := Day(d.int())
		for m := d.int(); m > 0 && !d.bad; m-- {
			c[day] = append(c[day], journal.Seq(d.int()))
		}
	}
	return rows, c, d.end()
}
