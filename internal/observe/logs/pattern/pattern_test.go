package pattern

import (
	"maps"
	"strings"
	"testing"

	"artesian/internal/faas"
)

const (
	badRequest   = "[ERROR 400] BAD REQUEST"
	unauthorized = "[ERROR 401] UNAUTHORIZED REQUEST"
	missing      = "[ERROR 419] MISSING ARGUMENTS"
	invalidArgs  = "[ERROR 420] INVALID ARGUMENTS"
	serverError  = "[ERROR 500] INTERNAL SERVER ERROR"
	success      = "[SUCCESS 200] AUTHORIZED REQUEST"
	access       = `127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534`
	page         = `127.0.0.1 - frank [10/Oct/2000:13:35:22 -0700] "GET /about.html HTTP/1.0" 200 -`
	trail        = `{"eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "arrayKey": ["value", "another value"],
  "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}], "SomeObject": null, "cluster.name": "c", "ThisFlag": true,
  "latency": 1.5e2, "text": "7", "nested": {"deep": {"x": "y"}}}`
)

// TestPatterns has the examples of AWS's page, and the edges of what it says.
func TestPatterns(t *testing.T) {
	texts := []string{badRequest, unauthorized, missing, invalidArgs, serverError, success}
	for pattern, want := range map[string][]string{
		``:                                    texts,
		`""`:                                  texts,
		`" "`:                                 texts,
		`ERROR`:                               {badRequest, unauthorized, missing, invalidArgs, serverError},
		`ERROR ARGUMENTS`:                     {missing, invalidArgs},
		`?ERROR ?ARGUMENTS`:                   {badRequest, unauthorized, missing, invalidArgs, serverError},
		`?ARGUMENTS ?SUCCESS`:                 {missing, invalidArgs, success},
		`?ERROR ?ARGUMENTS REQUEST`:           {badRequest, unauthorized, success}, // the optional ones do not count
		`?REQUEST -ERROR`:                     {success},
		`ERROR -ARGUMENTS`:                    {badRequest, unauthorized, serverError},
		`-"BAD REQUEST" -ARGUMENTS`:           {unauthorized, serverError, success},
		`"INTERNAL SERVER ERROR"`:             {serverError},
		`"ERROR 4"`:                           nil, // whole words
		`"[ERROR 4"`:                          nil,
		`"[ERROR"`:                            {badRequest, unauthorized, missing, invalidArgs, serverError},
		`AUTHORIZED`:                          {success},
		`%AUTHORIZED%`:                        {unauthorized, success},
		`%^\[ERROR 4[0-9]{2}\]%`:              {badRequest, unauthorized, missing, invalidArgs},
		`-%ERROR|SUCCESS%`:                    nil,
		`error`:                               nil,
		`[w1=ERROR, w2]`:                      nil, // the brackets of the message make one field
		`[w1="ERROR 400", w2]`:                {badRequest},
		`[w1=%ERROR%, w2, w3]`:                texts[:5],
		`[w1=%ERROR%, w2, w3=REQUEST]`:        {badRequest, unauthorized},
		`[w1, w2=BAD, ...]`:                   {badRequest},
		`[..., last=ARGUMENTS]`:               {missing, invalidArgs},
		`[w1=*40*||w1=*419, ..., x!=REQUEST]`: {missing},
		`[]`:                                  texts,
		`[a]`:                                 texts,
		`[a, b, c, d, e]`:                     nil,
	} {
		p, err := Parse(pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		var got []string
		for _, text := range texts {
			if p.Match(text) {
				got = append(got, text)
			}
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s matches\n%s", pattern, strings.Join(got, "\n"))
		}
	}
}

func TestOneMessage(t *testing.T) {
	for _, c := range []struct {
		pattern, message string
		want             bool
	}{
		{`[ip, user, username, timestamp, request=*.html*, status_code=4*, bytes]`, access, true},
		{`[ip, user, username, timestamp, request=*.html*, status_code=4*, bytes]`, page, false},
		{`[ip, user, username, timestamp, request, status_code=404||status_code=410, bytes]`, access, true},
		{`[..., status_code=%4[0-9]{2}%, bytes>1000]`, access, true},
		{`[..., bytes>1534]`, access, false},
		{`[..., bytes>=1534 && bytes<1535]`, access, true},
		{`[..., bytes>0]`, page, false}, // - is no number
		{`[ip=%127\.0\.0\.[1-9]%, ...]`, access, true},
		{`[w1!=ERROR&&w1!=WARN, w2]`, "INFO all is well", true},
		{`[w1!=ERROR&&w1!=WARN, w2]`, "WARN it is not", false},
		{`[w1=ERROR, w2]`, "ERROR 401 UNAUTHORIZED REQUEST", true},
		{`[w1=ERROR, w2=401]`, "ERROR 401 UNAUTHORIZED REQUEST", false}, // a field with a condition is one field
		{`[(a=1||a=2)&&a!=2, b]`, "1 x", true},
		{`[(a=1||a=2)&&a!=2, b]`, "2 x", false},

		{`{ $.eventType = "UpdateTrail" }`, trail, true},
		{`{ $.eventType = "updatetrail" }`, trail, false},
		{`{ $.eventType = UpdateTrail }`, trail, true},
		{`{ $.eventType = *Trail }`, trail, true},
		{`{ $.eventType = "Up*a*il" }`, trail, true},
		{`{ $.eventType = %Trail% }`, trail, true},
		{`{ $.eventType != %^Up% }`, trail, false},
		{`{ $.sourceIPAddress != 123.123.* }`, trail, true},
		{`{ $.sourceIPAddress = 111.111.* }`, trail, true},
		{`{ $.missing != x }`, trail, false},
		{`{ $.arrayKey[0] = "value" }`, trail, true},
		{`{ $.arrayKey[1] = "value" }`, trail, false},
		{`{ $.arrayKey[*] = "another value" }`, trail, true},
		{`{ $.arrayKey = "value" }`, trail, false},
		{`{ $.objectList[1].id = 2 }`, trail, true},
		{`{ $.objectList[*].id > 2 }`, trail, false},
		{`{ $.objectList[9].id = 2 }`, trail, false},
		{`{ $.SomeObject IS NULL }`, trail, true},
		{`{ $.missing IS NULL }`, trail, false},
		{`{ $.SomeOtherObject NOT EXISTS }`, trail, true},
		{`{ $.SomeObject NOT EXISTS }`, trail, false},
		{`{ $.ThisFlag IS TRUE }`, trail, true},
		{`{ $.ThisFlag is false }`, trail, false},
		{`{ $.latency >= 150 && $.latency < 151 }`, trail, true},
		{`{ $.latency = 1.5E+2 }`, trail, true},
		{`{ $.text = 7.0 }`, trail, true},
		{`{ $.eventType > 1 }`, trail, false},
		{`{ $['cluster.name'] = "c" }`, trail, true},
		{`{ $.["cluster.name"] = "d" }`, trail, false},
		{`{ $.nested.deep.x = y }`, trail, true},
		{`{ $.nested.deep = y }`, trail, false},
		{`{ $.latency = 1 || $.text = 7 && $.missing = 1 }`, trail, false}, // && is closer
		{`{ ($.latency = 150 || $.text = 8) && $.ThisFlag IS TRUE }`, trail, true},
		{`{ $.a = "say \"hi\" \\ you" }`, `{"a":"say \"hi\" \\ you"}`, true},
		{`{ $.a = 1 }`, `{"a":1} {"a":1}`, false},
		{`{ $.a = 1 }`, "\n {\"a\":1}\n", true},
		{`{ $.a = 1 }`, `a = 1`, false},
		{`{ $[0].a = 1 }`, `[{"a":1}]`, true},
		{`{ $.a = 9007199254740993 }`, `{"a":9007199254740993}`, true},

		{`naïve`, "a naïve one", true},
		{`na`, "a naïve one", false},
		{`snake`, "snake_case", false},
		{`"a.b"`, "x a.b y", true},
		{`aa`, "aaa aa", true},
	} {
		p, err := Parse(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
		} else if p.Match(c.message) != c.want {
			t.Errorf("%s on %s: %v", c.pattern, c.message, !c.want)
		}
	}
}

func TestExtract(t *testing.T) {
	for pattern, want := range map[string]map[string]string{
		`[ip, id, user, when, request, status_code=404, size]`: {"$ip": "127.0.0.1", "$id": "-", "$user": "frank", "$when": "10/Oct/2000:13:25:15 -0700",
			"$request": "GET /index.html HTTP/1.0", "$status_code": "404", "$size": "1534"},
		`[..., status_code, size]`: {"$status_code": "404", "$size": "1534"},
		`[]`:                       {"$1": "127.0.0.1", "$2": "-", "$3": "frank", "$4": "10/Oct/2000:13:25:15 -0700", "$5": "GET /index.html HTTP/1.0", "$6": "404", "$7": "1534"},
		`frank`:                    {},
	} {
		p, err := Parse(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := p.Extract(access); !ok || !maps.Equal(got, want) {
			t.Errorf("%s: %v %v", pattern, ok, got)
		}
	}
	p, err := Parse(`{ $.eventType = "*" && $.objectList[0] IS NULL || $.latency > 1 }`)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := p.Extract(trail); !ok || !maps.Equal(got, map[string]string{"$.eventType": "UpdateTrail", "$.objectList[0]": `{"id":1,"name":"a"}`, "$.latency": "1.5e2"}) {
		t.Errorf("%v %v", ok, got)
	}
}

func TestRefused(t *testing.T) {
	for pattern, want := range map[string]string{
		`foo.bar`:               "Invalid character(s) in term 'foo.bar': put it in double quotes (character 4)",
		`ok /api`:               "Invalid character(s) in term '/api'",
		`?`:                     "Invalid character(s) in term ''",
		`"never`:                "never closed (character 1)",
		`%never`:                "no % at its end",
		`%%`:                    "empty",
		`%something!%`:          `'!' is not supported in a regular expression (character 11)`,
		`%(a)%`:                 `'(' is not supported`,
		`%é%`:                   `'é' is not supported`,
		`%[%`:                   "missing closing ]",
		`%[a-z]{600}x%`:         "{1000} counts as if it were written out (character 1)",
		`%.{300}% %.{300}%`:     "written out (character 10)",
		`[a`:                    "is expected (character 3)",
		`[a, ..., b, ...]`:      "second ellipsis",
		`[a=1 && b=2]`:          "this is about b, the conditions before it about a",
		`[a=]`:                  "a value is expected",
		`[a>x]`:                 "compares numbers only",
		`[a=1] more`:            "more after the end",
		`[a=%x%, b=%y%, c=%z%]`: "at most 2 regular expressions",
		`{ $.a = %x% && $.b = %y% && $.c = %z% }`: "at most 2",
		`{`:                                 "a property is expected",
		`{}`:                                "a property is expected",
		`{ a = 1 }`:                         "a property is expected",
		`{ $ = 1 }`:                         "a property is expected",
		`{ $.a }`:                           "one of = != < <= > >= is expected (character 7)",
		`{ $.a = 1`:                         "&&, || or } is expected",
		`{ $.a = 1 } x`:                     "more after the end",
		`{ $.a IS MAYBE }`:                  "NULL, TRUE or FALSE",
		`{ $.a NOT THERE }`:                 "EXISTS is expected",
		`{ $.a > "1" }`:                     "compares numbers only",
		`{ $.a[x] = 1 }`:                    "an index, * or a name",
		`{ $.a[99999999999999999999] = 1 }`: "an index",
		`{ ($.a = 1 }`:                      "closing parenthesis",
		`{ ` + strings.Repeat("(", 60):      "nested",
	} {
		_, err := Parse(pattern)
		if faas.KindOf(err) != faas.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", pattern, err, want)
		}
	}
}

// FuzzPattern: no pattern and no message make it fail in another way than with an error of the right kind, and what a
// pattern extracts is what it matches.
func FuzzPattern(f *testing.F) {
	for _, p := range []string{`ERROR -"a b" ?c %d%`, `[a, b=1*||b>=2, ..., (c!=%x%)]`, `{ ($.a[0].b = "c" || $['d'] IS NULL) && $.e NOT EXISTS }`} {
		f.Add(p, access)
		f.Add(p, trail)
	}
	f.Fuzz(func(t *testing.T, pattern, message string) {
		if len(pattern) > 1024 {
			return
		}
		p, err := Parse(pattern)
		if err != nil {
			if faas.KindOf(err) != faas.Invalid {
				t.Error(err)
			}
			return
		}
		if _, ok := p.Extract(message); ok != p.Match(message) {
			t.Errorf("%q on %q: extracts %v", pattern, message, ok)
		}
	})
}
