// Package insights runs queries of CloudWatch Logs Insights over the log. The language is
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html, of which the common commands are built.
package insights

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"artesian/internal/observe/logs/pattern"
)

// MaxRows is the most rows of an answer, and what it has where the query does not say.
const MaxRows = 10_000

// Query is a query that has been read.
type Query struct {
	commands []command
	columns  []string
	grouped  bool // its rows are statistics
}

// command makes a stage that hands its rows on to the next.
type command struct {
	name  string
	build func(next stage, x *execution) stage
}

// Parse reads a query. The error is a *SyntaxError.
func Parse(text string) (*Query, error) {
	p := &parser{text: text, budget: 2 * pattern.Budget}
	c := &compiler{p: p, q: &Query{}}
	if p.end() {
		return nil, p.wrong(p.at, "the query is empty")
	}
	for {
		if err := c.command(); err != nil {
			return nil, err
		}
		if p.end() {
			break
		}
		if !p.eat("|") {
			return nil, p.unexpected("| or the end of the query")
		}
	}
	c.order()
	if !c.q.grouped && !c.displayed {
		if len(c.q.columns) == 0 {
			c.q.columns = []string{"@timestamp", "@message"}
		}
		for _, name := range c.found {
			c.show(name)
		}
	}
	return c.q, nil
}

// compiler gathers the commands of a query and the columns of its answer.
type compiler struct {
	p         *parser
	q         *Query
	found     []string // by parse
	displayed bool     // columns are what display said
}

func (c *compiler) show(name string) {
	if !slices.Contains(c.q.columns, name) {
		c.q.columns = append(c.q.columns, name)
	}
}

func (c *compiler) add(name string, build func(next stage, x *execution) stage) {
	c.q.commands = append(c.q.commands, command{name, build})
}

// order puts the newest first where the query says no order: before the first command for which it matters.
func (c *compiler) order() {
	newest := command{"sort", (&sorting{keys: []sortKey{{func(r *row) any { return r.get("@timestamp") }, true}}}).build}
	at := len(c.q.commands)
	if i := slices.IndexFunc(c.q.commands, func(c command) bool { return slices.Contains([]string{"sort", "stats", "limit", "dedup"}, c.name) }); i >= 0 {
		if n := c.q.commands[i].name; n == "sort" || n == "stats" {
			return
		}
		at = i
	}
	c.q.commands = slices.Insert(c.q.commands, at, newest)
}

func (c *compiler) command() error {
	c.p.space()
	start := c.p.at
	name := c.p.identifier()
	switch strings.ToLower(name) {
	case "fields":
		return c.fields(false)
	case "display":
		return c.fields(true)
	case "filter":
		e, err := c.p.expression()
		if err == nil {
			c.add("filter", func(next stage, _ *execution) stage { return &filtering{next, e} })
		}
		return err
	case "stats":
		return c.stats()
	case "sort":
		return c.sort()
	case "limit":
		return c.limit()
	case "parse":
		return c.parse()
	case "dedup":
		return c.dedup()
	case "":
		return c.p.unexpected("a command")
	}
	return c.p.wrong(start, "the command %q is not supported here; there are fields, display, filter, stats, sort, limit, parse and dedup", name)
}

// column is an expression with its name.
type column struct {
	name string
	of   expr
}

// column takes an expression, perhaps with a name; without one it is named as it is written.
func (c *compiler) column() (column, error) {
	c.p.space()
	start := c.p.at
	e, err := c.p.expression()
	if err != nil {
		return column{}, err
	}
	name := strings.TrimSpace(c.p.text[start:c.p.at])
	if n := len(name) - 1; n > 1 && name[0] == '`' && strings.IndexByte(name[1:], '`') == n-1 {
		name = name[1:n]
	}
	if c.p.word("as") {
		name, err = c.p.field()
	}
	return column{name, e}, err
}

func (c *compiler) columns() (list []column, err error) {
	for {
		one, err := c.column()
		if err != nil {
			return nil, err
		}
		if list = append(list, one); !c.p.eat(",") {
			return list, nil
		}
	}
}

func (c *compiler) fields(display bool) error {
	list, err := c.columns()
	if err != nil {
		return err
	}
	if display {
		c.q.columns, c.displayed = nil, true
	}
	for _, one := range list {
		c.show(one.name)
	}
	c.add("fields", func(next stage, _ *execution) stage { return &computing{next, list} })
	return nil
}

