package policy

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"artesian/internal/faas"
)

const (
	lambdaTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	everything  = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
)

func TestParse(t *testing.T) {
	got, err := Parse(`{
	"Version": "2012-10-17", "Id": "one",
	"Statement": [
		{"Sid": "Read1", "Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "arn:aws:s3:::b/${aws:username}/*",
		 "Condition": {"ForAnyValue:StringLikeIfExists": {"aws:TagKeys": ["a", "b"]}, "Bool": {"aws:SecureTransport": true},
		               "NumericLessThan": {"s3:max-keys": 10}}},
		{"Effect": "Deny", "NotAction": "iam:*", "NotResource": ["*"]}
	]}`, Identity)
	if err != nil {
		t.Fatal(err)
	}
	want := &Document{Version: "2012-10-17", ID: "one", Statements: []Statement{
		{Sid: "Read1", Allow: true, Actions: []string{"s3:Get*", "s3:List*"}, Resources: []string{"arn:aws:s3:::b/${aws:username}/*"},
			Conditions: []Condition{
				{Operator: "StringLike", Quantifier: "ForAnyValue", IfExists: true, Key: "aws:TagKeys", Values: []string{"a", "b"}},
				{Operator: "Bool", Key: "aws:SecureTransport", Values: []string{"true"}},
				{Operator: "NumericLessThan", Key: "s3:max-keys", Values: []string{"10"}},
			}},
		{Actions: []string{"iam:*"}, NotActions: true, Resources: []string{"*"}, NotResources: true},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestParseTrust(t *testing.T) {
	for text, want := range map[string]map[string][]string{
		lambdaTrust:  {"Service": {"lambda.amazonaws.com"}},
		trust(`"*"`): {"AWS": {"*"}},
		trust(`{"AWS":["000000000000","arn:aws:iam::123456789012:root","arn:aws:iam::123456789012:role/p/x"],"Federated":"accounts.google.com"}`): {
			"AWS":       {"000000000000", "arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:role/p/x"},
			"Federated": {"accounts.google.com"}},
		trust(`{"Federated":"arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"}`): {
			"Federated": {"arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"}},
	} {
		doc, err := Parse(text, Trust)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if d := cmp.Diff(want, doc.Statements[0].Principals); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
}

func trust(principal string) string {
	return `{"Statement":{"Effect":"Allow","Principal":` + principal + `,"Action":"sts:AssumeRole"}}`
}

func statement(s string) string { return `{"Version":"2012-10-17","Statement":[` + s + `]}` }

// TestMalformed names for each broken document the words that its message must have.
func TestMalformed(t *testing.T) {
	for _, c := range []struct {
		kind       Kind
		text, want string
	}{
		{Identity, ``, "not JSON near byte 0"},
		{Identity, `{"Version":"2012-10-17","Statement":[}`, "Statement"},
		{Identity, everything + `x`, "text follows"},
		{Identity, `[]`, "must be a JSON object"},
		{Identity, `{}`, "Missing required field Statement"},
		{Identity, `{"Statement":[]}`, "Statement: must not be empty"},
		{Identity, `{"Statement":"x"}`, "Statement: must be an object or a list"},
		{Identity, `{"Statement":["x"]}`, "Statement[0]: must be an object"},
		{Identity, `{"Version":"2013-10-17","Statement":[]}`, `Version: must be "2012-10-17" or "2008-10-17"`},
		{Identity, `{"Version":20121017}`, "Version"},
		{Identity, `{"Id":1}`, "Id: must be a string"},
		{Identity, `{"Comment":"x"}`, "Unknown field Comment"},
		{Identity, "{\"Id\":\"\u20ac\"}", "byte 7"},
		{Identity, statement(`{"Action":"*","Resource":"*"}`), "Missing required field Effect at Statement[0]"},
		{Identity, statement(`{"Effect":"allow","Action":"*","Resource":"*"}`), "Statement[0].Effect: must be Allow or Deny"},
		{Identity, statement(`{"Effect":"Allow","Resource":"*"}`), "Policy statement must contain actions: Statement[0]"},
		{Identity, statement(`{"Effect":"Allow","Action":[],"Resource":"*"}`), "must contain actions"},
		{Identity, statement(`{"Effect":"Allow","Action":"*"}`), "Policy statement must contain resources: Statement[0]"},
		{Identity, statement(`{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}`), "both Action and NotAction"},
		{Identity, statement(`{"Effect":"Allow","Action":"*","NotResource":"*","Resource":"*"}`), "both Resource and NotResource"},
		{Identity, statement(`{"Effect":"Allow","Effect":"Deny","Action":"*","Resource":"*"}`), `Statement[0]: has the field "Effect" twice`},
		{Identity, statement(`{"Effect":"Allow","Action":["s3:Get",1],"Resource":"*"}`), "Statement[0].Action[1]: must be a string"},
		{Identity, statement(`{"Effect":"Allow","Action":["s3:Get","GetObject"],"Resource":"*"}`), `prefaced by a vendor, e.g., iam, sdb, ec2, etc.: Statement[0].Action[1] is "GetObject"`},
		{Identity, statement(`{"Effect":"Allow","Action":"a:b:c","Resource":"*"}`), "only one colon"},
		{Identity, statement(`{"Effect":"Allow","Action":"s3*:Get","Resource":"*"}`), `Vendor "s3*" is not valid`},
		{Identity, statement(`{"Effect":"Allow","Action":"s3:","Resource":"*"}`), "names no action"},
		{Identity, statement(`{"Effect":"Allow","Action":"s3:*","Resource":"bucket"}`), `Resource bucket must be in ARN format or "*": Statement[0].Resource`},
		{Identity, statement(`{"Effect":"Allow","Action":"s3:*","Resource":{}}`), "Statement[0].Resource: must be a string or a list of strings"},
		{Identity, statement(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*"}`), "should not specify a principal: Statement[0].Principal"},
		{Identity, statement(`{"Effect":"Allow","Action":"s3:*","Resource":"*","NotPrincipal":"*"}`), "should not specify a principal"},
		{Identity, statement(`{"Sid":"a b","Effect":"Allow","Action":"*","Resource":"*"}`), "must be alpha-numeric"},
		{Identity, statement(`{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"}`), `must be unique: Statement[1] has "a" again`},
		{Identity, statement(`{"Effect":"Allow","Action":"*","Resource":"*","Extra":1}`), "Unknown field Extra at Statement[0]"},
		{Identity, statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":[]}`), "Statement[0].Condition: must be an object"},
		{Identity, statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Equals":{}}}`), "Statement[0].Condition.Equals: is not a condition operator"},
		{Identity, statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NullIfExists":{}}}`), "not a condition operator"},
		{Identity, statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForSome:Bool":{}}}`), "not a condition operator"},
		{Identity, statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":"x"}}`), "must be an object of condition keys"},
		{Identity, statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"x":"true"}}}`), "prefaced by a vendor"},
		{Identity, statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"a:x":[null]}}}`), "must be a string, a number or a boolean"},
		{Identity, strings.Repeat("[", 100000), "nested too deeply"},
		{Identity, `{"Id":"` + strings.Repeat("x", MaxText) + `"}`, "at most 131072 are allowed"},
		{Trust, everything, `may only specify STS AssumeRole actions: Statement.Action is "*"`},
		{Trust, statement(`{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}`), "Has prohibited field Resource at Statement[0]"},
		{Trust, statement(`{"Effect":"Allow","Action":"sts:AssumeRole"}`), "Missing required field Principal at Statement[0]"},
		{Trust, statement(`{"Effect":"Allow","NotPrincipal":"*","Action":"sts:AssumeRole"}`), "Has prohibited field NotPrincipal"},
		{Trust, statement(`{"Effect":"Allow","Principal":"*","NotAction":"sts:AssumeRole"}`), "may only specify STS AssumeRole actions"},
		{Trust, statement(`{"Effect":"Allow","Principal":"*","Action":["sts:AssumeRole","s3:Get"]}`), `Statement[0].Action[1] is "s3:Get"`},
		{Trust, trust(`"x"`), `Statement.Principal: must be "*" or an object`},
		{Trust, trust(`{}`), `must be "*" or an object`},
		{Trust, trust(`{"User":"x"}`), `unknown kind "User"`},
		{Trust, trust(`{"AWS":"x"}`), `Invalid principal in policy: "AWS":"x"`},
		{Trust, trust(`{"Service":"lambda"}`), `Invalid principal in policy: "SERVICE":"lambda"`},
		{Trust, trust(`{"Service":[]}`), "must not be empty"},
	} {
		doc, err := Parse(c.text, c.kind)
		var e *faas.Error
		if !errors.As(err, &e) || e.Kind != faas.Invalid || e.Code != "MalformedPolicyDocument" || !strings.Contains(e.Message, c.want) || doc != nil {
			t.Errorf("%.120s\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestLen(t *testing.T) {
	if n := Len(" {\t\"a\":\r\n \"é\" } "); n != 9 {
		t.Error(n)
	}
}

// FuzzParse looks for panics, for messages without bounds, and for documents that break what Document promises.
func FuzzParse(f *testing.F) {
	for _, s := range []string{everything, lambdaTrust, trust(`{"AWS":["*"]}`), statement(`{"Effect":"Deny","NotAction":["a:b"],"NotResource":"arn:aws:s3:::x","Condition":{"Null":{"a:b":["true",1,false]}}}`), `{`, `[[`} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, text string, isTrust bool) {
		kind := Identity
		if isTrust {
			kind = Trust
		}
		doc, err := Parse(text, kind)
		if err != nil {
			if len(err.Error()) > 4096 {
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
			return
		}
		for _, s := range doc.Statements {
			if len(s.Actions) == 0 || (len(s.Principals) > 0) != isTrust || (len(s.Resources) > 0) == isTrust {
				t.Errorf("%q: %+v", text, s)
			}
		}
		if len(doc.Statements) == 0 {
			t.Errorf("%q has no statement", text)
		}
	})
}
