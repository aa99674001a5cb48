package insights

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"artesian/internal/faas"
	"artesian/internal/observe/logs"
)

// stored is a log in memory.
type stored struct {
	events map[string][]logs.Event
	block  bool
}

func (s stored) Filter(ctx context.Context, id logs.GroupID, q logs.Query) (logs.Page, error) {
	if s.block {
		<-ctx.Done()
		return logs.Page{}, ctx.Err()
	}
	at := 0
	fmt.Sscan(q.Token, &at)
	var p logs.Page
	for ; at < len(s.events[id.Name]); at++ {
		if len(p.Events) == 3 {
			p.Token = fmt.Sprint(at)
			break
		}
		p.Events = append(p.Events, s.events[id.Name][at])
	}
	return p, nil
}

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func events(messages ...string) []logs.Event {
	var out []logs.Event
	for i, m := range messages {
		at := begin.Add(time.Duration(i) * time.Minute)
		out = append(out, logs.Event{ID: fmt.Sprintf("%028d", i), Stream: "s", Time: at, Ingested: at.Add(time.Second), Message: m})
	}
	return out
}

const id1, id2 = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"

func sample() stored {
	return stored{events: map[string][]logs.Event{
		"app": events(
			`{"level":"INFO","ms":10,"user":{"name":"Ada","tags":["a","b"]},"ok":true}`,
			`{"level":"WARN","ms":20,"user":{"name":"Bob"},"path":"/x/y"}`,
			`{"level":"INFO","ms":30,"user":{"name":"Ada"},"empty":""}`,
			`plain text user=eve, method:GET, latency := 7`,
			`{"level":"ERROR","ms":"40","user":{"name":"Cyd"}}`,
		),
		"/aws/lambda/f": events(
			"START RequestId: "+id1+" Version: $LATEST\n",
			"2026-01-02T03:04:05.000Z\t"+id1+"\tINFO\tgot {\"order\": {\"id\": 5}} now\n",
			"END RequestId: "+id1+"\n",
			"REPORT RequestId: "+id1+"\tDuration: 12.50 ms\tBilled Duration: 13 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\tInit Duration: 100.25 ms\t\n",
			"REPORT RequestId: "+id2+"\tDuration: 7.50 ms\tBilled Duration: 8 ms\tMemory Size: 128 MB\tMax Memory Used: 60 MB\t\n",
		),
	}}
}

