package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// row is one figure.
type row struct {
	name        string
	ours, floor value
	text        string  // instead of the values
	ratio       float64 // 0: none
	goal        goal
	note        string // what the name does not say
}

// value is a number with its unit.
type value struct {
	number float64
	unit   string // s, B, /s, calls, GB h, or none
}

func took(d time.Duration) value   { return value{d.Seconds(), "s"} }
func rate(perSecond float64) value { return value{perSecond, "/s"} }
func bytesOf(n int64) value        { return value{float64(n), "B"} }

func (v value) String() string {
	n := v.number
	switch v.unit {
	case "s":
		switch {
		case n < 0:
			return "-" + value{-n, "s"}.String()
		case n < 1e-3:
			return fmt.Sprintf("%.0f µs", n*1e6)
		case n < 1:
			return fmt.Sprintf("%.3g ms", n*1e3)
		}
		return fmt.Sprintf("%.3g s", n)
	case "B":
		switch {
		case n < 1<<20:
			return fmt.Sprintf("%.1f KB", n/(1<<10))
		case n < 1<<30:
			return fmt.Sprintf("%.1f MB", n/(1<<20))
		}
		return fmt.Sprintf("%.2f GB", n/(1<<30))
	case "bit/s":
		return fmt.Sprintf("%.1f Gbit/s", n/1e9)
	case "calls", "GB h":
		return fmt.Sprintf("%.0f %s", n, v.unit)
	case "/s":
		return fmt.Sprintf("%.0f/s", n)
	}
	return ""
}

// goal is what a figure is to be. The zero goal is none: the figure is for information.
type goal struct {
	of    string // ratio or ours
	least bool   // at least, else at most
	limit value
}

func ratioUpTo(limit float64) goal    { return goal{"ratio", false, value{number: limit}} }
func ratioAtLeast(limit float64) goal { return goal{"ratio", true, value{number: limit}} }
func upTo(limit value) goal           { return goal{"ours", false, limit} }

func (g goal) String() string {
	sign := "≤ "
	if g.least {
		sign = "≥ "
	}
	switch g.of {
	case "ratio":
		return fmt.Sprintf("%s%g×", sign, g.limit.number)
	case "ours":
		return sign + g.limit.String()
	}
	return ""
}

// verdict is met or missed; nothing where there is no goal or no figure.
func (r row) verdict() string {
	got := r.ratio
	if r.goal.of == "ours" {
		got = r.ours.number
	}
	if r.goal.of == "" || r.text != "" || r.goal.of == "ratio" && got == 0 {
		return ""
	}
	if got == r.goal.limit.number || (got > r.goal.limit.number) == r.goal.least {
		return "met"
	}
	return "missed"
}

func (r row) columns() (ours, floor, ratio string) {
	ours = r.ours.String()
	if r.text != "" {
		ours = r.text
	}
	if r.ratio != 0 {
		ratio = fmt.Sprintf("%.2f×", r.ratio)
	}
	return ours, r.floor.String(), ratio
}

// table is what a run found.
type table struct {
	rows     []row
	sections []string // one line each: its name and how long it took
	took     time.Duration
	notes    bool // printed, too
}

const columns = "%-78s %12s %12s %8s  %-10s %s\n"

func (t *table) head() {
	fmt.Printf(columns, "figure (medians of turns)", "ours", "floor/peer", "ratio", "target", "")
}

func (t *table) add(section string, took time.Duration, rows []row) {
	for _, r := range rows {
		ours, floor, ratio := r.columns()
		fmt.Printf(columns, r.name, ours, floor, ratio, r.goal, r.verdict())
		if t.notes && r.note != "" {
			fmt.Println("    " + r.note)
		}
	}
	t.rows = append(t.rows, rows...)
	t.sections = append(t.sections, fmt.Sprintf("%s %.0f s", section, took.Seconds()))
}

// count returns how many rows have each verdict.
func (t *table) count() (met, missed int) {
	for _, r := range t.rows {
		switch r.verdict() {
		case "met":
			met++
		case "missed":
			missed++
		}
	}
	return met, missed
}

func (t *table) foot() {
	met, missed := t.count()
	fmt.Printf("%d met, %d missed, in %.0f s: %s\n", met, missed, t.took.Seconds(), strings.Join(t.sections, ", "))
}

// save writes the table as Markdown.
func (t *table) save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	commit := output("git", "describe", "--always", "--dirty")
	now := time.Now().UTC()
	met, missed := t.count()
	var b strings.Builder
	fmt.Fprintf(&b, "# %s, %s\n\n%s\n\n%d met, %d missed. The run took %.0f s: %s.\n\n", now.Format("2006-01-02 15:04 UTC"), commit, machine(), met, missed,
		t.took.Seconds(), strings.Join(t.sections, ", "))
	b.WriteString("Medians of turns in which ours and the floor or peer alternate; the ratio is the median of the turns' ratios.\n\n")
	b.WriteString("| Figure | Ours | Floor or peer | Ratio | Target | |\n|---|---|---|---|---|---|\n")
	var notes []string
	number := map[string]int{}
	for _, r := range t.rows {
		ours, floor, ratio := r.columns()
		mark := ""
		if r.note != "" {
			if number[r.note] == 0 {
				notes = append(notes, r.note)
				number[r.note] = len(notes)
			}
			mark = fmt.Sprintf(" [%d]", number[r.note])
		}
		fmt.Fprintf(&b, "| %s%s | %s | %s | %s | %s | %s |\n", r.name, mark, ours, floor, ratio, r.goal, r.verdict())
	}
	b.WriteString("\n")
	for i, n := range notes {
		fmt.Fprintf(&b, "%d. %s\n", i+1, n)
	}
	path := filepath.Join(dir, now.Format("2006-01-02")+"-"+strings.TrimSpace(commit)+".md")
	fmt.Println("kept in", path)
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// machine says in a line what the run ran on.
func machine() string {
	cpu := "unknown CPU"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if _, name, ok := strings.Cut(line, "model name\t: "); ok {
				cpu = strings.TrimSpace(name)
				break
			}
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(load), " ")
	return fmt.Sprintf("%s CPUs (%s), Linux %s, load at the end %s; %s; %s; %s.", output("nproc"), cpu, output("uname", "-r"), one, output("python3", "--version"),
		"Node.js "+output("node", "--version"), output("bwrap", "--version"))
}

// output is the first line that a command prints, or that it is not here.
func output(name string, args ...string) string {
	b, err := exec.Command(name, args...).Output()
	line, _, _ := strings.Cut(string(b), "\n")
	if err != nil && line == "" {
		return "no " + name
	}
	return strings.TrimSpace(line)
}