func (c *compiler) stats() error {
	s := &grouping{}
	c.p.collect = &s.aggregates
	list, err := c.columns()
	c.p.collect = nil
	if err != nil {
		return err
	}
	s.columns = list
	if c.p.word("by") {
		if s.by, err = c.columns(); err != nil {
			return err
		}
	}
	c.q.columns, c.q.grouped, c.displayed = nil, true, false
	for _, one := range slices.Concat(s.by, s.columns) {
		c.show(one.name)
	}
	c.add("stats", s.build)
	return nil
}

func (c *compiler) sort() error {
	s := &sorting{}
	for {
		e, err := c.sortable()
		if err != nil {
			return err
		}
		desc := c.p.word("desc")
		if !desc {
			c.p.word("asc")
		}
		if s.keys = append(s.keys, sortKey{e, desc}); !c.p.eat(",") {
			break
		}
	}
	c.add("sort", s.build)
	return nil
}

// sortable takes an expression, or a column as it is written: count(*).
func (c *compiler) sortable() (expr, error) {
	c.p.space()
	for _, name := range c.q.columns {
		after, ok := strings.CutPrefix(c.p.text[c.p.at:], name)
		if next := strings.TrimLeft(after, " \t\r\n"); ok && strings.Contains(name, "(") && (next == "" || strings.IndexByte(",|adAD#", next[0]) >= 0) {
			c.p.at += len(name)
			return func(r *row) any { return r.get(name) }, nil
		}
	}
	return c.p.expression()
}

func (c *compiler) limit() error {
	c.p.space()
	at := c.p.at
	for c.p.at < len(c.p.text) && c.p.text[c.p.at] >= '0' && c.p.text[c.p.at] <= '9' {
		c.p.at++
	}
	n, err := strconv.Atoi(c.p.text[at:c.p.at])
	if err != nil || n < 1 || n > MaxRows {
		return c.p.wrong(at, "a number from 1 to %d is expected", MaxRows)
	}
	c.add("limit", func(next stage, _ *execution) stage { return &limiting{next, n} })
	return nil
}

func (c *compiler) dedup() error {
	var names []string
	for {
		name, err := c.p.field()
		if err != nil {
			return err
		}
		if names = append(names, name); !c.p.eat(",") {
			break
		}
	}
	c.add("dedup", func(next stage, x *execution) stage { return &unique{next, x, names, map[string]bool{}} })
	return nil
}

// parse takes a field, @message where none is named, and what to find in it: a regular expression with named groups, or
// a text with asterisks and as many names.
func (c *compiler) parse() error {
	name := "@message"
	if b := c.p.peek(); b != '/' && b != '"' && b != '\'' {
		var err error
		if name, err = c.p.field(); err != nil {
			return err
		}
	}
	c.p.space()
	start := c.p.at
	var re *regexp.Regexp
	var names []string
	var err error
	switch c.p.peek() {
	case '/':
		if re, err = c.p.regex(); err != nil {
			return err
		}
		if names = re.SubexpNames()[1:]; len(names) == 0 || slices.Contains(names, "") {
			return c.p.wrong(start, "every group of the regular expression needs a name: (?<name>…)")
		}
	case '"', '\'':
		if re, names, err = c.glob(start); err != nil {
			return err
		}
	default:
		return c.p.unexpected("a regular expression between slashes, or a string with asterisks")
	}
	c.found = append(c.found, names...)
	c.add("parse", func(next stage, _ *execution) stage { return &extracting{next, name, re, names} })
	return nil
}

func (c *compiler) glob(start int) (*regexp.Regexp, []string, error) {
	text, err := c.p.str()
	if err != nil {
		return nil, nil, err
	}
	parts := strings.Split(text, "*")
	var names []string
	if !c.p.word("as") {
		return nil, nil, c.p.unexpected("as, and a name for each asterisk")
	}
	for {
		name, err := c.p.field()
		if err != nil {
			return nil, nil, err
		}
		if names = append(names, name); !c.p.eat(",") {
			break
		}
	}
	if len(names) != len(parts)-1 {
		return nil, nil, c.p.wrong(start, "the pattern has %d asterisks, and there are %d names", len(parts)-1, len(names))
	}
	var b strings.Builder
	for i, part := range parts {
		switch {
		case i > 0 && i == len(parts)-1 && part == "":
			b.WriteString(`(.*)`)
		case i > 0:
			b.WriteString(`(.*?)`)
		}
		b.WriteString(regexp.QuoteMeta(part))
	}
	re, err := pattern.Compile(b.String(), &c.p.budget)
	if err != nil {
		return nil, nil, c.p.wrong(start, "the pattern: %s", err)
	}
	return re, names, nil
}
