package logs

import (
	"cmp"
	"strconv"
	"strings"

	"artesian/internal/faas"
)

// position is the place of an event: its message, and its index in that.
type position struct {
	seq   uint64
	index int
}

func (p position) compare(o position) int {
	return cmp.Or(cmp.Compare(p.seq, o.seq), cmp.Compare(p.index, o.index))
}

// What a token is for; it does not pass for anything else.
const (
	filterToken   = "e"
	forwardToken  = "f"
	backwardToken = "b"
)

// token writes a position as text: kind, sequence and index.
func (p position) token(kind string) string {
	return kind + "/" + strconv.FormatUint(p.seq, 10) + "/" + strconv.Itoa(p.index)
}

func parseToken(s, kind string) (position, error) {
	p := strings.Split(s, "/")
	if len(p) == 3 && p[0] == kind {
		seq, err1 := strconv.ParseUint(p[1], 10, 63)
		index, err2 := strconv.ParseUint(p[2], 10, 31)
		if err1 == nil && err2 == nil {
			return position{seq, int(index)}, nil
		}
	}
	return position{}, faas.Errorf(faas.Invalid, "The specified nextToken is invalid.")
}

// position reads an ID that eventID made.
func (e *Event) position() position {
	seq, err1 := strconv.ParseUint(e.ID[:20], 10, 64)
	index, err2 := strconv.Atoi(e.ID[20:])
	if err1 != nil || err2 != nil {
		return position{}
	}
	return position{seq, index}
}
