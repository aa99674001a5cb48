package wire_test

import (
	"encoding/json"
	"strings"
	"testing"

	lambda "artesian/internal/door/aws/lambda/api"
	logs "artesian/internal/door/aws/logs/api"
	"artesian/internal/door/aws/wire"
)

// Messages are worded as AWS words them; clients are known to match on that.
func TestConstraintMessages(t *testing.T) {
	const role = `"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Code":{},`
	at := func(value, path, rest string) string {
		return "1 validation error detected: Value " + value + "at '" + path + "' failed to satisfy constraint: " + rest
	}
	s := lambda.New(anyLambda{}, wire.Options{Authorize: allow})
	for body, want := range map[string]string{
		`{"FunctionName":"","Role":"arn:aws:iam::000000000000:role/r","Code":{}}`: "2 validation errors detected: Value '' at 'functionName' failed to satisfy " +
			"constraint: Member must have length greater than or equal to 1; Value '' at 'functionName' failed to satisfy constraint: " +
			"Member must satisfy regular expression pattern: ",
		`{` + role + `"MemorySize":127}`:            at("'127' ", "memorySize", "Member must have value greater than or equal to 128"),
		`{` + role + `"MemorySize":10241}`:          at("'10241' ", "memorySize", "Member must have value less than or equal to 10240"),
		`{` + role + `"PackageType":"Tar"}`:         at("'Tar' ", "packageType", "Member must satisfy enum value set: [Zip, Image]"),
		`{` + role + `"Architectures":["a86"]}`:     at("'a86' ", "architectures.1.member", "Member must satisfy enum value set: [x86_64, arm64]"),
		`{` + role + `"Architectures":[]}`:          at("'[]' ", "architectures", "Member must have length greater than or equal to 1"),
		`{` + role + `"EphemeralStorage":{}}`:       at("null ", "ephemeralStorage.size", "Member must not be null"),
		`{` + role + `"TracingConfig":{"Mode":""}}`: at("'' ", "tracingConfig.mode", "Member must satisfy enum value set: [Active, PassThrough]"),
		`{` + role + `"Description":"` + strings.Repeat("é", 257) + `"}`: at("'"+strings.Repeat("é", 257)+"' ", "description",
			"Member must have length less than or equal to 256"),
		`{` + role + `"Handler":"` + strings.Repeat("h", 2000) + `"}`: at("'"+strings.Repeat("h", 1024)+"...' ", "handler",
			"Member must have length less than or equal to 128"),
		// The model marks names and values of the environment as sensitive: they are not repeated.
		`{` + role + `"Environment":{"Variables":{"0":"secret"}}}`: at("", "environment.variables",
			"Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]"),
	} {
		w := send(s, "POST", "/2015-03-31/functions", body)
		var got struct{ Message string }
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 400 || !strings.HasPrefix(got.Message, want) {
			t.Errorf("%.120s:\n %d %s\nwant %s", body, w.Code, w.Body, want)
		}
	}
	if w := send(s, "POST", "/2015-03-31/functions", `{`+role+`"Description":"`+strings.Repeat("é", 256)+`"}`); w.Code != 201 {
		t.Errorf("256 characters: %d %s", w.Code, w.Body)
	}
	var got struct{ Message string }
	w := send(logs.New(anyLogs{}, wire.Options{Authorize: allow}), "POST", "/",
		`{"logGroupName":"g","tags":{"a#":"b"}}`, "X-Amz-Target", "Logs_20140328.CreateLogGroup")
	want := at("'a#' ", "tags", "Map keys must satisfy constraint: [Member must have length less than or equal to 128, "+
		`Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: ^([\p{L}\p{Z}\p{N}_.:/=+\-@]+)$]`)
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Message != want {
		t.Errorf("%s\nwant %s", w.Body, want)
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, value string
		match          bool
	}{
		{`[\w]+`, "a b", false}, // a pattern stands for the whole value
		{`a|b`, "ab", false},
		{`[\u0020-\u00FF]*`, "ÿ", true},
		{`[\u0020-\u00FF]*`, "Ā", false},
		{`[\u0009\u0020-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+`, "😹", true},
		{`[\p{L}\p{Z}\p{N}_.:/=+\-@]*`, "né 1", true},
		{`[\w-_]*`, "a-_", true},
		{`^vpce-[0-9a-f]{1,64}$`, "vpce-0", true},
	} {
		re, err := wire.CompilePattern(c.pattern)
		if err != nil || re.MatchString(c.value) != c.match {
			t.Errorf("%s on %q: %v", c.pattern, c.value, err)
		}
	}
	if _, err := wire.CompilePattern(`(?!a)b`); err == nil {
		t.Error("a look-ahead is accepted")
	}
}
