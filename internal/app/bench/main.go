// Command bench measures the daemon beside floors and peers in the same run: the machines it runs on are shared and noisy, so ours
// and the floor take turns within the same seconds and the median of the ratios counts. `make bench` runs it, installs what it
// measures beside, and keeps the table in bench/results.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// lab is what a run has.
type lab struct {
	bin   string // the program to measure
	dir   string // for everything that the run makes
	peers string // where scripts/peers/install put them
}

// section is a group of figures that share a daemon.
type section struct {
	name string
	run  func(lab) ([]row, error)
}

// sections in the order in which they are run: what needs a quiet machine first.
var sections = []section{
	{"warm-python", warm(samples[0], 1769)}, {"warm-python-128", warm(samples[0], 128)}, {"warm-node", warm(samples[1], 1769)},
	{"warm-node-128", warm(samples[1], 128)}, {"warm-workerd", warmWorkerd}, {"signed", signed}, {"cold-python", coldPython}, {"cold-node", coldNode}, {"cold-go", coldGo}, {"cold-java", coldJava},
	{"imports", imports}, {"snapstart", snapStart}, {"gvisor", gvisor}, {"neighbour", neighbour}, {"burst", burst}, {"stem-empty", stemEmpty}, {"start", start},
	{"zero", zero}, {"peers", peers}, {"egress", egress}, {"reads", reads}, {"stream", stream}, {"keep", keep},
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "floor" {
		serveFloor(os.Args[2])
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "forks" {
		forkAll(os.Args[2])
		return
	}
	only := flag.String("run", "", "run the sections whose names match this regular expression: "+names())
	bin := flag.String("artesian", "", "the program to measure; default: build it")
	out := flag.String("results", "", "a directory to keep the table in, as DATE-COMMIT.md")
	say := flag.Bool("notes", false, "print the notes below the table too")
	where := flag.String("peers", ".peers", "where the peers are installed")
	flag.Parse()
	if err := run(*bin, *only, *out, *where, *say); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func names() string {
	var all []string
	for _, s := range sections {
		all = append(all, s.name)
	}
	return strings.Join(all, ", ")
}

// leaveSettings takes out of the environment what interpreters would read there: a floor or peer that starts with more to do than the
// function beside it is none.
func leaveSettings() {
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		for _, of := range []string{"NODE_", "PYTHON", "JAVA_", "JDK_", "LD_", "GOMAXPROCS", "GOGC", "GOMEMLIMIT", "GODEBUG"} {
			if strings.HasPrefix(name, of) {
				_ = os.Unsetenv(name)
			}
		}
	}
}

func run(bin, only, out, where string, say bool) error {
	filter, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	dir, err := os.MkdirTemp("", "artesian-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l := lab{bin: bin, dir: dir}
	if l.peers, err = filepath.Abs(where); err != nil {
		return err
	}
	if bin == "" {
		l.bin = filepath.Join(dir, "artesian")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", l.bin, "./cmd/artesian")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if said, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build: %w: %s", err, said)
		}
	}
	adopt()
	leaveSettings()
	begin := time.Now()
	t := table{notes: say}
	t.head()
	var failed error
	for _, s := range sections {
		if !filter.MatchString(s.name) {
			continue
		}
		at := time.Now()
		rows, err := s.run(l)
		if errors.Is(err, errNoTool) { // what is not here is no reason to leave out the rest
			rows, err = append(rows, row{name: s.name, text: "not measured: " + err.Error()}), nil
		}
		if err != nil {
			rows = append(rows, row{name: s.name, text: "broke off: " + err.Error()})
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.name, err))
		}
		t.add(s.name, time.Since(at), rows)
	}
	t.took = time.Since(begin)
	t.foot()
	if out != "" {
		failed = errors.Join(failed, t.save(out))
	}
	return failed
}