// ask runs a query and returns its rows, without @ptr.
func ask(t *testing.T, log Log, group, query string) (string, State) {
	t.Helper()
	q, err := Parse(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	r := NewRunner(log, time.Now, slog.New(slog.DiscardHandler))
	id, err := r.Start(Job{Scope: faas.Scope{Account: "1"}, Groups: []string{group}, Query: q})
	if err != nil {
		t.Fatal(err)
	}
	r.work.Wait()
	defer r.Close()
	s, err := r.Get(faas.Scope{Account: "1"}, id)
	if err != nil || s.Status != Complete {
		t.Fatalf("%s: %v %+v", query, err, s)
	}
	var rows []string
	for _, row := range s.Rows {
		var fields []string
		for _, f := range row {
			if f.Name != "@ptr" {
				fields = append(fields, f.Name+"="+f.Value)
			}
		}
		rows = append(rows, strings.Join(fields, " "))
	}
	return strings.Join(rows, "; "), s
}

func TestQueries(t *testing.T) {
	for query, want := range map[string]string{
		`fields ms`: "ms=40; ; ms=30; ms=20; ms=10", // the newest first
		`fields ms | sort @timestamp asc | limit 2`:                                 "ms=10; ms=20",
		`fields ms | limit 2`:                                                       "ms=40; ",
		`fields @timestamp, level | filter level = "WARN"`:                          "@timestamp=2026-01-02 03:05:05.000 level=WARN",
		`filter level = 'WARN' | display ms, level`:                                 "ms=20 level=WARN",
		`fields ms | display level | filter ms > 20`:                                "level=ERROR; level=INFO",
		`filter ms >= 20 and not level = "ERROR" | fields ms`:                       "ms=30; ms=20",
		`filter ms = 10 or (ms > 15 and ms < 25) | fields ms`:                       "ms=20; ms=10",
		`filter ms != 10 | fields ms`:                                               "ms=40; ms=30; ms=20",
		`filter ms % 20 = 0 | fields ms`:                                            "ms=40; ms=20",
		`filter level in ["WARN", "ERROR"] | fields level`:                          "level=ERROR; level=WARN",
		`filter level not in ["INFO"] | fields level`:                               "level=ERROR; level=WARN",
		`filter @message like /user=(\w+)/ | fields 1+1 as two`:                     "two=2",
		`filter @message =~ /"Ada"/ | fields ms`:                                    "ms=30; ms=10",
		`filter @message like "plain" | fields @logStream, @log`:                    "@logStream=s @log=1:app",
		`filter @message not like /level/ | fields @message`:                        "@message=plain text user=eve, method:GET, latency := 7",
		`filter path =~ /^\/x\// | fields path`:                                     "path=/x/y",
		`filter user.name = "Ada" | fields user.name, user.tags.1`:                  "user.name=Ada; user.name=Ada user.tags.1=b",
		`filter ispresent(path) | fields path`:                                      "path=/x/y",
		`filter isempty(empty) and ispresent(empty) | fields ms`:                    "ms=30",
		`filter ok | fields ok`:                                                     "ok=true",
		`filter ok = true | fields ok`:                                              "ok=true",
		`stats count(*)`:                                                            "count(*)=5",
		`stats count(ms), sum(ms), avg(ms) as mean, min(ms), max(ms)`:               "count(ms)=4 sum(ms)=100 mean=25 min(ms)=10 max(ms)=40",
		`stats count(*) as n by level | sort n desc, level | limit 2`:               "level=INFO n=2; level=ERROR n=1",
		`stats count(*) by level | sort count(*) desc | limit 1`:                    "level=INFO count(*)=2",
		`stats count_distinct(user.name) as users`:                                  "users=3",
		`stats pct(ms, 50) as p50, median(ms) as m, pct(ms, 100) as top`:            "p50=25 m=25 top=40",
		`stats count(*) by bin(2m)`:                                                 "bin(2m)=2026-01-02 03:04:00.000 count(*)=2; bin(2m)=2026-01-02 03:06:00.000 count(*)=2; bin(2m)=2026-01-02 03:08:00.000 count(*)=1",
		`stats count(*) as n by bin(2m) | sort bin(2m) desc | limit 1`:              "bin(2m)=2026-01-02 03:08:00.000 n=1",
		`stats sum(ms) / count(ms) as a, a * 2 as b`:                                "a=25 b=50",
		`stats earliest(level), latest(level), sortsFirst(level), sortsLast(level)`: "earliest(level)=INFO latest(level)=ERROR sortsFirst(level)=ERROR sortsLast(level)=WARN",
		`stats stddev(ms) as d | fields floor(d) as whole`:                          "d=11.1803398875 whole=11",
		`filter ms > 1000 | stats count(*), sum(ms)`:                                "count(*)=0",
		`stats max(ms) by level | stats count(*) as n`:                              "n=4",
		`parse "user=*, method:*, latency := *" as @user, method, latency | filter latency > 0 | display @user, method, latency`: "@user=eve method=GET latency=7",
		`parse @message /user=(?<who>\w+), method:(?P<how>\w+)/ | filter ispresent(who) | stats count(*) by who, how`:            "who=eve how=GET count(*)=1",
		`dedup level | fields level | sort level`:                                                "level=ERROR; level=INFO; level=WARN; ",
		`fields strlen(level) as n, concat(level, "-", ms) as c | filter ms = 10 | display n, c`: "n=4 c=INFO-10",
		`filter ms = 10 | display upper(user.name) as u, lower(level) as l, replace(level, "N", "nn") as r, substr(level, 1, 2) as s, trim("  x ") as t, strcontains(level, "NF") as in1`:      "u=ADA l=info r=InnFO s=NF t=x in1=1",
		`filter ms = 10 | display abs(-3) as a, ceil(1.2) as b, floor(-1.2) as c, sqrt(16) as d, greatest(1,5,3) as e, least(4,2) as f, 2^3^2 as g, -2^2 as h, 7 % 4 as i, 1/0 as j, 1e3 as k`: "a=3 b=2 c=-2 d=4 e=5 f=2 g=512 h=4 i=3 k=1000",
		`filter ms = 10 | display coalesce(nothing, level) as c, toMillis(@timestamp) as m, fromMillis(0) as z, datefloor(@timestamp, 1h) as f, dateceil(@timestamp, 1 hour) as g`:             "c=INFO m=1767323045000 z=1970-01-01 00:00:00.000 f=2026-01-02 03:00:00.000 g=2026-01-02 04:00:00.000",
		`filter ms = 10 | fields concat(@message,@message,@message,@message,@message,@message,@message,@message,@message,@message) as a` +
			strings.Repeat(` | fields concat(a,a,a,a,a,a,a,a,a,a) as a`, 6) + ` | display strlen(a) as n`: "n=0", // too much
		"fields `user.name` as w # a comment\n| filter w = 'Bob' # another": "w=Bob",
	} {
		if got, _ := ask(t, sample(), "app", query); got != want {
			t.Errorf("%s\n got %s\nwant %s", query, got, want)
		}
	}
}

// TestLambdaFields: what AWS discovers in Lambda's own lines.
func TestLambdaFields(t *testing.T) {
	for query, want := range map[string]string{
		`filter @type = "REPORT" | stats avg(@duration), max(@maxMemoryUsed / 1000 / 1000) as peak, sum(@billedDuration), count(@initDuration) as cold`: "avg(@duration)=10 peak=60 sum(@billedDuration)=21 cold=1",
		`filter @requestId = "` + id1 + `" | stats count(*) as n`:                                                         "n=4",
		`filter @type = "REPORT" | fields @requestId, @memorySize | sort @duration | limit 1`:                             "@requestId=" + id2 + " @memorySize=128000000",
		`filter order.id = 5 | fields order.id`:                                                                           "order.id=5",
		`stats count(*) as n by @type | sort @type`:                                                                       "@type=END n=1; @type=REPORT n=2; @type=START n=1; n=1",
		`stats max(@memorySize / 1000 / 1000) as given, max(@maxMemoryUsed / 1000 / 1000) as used, given - used as spare`: "given=128 used=60 spare=68",
	} {
		if got, _ := ask(t, sample(), "/aws/lambda/f", query); got != want {
			t.Errorf("%s\n got %s\nwant %s", query, got, want)
		}
	}
}

func TestStatistics(t *testing.T) {
	_, s := ask(t, sample(), "app", `filter ms > 10 | stats count(*) by level`)
	if s.Scanned != 5 || s.Matched != 3 || s.Bytes < 200 {
		t.Errorf("%d scanned, %d bytes, %d matched", s.Scanned, s.Bytes, s.Matched)
	}
}

// TestSortKeepsFew: of many events only as many are kept as the answer has, in the right order.
func TestSortKeepsFew(t *testing.T) {
	var many []string
	for i := range 5000 {
		many = append(many, fmt.Sprintf(`{"n":%d}`, i*7919%5000))
	}
	log := stored{events: map[string][]logs.Event{"app": events(many...)}}
	if got, _ := ask(t, log, "app", `fields n | sort n desc | limit 3`); got != "n=4999; n=4998; n=4997" {
		t.Error(got)
	}
	x := &execution{}
	s := (&sorting{keys: []sortKey{{func(r *row) any { return r.get("n") }, true}}}).build(&answer{x: x, most: 10}, x).(*sorting)
	for i := range log.events["app"] {
		if err := s.push(&row{event: &log.events["app"][i]}); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.rows) > 2*10+64 || x.kept > 100*1000 {
		t.Errorf("%d rows, %d bytes kept", len(s.rows), x.kept)
	}
}

// TestTooMuch: a query that would keep too much fails.
func TestTooMuch(t *testing.T) {
	x := &execution{kept: maxKept - 1000}
	u := &unique{&answer{q: &Query{}, x: x, most: 1}, x, []string{"@message"}, map[string]bool{}}
	var err error
	for i := 0; err == nil && i < 100; i++ {
		err = u.push(&row{event: &logs.Event{Message: fmt.Sprint(i)}})
	}
	if faas.KindOf(err) != faas.LimitExceeded {
		t.Error(err)
	}
}

// TestMadeText: what functions make of one event is bounded, and counts where it is kept.
func TestMadeText(t *testing.T) {
	q := `fields concat(@message, @message) as z`
	for range 9 {
		q += `, concat(z, z) as z`
	}
	for i := range 60 {
		q += fmt.Sprintf(`, concat(z, %d) as z%d`, i, i)
	}
	parsed, err := Parse(q + ` | sort concat(z, 1), concat(z, 2)`)
	if err != nil {
		t.Fatal(err)
	}
	x := &execution{}
	var kept []*row
	first := parsed.chain(pushed(func(r *row) { kept = append(kept, r) }), x, func() {})
	if err := first.push(&row{event: &logs.Event{Message: `{"a":"` + strings.Repeat("x", 1000) + `"}`}}); err != nil {
		t.Fatal(err)
	}
	held := x.kept
	if err := first.finish(); err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, v := range kept[0].set {
		size += len(text(v))
	}
	if size > maxMade || held < size {
		t.Errorf("an event of 1 KB came to %d bytes, %d of them counted", size, held)
	}
	if r := kept[0]; r.doc != nil || r.get("a") == nil || text(r.get("z5")) == "" || r.get("z59") != nil {
		t.Errorf("%v: %.20v, %.20v, %.20v", r.doc != nil, r.get("a"), r.get("z5"), r.get("z59"))
	}
	x = &execution{}
	s := (&sorting{keys: []sortKey{{func(*row) any { return strings.Repeat("k", 1<<20) }, true}}}).build(pushed(func(*row) {}), x)
	for range 1000 {
		if err = s.push(&row{}); err != nil {
			break
		}
	}
	if faas.KindOf(err) != faas.LimitExceeded {
		t.Errorf("keys to sort by do not count: %v, %d", err, x.kept)
	}
}

// pushed is a last stage.
type pushed func(*row)

func (p pushed) push(r *row) error { p(r); return nil }
func (pushed) finish() error       { return nil }

func TestStop(t *testing.T) {
	q, _ := Parse("fields @message")
	r := NewRunner(stored{block: true}, time.Now, slog.New(slog.DiscardHandler))
	mine, other := faas.Scope{Account: "1"}, faas.Scope{Account: "2"}
	job := Job{Scope: mine, Groups: []string{"app"}, Query: q}
	id, err := r.Start(job)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := r.Get(mine, id); err != nil || s.Status != Running {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := r.Get(other, id); faas.KindOf(err) != faas.NotFound {
		t.Error(err)
	}
	for range maxOfOne - 1 {
		if _, err := r.Start(job); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Start(job); faas.KindOf(err) != faas.LimitExceeded {
		t.Errorf("one account has more than its part: %v", err)
	}
	third := job
	third.Scope.Account = "3"
	for range maxRunning - maxOfOne {
		if _, err := r.Start(third); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Start(third); faas.KindOf(err) != faas.LimitExceeded {
		t.Error(err)
	}
	if ok, err := r.Stop(mine, id); !ok || err != nil {
		t.Error(ok, err)
	}
	if s, _ := r.Get(mine, id); s.Status != Cancelled || len(r.List(mine)) != maxOfOne || len(r.List(other)) != 0 {
		t.Errorf("%+v", s)
	}
	r.Close()
	if _, err := r.Start(job); faas.KindOf(err) != faas.Unavailable {
		t.Error(err)
	}
	if ok, _ := r.Stop(mine, id); ok {
		t.Error("a query was stopped twice")
	}
}

func TestRefused(t *testing.T) {
	for query, want := range map[string]string{
		``:                            "the query is empty (at character 1)",
		`  # only a comment`:          "the query is empty",
		`pattern @message`:            `the command "pattern" is not supported here`,
		`fields a | diff`:             `the command "diff" is not supported here; there are fields`,
		`fields a | unmask b`:         "not supported",
		`fields a b`:                  `unexpected "b": | or the end of the query is expected (at character 10)`,
		`fields`:                      "is expected, but the query ends",
		`fields a,`:                   "the query ends",
		`fields a |`:                  "a command is expected, but the query ends",
		`filter a =`:                  "the query ends",
		`filter (a = 1`:               "a closing parenthesis is expected",
		`filter a like b`:             "a regular expression between slashes",
		`filter a like /(/`:           "missing closing )",
		`filter a like /x`:            "no / at its end",
		`filter a like /[a-z]{1000}/`: "{1000} counts as if it were written out (at character 15)",
		`filter a like /.{600}/ or a like /.{600}/`: "written out (at character 34)",
		`filter a = "x`:                      "never closed",
		`filter a not b`:                     "like or in is expected",
		`filter a in (1)`:                    "[ is expected",
		`fields nosuch(a)`:                   "the function nosuch is not supported here (at character 8)",
		`fields strlen(a, b)`:                "the function strlen takes 1 to 1 arguments, not 2",
		`filter count(*) > 1`:                "for the list of stats only",
		`stats sum()`:                        "takes 1 arguments, not 0",
		`stats sum(max(a))`:                  "for the list of stats only",
		`stats pct(a, 101)`:                  "from 0 to 100",
		`stats count(*) by bin(5x)`:          "a period is expected",
		`stats count(*) by bin(0m)`:          "from 1 ms to 10 years",
		`limit 0`:                            "a number from 1 to 10000",
		`limit 10001`:                        "a number from 1 to 10000",
		`limit x`:                            "a number from 1 to 10000",
		`parse @message "a*b*" as x`:         "2 asterisks, and there are 1 names",
		`parse @message "a*"`:                "as, and a name for each asterisk",
		`parse @message /(a)/`:               "needs a name",
		`parse @message 5`:                   "a regular expression between slashes, or a string",
		`dedup`:                              "the name of a field is expected",
		"fields `a":                          "never closed",
		`fields 1.2.3`:                       "is not a number",
		`fields ` + strings.Repeat("(", 200): "nested too deeply",
		`fields ` + strings.Repeat("-", 200): "nested too deeply",
	} {
		_, err := Parse(query)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || !strings.Contains(err.Error(), want) || syntax.Start < 0 || syntax.End <= syntax.Start {
			t.Errorf("%s: %v, want %s", query, err, want)
		}
	}
}

// FuzzQuery: whatever a query says, it is read and run, or refused with a place.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{
		`fields @timestamp, concat(a, "x") as b | filter b like /x/ and not a in [1, 2] | sort b desc | limit 3`,
		`parse "user=*, *" as u, r | stats count(*) as n, pct(ms, 95) by bin(5m), u | sort n | dedup u | display n`,
		`filter @type = "REPORT" | stats max(@duration / 2 ^ 3 % 5) - 1 as x`,
	} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 10_000 {
			return
		}
		q, err := Parse(text)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Start < 0 || syntax.End <= syntax.Start {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		x := &execution{}
		first := q.chain(&answer{q: q, x: x, most: 10}, x, func() {})
		for group, list := range sample().events {
			for i := range list {
				if err := first.push(&row{event: &list[i], group: logs.GroupID{Name: group}}); err != nil {
					return
				}
			}
		}
		_ = first.finish()
	})
}
