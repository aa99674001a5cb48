package watch

import (
	"os"
	"strconv"
	"testing"
	"time"
)

func TestParseTimes(t *testing.T) {
	const line = "17 (a) R 1 (b) S 1 17 17 0 -1 4194560 100 0 0 0 7 3 20 1 20 0 1 0 1000 0 0"
	own, waited := parseTimes([]byte(line))
	if own != 100*time.Millisecond || waited != 210*time.Millisecond {
		t.Errorf("a process with an odd name: %v, %v", own, waited)
	}
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	exact, ok := clock(os.Getpid())
	if own, _ := parseTimes(stat); !ok || own > exact+tick || exact > own+time.Second {
		t.Errorf("this process: %v, by its clock %v", own, exact)
	}
}

func TestInnermost(t *testing.T) {
	if got, err := innermost(os.Getpid()); err != nil || got != strconv.Itoa(os.Getpid()) {
		t.Errorf("this process is %q, %v", got, err)
	}
}

// FuzzParseTimes: a function chooses the name that stands in the line.
func FuzzParseTimes(f *testing.F) {
	f.Add([]byte("1 (x) S 0 0 0 0 0 0 0 0 0 0 1 2 3 4"))
	f.Add([]byte(")"))
	f.Fuzz(func(t *testing.T, b []byte) {
		own, waited := parseTimes([]byte("1 (" + string(b) + ") S 0 0 0 0 0 0 0 0 0 0 1 2 3 4"))
		if own != 3*tick || waited != 7*tick {
			t.Errorf("%v, %v", own, waited)
		}
		parseTimes(b)
	})
}
