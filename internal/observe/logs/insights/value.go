package insights

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// A value is a string, a float64, a bool, a stamp, or nil for what there is not.

// stamp is a time in ms since 1970. It counts as a number and is shown as a date.
type stamp int64

const shown = "2006-01-02 15:04:05.000"

// number is a value as a number. Text that is one counts.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case stamp:
		return float64(v), true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case string:
		if v == "" || v[0] > '9' || len(v) > 40 { // most text is none, which is quickly seen
			return 0, false
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		return f, err == nil
	}
	return 0, false
}

// text is a value as it is shown; nothing for nil.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return strconv.FormatInt(int64(v), 10)
		}
		if rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 12, 64), 64); err == nil {
			v = rounded // 0.1 + 0.2 is 0.3
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case stamp:
		return time.UnixMilli(int64(v)).UTC().Format(shown)
	}
	return ""
}

// truth is a value as a condition.
func truth(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case string:
		return v != "" && v != "0" && v != "false"
	case nil:
		return false
	}
	n, _ := number(v)
	return n != 0
}

// order compares two values: as numbers when both are, else as text.
func order(a, b any) int {
	x, ok1 := number(a)
	y, ok2 := number(b)
	switch {
	case ok1 && ok2 && x < y:
		return -1
	case ok1 && ok2 && x > y:
		return 1
	case ok1 && ok2:
		return 0
	}
	return strings.Compare(text(a), text(b))
}

// fromJSON is what a decoded JSON value counts as.
func fromJSON(v any) any {
	switch v := v.(type) {
	case json.Number:
		if f, err := v.Float64(); err == nil && v.String() == text(f) {
			return f
		}
		return v.String()
	case string, bool, nil:
		return v
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return string(b)
}
