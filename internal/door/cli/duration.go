package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// duration is a time as people type it: 90 (seconds), 90s, 1h30m, 7d.
type duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler, which the command line's parser asks for.
func (d *duration) UnmarshalText(b []byte) error {
	s := string(b)
	if strings.Trim(s, "0123456789") == "" && s != "" {
		s += "s"
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return notDuration(b)
		}
		*d = duration(time.Duration(n) * 24 * time.Hour)
		return nil
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return notDuration(b)
	}
	*d = duration(v)
	return nil
}

func notDuration(b []byte) error {
	return fmt.Errorf("%q is not a time; for example 30 or 30s (seconds), 10m, 24h, 7d", b)
}
