package policy

import (
	"regexp"
	"strings"
	"testing"
)

func TestTrusts(t *testing.T) {
	const head = `{"Version":"2012-10-17","Statement":[`
	allow := func(effect, service, action, more string) string {
		return `{"Effect":"` + effect + `","Principal":{"Service":["x.amazonaws.com","` + service + `"]},"Action":"` + action + `"` + more + `}`
	}
	condition := `,"Condition":{"StringEquals":{"aws:SourceAccount":"000000000000"}}`
	for text, want := range map[string]bool{
		allow("Allow", "lambda.amazonaws.com", "sts:AssumeRole", ""):                                                          true,
		allow("Allow", "lambda.amazonaws.com", "sts:assume*", condition):                                                      true,
		allow("Allow", "ec2.amazonaws.com", "sts:AssumeRole", ""):                                                             false,
		allow("Allow", "lambda.amazonaws.com", "sts:TagSession", ""):                                                          false,
		allow("Allow", "lambda.amazonaws.com", "sts:*", "") + "," + allow("Deny", "lambda.amazonaws.com", "sts:*", ""):        false,
		allow("Allow", "lambda.amazonaws.com", "sts:*", "") + "," + allow("Deny", "lambda.amazonaws.com", "sts:*", condition): true,
		allow("Allow", "lambda.amazonaws.com", "sts:*", "") + "," + allow("Deny", "ec2.amazonaws.com", "sts:*", ""):           true,
		`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"sts:AssumeRole"}`:                   false,
	} {
		doc, err := Parse(head+text+"]}", Trust)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if doc.Trusts("lambda.amazonaws.com") != want {
			t.Errorf("%s: want %v", text, want)
		}
	}
}

// FuzzMatch compares with the same pattern as a regular expression.
func FuzzMatch(f *testing.F) {
	f.Add("sts:*", "sts:AssumeRole")
	f.Add("*a*b?c*", "aabbcabxc")
	f.Add("**?", "")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 50 || len(text) > 200 || strings.ContainsFunc(pattern+text, func(r rune) bool { return r >= 0x80 }) {
			return
		}
		re := regexp.MustCompile(`(?s)^` + strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern)) + `$`)
		if got := Match(pattern, text); got != re.MatchString(text) {
			t.Errorf("Match(%q, %q) = %v", pattern, text, got)
		}
	})
}
