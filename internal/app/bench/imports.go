package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	importsAtLeast = 300 * time.Millisecond
	importTurns    = 4
)

// importsHandler imports what takes long, and can keep its instance busy.
const importsHandler = `import time, heavy
def handler(event, context):
    time.sleep(event.get("sleep", 0))
    return {"hello": event["name"], "classes": heavy.count}
`

// heavyModules are modules whose import takes about as long as classes have to be made: what large libraries do.
func heavyModules(classes int) map[string]string {
	const each = 50
	files := map[string]string{}
	var all strings.Builder
	all.WriteString("count = 0\n")
	for n := 0; n*each < classes; n++ {
		var m strings.Builder
		m.WriteString("import dataclasses, enum, re, typing\n")
		for i := range each {
			fmt.Fprintf(&m, "@dataclasses.dataclass(frozen=True, order=True)\nclass C%d:\n    a: int = %d\n    b: str = 'x'\n    c: typing.Optional[float] = None\n"+
				"    def method(self): return re.sub('a', 'b', self.b)\n", i, i)
		}
		fmt.Fprintf(&all, "from heavy import part%d\ncount += %d\n", n, each)
		files[fmt.Sprintf("heavy/part%d.py", n)] = m.String()
	}
	files["heavy/__init__.py"] = all.String()
	return files
}

// imports measures the second instance of a function in Python whose own modules take long to import, as the daemon is by itself
// and where it may copy initialised instances.
func imports(l lab) ([]row, error) {
	dir := filepath.Join(l.dir, "heavy")
	var rows []row
	for _, way := range []struct {
		label string
		args  []string
	}{{"", nil}, {", with --templates", []string{"--templates"}}} {
		more, err := importsOf(l, dir, way.label, way.args)
		rows = append(rows, more...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// importsOf is imports by a daemon of its own with further arguments, which the rows' names tell by label.
func importsOf(l lab, dir, label string, args []string) ([]row, error) {
	d, err := startDaemon(l, "imports"+strings.Join(args, ""), append(args, "--idle", "1m")...) // none is made ahead by habit: all are cold
	if err != nil {
		return nil, err
	}
	defer d.stop()
	if err := d.createRole(); err != nil {
		return nil, err
	}
	lang, err := d.language(samples[0].prefix)
	if err != nil {
		return nil, err
	}
	files, alone, err := calibrate(lang.path, dir)
	if err != nil {
		return nil, err
	}
	content := map[string][]byte{"app.py": []byte(importsHandler)}
	for name, text := range files {
		content[name] = []byte(text)
	}
	peer := bwrapOn(dir, lang.path, "-c", "import sys; sys.path.insert(0, '/mnt'); import heavy; print('{}')")
	var rows []row
	for _, mb := range sizes {
		name := fmt.Sprintf("imports-%d", mb)
		if err := d.create(name, lang.runtime, "app.handler", mb, content); err != nil {
			return rows, err
		}
		before, err := d.ways()
		if err != nil {
			return rows, err
		}
		c, err := turns(importTurns, d.secondInstance(name), peer)
		if err != nil {
			return rows, err
		}
		after, err := d.ways()
		if err != nil {
			return rows, err
		}
		rows = append(rows, c.row(fmt.Sprintf("cold Python with %d ms of imports, %d MB, second instance%s, p50, beside bwrap + python3", alone.Milliseconds(), mb, label), ratioUpTo(0.1),
			"The function's own modules, as bytecode for the peer too. The first instance is busy when the second one's call comes, and no instance is made ahead. Ways, first instances included: "+after.less(before).String()))
	}
	return rows, nil
}

// calibrate writes modules whose import takes long enough here.
func calibrate(python, dir string) (files map[string]string, alone time.Duration, err error) {
	for classes := 400; classes < 20000; classes = classes * 3 / 2 {
		files = heavyModules(classes)
		if err := write(filepath.Join(dir, "heavy"), nil); err != nil {
			return nil, 0, err
		}
		if err := write(dir, files); err != nil {
			return nil, 0, err
		}
		for range 3 { // the first compiles
			out, err := exec.Command(python, "-c", fmt.Sprintf("import sys, time; sys.path.insert(0, %q); t = time.process_time_ns(); import heavy; print(time.process_time_ns() - t)", dir)).Output()
			if err != nil {
				return nil, 0, fmt.Errorf("import modules: %w", err)
			}
			ns, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
			if err != nil {
				return nil, 0, err
			}
			alone = time.Duration(ns)
		}
		if alone >= importsAtLeast {
			return files, alone, nil
		}
	}
	return nil, 0, fmt.Errorf("no number of modules takes %s to import", importsAtLeast)
}

// secondInstance times a call that comes while the only instance is busy.
func (d *daemon) secondInstance(name string) func() (time.Duration, error) {
	n := 0
	return func() (time.Duration, error) {
		n++
		if err := d.renew(name, n); err != nil {
			return 0, err
		}
		if _, _, err := d.call(name, event); err != nil {
			return 0, err
		}
		time.Sleep(time.Second) // what is made from the first instance is there
		busy := make(chan error, 1)
		go func() {
			_, _, err := d.call(name, `{"name":"Ada","sleep":1.5}`)
			busy <- err
		}()
		time.Sleep(200 * time.Millisecond)
		_, took, err := d.call(name, event)
		if berr := <-busy; err == nil {
			err = berr
		}
		return took, err
	}
}
