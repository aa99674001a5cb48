package identity

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"time"

	"artesian/internal/faas"
)

func newSessions(t *testing.T, d *Directory) *Sessions {
	t.Helper()
	s, err := NewSessions(d, bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSession(t *testing.T) {
	d := newDirectory(t)
	r := must[*Role](t)(d.CreateRole(t.Context(), "123456789012", NewRole{Name: "Work", Path: "/team/", Trust: trustDoc}))
	s := newSessions(t, d)
	got := s.Role(r, "me@x", time.Hour)
	if !regexp.MustCompile(`^ASIA[A-Z2-7]{16}$`).MatchString(got.AccessKeyID) || len(got.SecretAccessKey) != 40 {
		t.Errorf("%q %q", got.AccessKeyID, got.SecretAccessKey)
	}
	want := Principal{Account: "123456789012", ARN: "arn:aws:sts::123456789012:assumed-role/Work/me@x", UserID: r.ID + ":me@x",
		AccessKeyID: got.AccessKeyID, Role: "arn:aws:iam::123456789012:role/team/Work"}
	if got.Owner != want || !got.Owner.Temporary() {
		t.Errorf("%+v", got.Owner)
	}
	if end := testTime.Add(time.Hour).Truncate(time.Second); !got.Expires.Equal(end) {
		t.Errorf("ends %v, want %v", got.Expires, end)
	}
	if open, ok := newSessions(t, d).Open(got.AccessKeyID, got.Token); !ok || open != got { // another start of the daemon
		t.Errorf("%+v %v\nwant %+v", open, ok, got)
	}
	if account, err := d.KeyAccount(got.AccessKeyID); account != "123456789012" || err != nil {
		t.Error(account, err)
	}
	if other := s.Role(r, "me@x", time.Hour); other.AccessKeyID == got.AccessKeyID || other.SecretAccessKey == got.SecretAccessKey {
		t.Error("two sessions have the same key")
	}
}

func TestSessionForged(t *testing.T) {
	d := newDirectory(t)
	r := must[*Role](t)(d.CreateRole(t.Context(), acct, NewRole{Name: "Work", Trust: trustDoc}))
	s := newSessions(t, d)
	mine, other := s.Role(r, "a1", time.Hour), s.Role(r, "a2", time.Hour)
	foreign, err := NewSessions(d, bytes.Repeat([]byte{8}, 32))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := base64.StdEncoding.DecodeString(mine.Token)
	for i := range raw {
		bent := bytes.Clone(raw)
		bent[i] ^= 1
		if _, ok := s.Open(mine.AccessKeyID, base64.StdEncoding.EncodeToString(bent)); ok {
			t.Errorf("byte %d may be changed", i)
		}
	}
	theirs := foreign.Role(r, "a1", time.Hour)
	for name, c := range map[string][2]string{
		"another key's token": {mine.AccessKeyID, other.Token},
		"user's key":          {"AKIA" + mine.AccessKeyID[4:], mine.Token},
		"another platform":    {theirs.AccessKeyID, theirs.Token},
		"cut":                 {mine.AccessKeyID, mine.Token[:len(mine.Token)-4]},
		"empty":               {mine.AccessKeyID, ""},
		"long":                {mine.AccessKeyID, strings.Repeat("A", 4<<20)},
	} {
		if _, ok := s.Open(c[0], c[1]); ok {
			t.Errorf("%s: opened", name)
		}
	}
}

// TestSessionEndsWithItsRole: also when another role of the name takes its place.
func TestSessionEndsWithItsRole(t *testing.T) {
	d := newDirectory(t)
	r := must[*Role](t)(d.CreateRole(t.Context(), acct, NewRole{Name: "Work", Trust: trustDoc}))
	s := newSessions(t, d)
	c := s.Role(r, "a1", time.Hour)
	if err := d.DeleteRole(t.Context(), acct, "Work"); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Open(c.AccessKeyID, c.Token); ok {
		t.Error("the session of a deleted role goes on")
	}
	must[*Role](t)(d.CreateRole(t.Context(), acct, NewRole{Name: "Work", Trust: trustDoc}))
	if _, ok := s.Open(c.AccessKeyID, c.Token); ok {
		t.Error("the session of a deleted role goes on as another's")
	}
}

func TestUserSession(t *testing.T) {
	d := newDirectory(t)
	must[Credentials](t)(d.Bootstrap(t.Context(), acct, ""))
	u := must[*User](t)(d.User(acct, Admin))
	s := newSessions(t, d)
	c := must[Temporary](t)(s.UserSession(Principal{Account: acct, ARN: u.ARN(), UserID: u.ID, AccessKeyID: "AKIAX"}, 0))
	if want := (Principal{Account: acct, ARN: u.ARN(), UserID: u.ID, AccessKeyID: c.AccessKeyID}); c.Owner != want {
		t.Errorf("%+v", c.Owner)
	}
	if open, ok := s.Open(c.AccessKeyID, c.Token); !ok || open != c || !open.Expires.Equal(testTime.Add(12*time.Hour).Truncate(time.Second)) {
		t.Errorf("%+v %v", open, ok)
	}
	if _, err := s.UserSession(c.Owner, 0); faas.KindOf(err) != faas.Denied {
		t.Error(err)
	}
}

// TestAssume is who may take a role on, and for how long.
func TestAssume(t *testing.T) {
	d := newDirectory(t)
	s := newSessions(t, d)
	admin := Principal{Account: acct, ARN: "arn:aws:iam::000000000000:user/admin", UserID: "AIDAX", AccessKeyID: "AKIAX"}
	worker := Principal{Account: acct, ARN: "arn:aws:sts::000000000000:assumed-role/fn/f", UserID: "AROAFN23456789ABC:f", AccessKeyID: "ASIAX", Role: "arn:aws:iam::000000000000:role/x/fn"}
	stranger := Principal{Account: "999999999999", ARN: "arn:aws:iam::999999999999:user/admin", UserID: "AIDAY", AccessKeyID: "AKIAY"}
	allow := func(principal, more string) string {
		return `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":"sts:AssumeRole"` + more + `}]}`
	}
	when := func(c string) string { return allow("*", `,"Condition":{`+c+`}`) }
	for name, c := range map[string]struct {
		trust   string
		who     Principal
		in      Assume
		refused faas.Kind // 0: not
	}{
		"account":                      {allow(acct, ""), admin, Assume{}, 0},
		"account root, by a session":   {allow("arn:aws:iam::000000000000:root", ""), worker, Assume{}, 0},
		"account, a stranger":          {allow(acct, ""), stranger, Assume{}, faas.Denied},
		"another account":              {allow("999999999999", ""), stranger, Assume{}, 0},
		"user":                         {allow(admin.ARN, ""), admin, Assume{}, 0},
		"user, another":                {allow(admin.ARN, ""), worker, Assume{}, faas.Denied},
		"role":                         {allow(worker.Role, ""), worker, Assume{}, 0},
		"role, a user":                 {allow(worker.Role, ""), admin, Assume{}, faas.Denied},
		"session":                      {allow(worker.ARN, ""), worker, Assume{}, 0},
		"session, another":             {allow(worker.ARN+"2", ""), worker, Assume{}, faas.Denied},
		"id":                           {allow("AROAFN23456789ABC", ""), worker, Assume{}, 0},
		"service only":                 {trustDoc, admin, Assume{}, faas.Denied},
		"anybody":                      {allow("*", ""), stranger, Assume{}, 0},
		"denied":                       {`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:*"},{"Effect":"Deny","Principal":{"AWS":"999999999999"},"Action":"sts:AssumeRole"}]}`, stranger, Assume{}, faas.Denied},
		"another action":               {`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRoleWithSAML"}]}`, admin, Assume{}, faas.Denied},
		"external id":                  {when(`"StringEquals":{"sts:ExternalId":["a1","b2"]}`), stranger, Assume{ExternalID: "b2"}, 0},
		"external id, wrong":           {when(`"StringEquals":{"sts:ExternalId":"a1"}`), stranger, Assume{ExternalID: "b2"}, faas.Denied},
		"external id, none":            {when(`"StringEquals":{"sts:ExternalId":"a1"}`), stranger, Assume{}, faas.Denied},
		"external id, none, if exists": {when(`"StringEqualsIfExists":{"sts:ExternalId":"a1"}`), stranger, Assume{}, 0},
		"no external id wanted":        {when(`"Null":{"sts:ExternalId":"true"}`), stranger, Assume{ExternalID: "x1"}, faas.Denied},
		"session name":                 {when(`"StringLike":{"sts:RoleSessionName":"s?-*"}`), admin, Assume{Session: "s1-x"}, 0},
		"session name, wrong":          {when(`"StringNotLike":{"sts:RoleSessionName":"s?-*"}`), admin, Assume{Session: "s1-x"}, faas.Denied},
		"principal's ARN":              {when(`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/x/*"}`), worker, Assume{}, 0},
		"principal's ARN, wrong":       {when(`"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/x/*"}`), worker, Assume{}, faas.Denied},
		"before a date":                {when(`"DateLessThan":{"aws:CurrentTime":"2026-02-03T04:06:00Z"}`), admin, Assume{}, 0},
		"after a date":                 {when(`"DateGreaterThan":{"aws:CurrentTime":"2026-02-03T04:06:00Z"}`), admin, Assume{}, faas.Denied},
		"with two factors":             {when(`"Bool":{"aws:MultiFactorAuthPresent":"true"}`), admin, Assume{}, faas.Denied},
		"a key that is not known":      {when(`"StringNotEquals":{"aws:PrincipalOrgID":"o-1"}`), admin, Assume{}, faas.Denied},
		"a deny of what is not known":  {`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:*"},{"Effect":"Deny","Principal":"*","Action":"sts:*","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}}]}`, admin, Assume{}, faas.Denied},
		"variable":                     {when(`"StringEquals":{"aws:username":"${aws:username}"}`), admin, Assume{}, faas.Denied},
		"for any value":                {when(`"ForAnyValue:StringEquals":{"aws:username":["admin","b"]}`), admin, Assume{}, 0},
		"longest":                      {allow("*", ""), admin, Assume{Life: 2 * time.Hour}, 0},
		"too long":                     {allow("*", ""), admin, Assume{Life: 2*time.Hour + time.Second}, faas.Invalid},
		"chained, an hour":             {allow("*", ""), worker, Assume{Life: time.Hour}, 0},
		"chained, more than an hour":   {allow("*", ""), worker, Assume{Life: 61 * time.Minute}, faas.Invalid},
		"no role":                      {allow("*", ""), admin, Assume{Role: "arn:aws:iam::000000000000:role/None"}, faas.Denied},
		"another path":                 {allow("*", ""), admin, Assume{Role: "arn:aws:iam::000000000000:role/p/Target"}, faas.Denied},
		"no ARN of a role":             {allow("*", ""), admin, Assume{Role: "arn:aws:iam::000000000000:user/Target"}, faas.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			r := must[*Role](t)(d.CreateRole(t.Context(), acct, NewRole{Name: "Target", Trust: c.trust, MaxSession: 7200}))
			defer func() { _ = d.DeleteRole(t.Context(), acct, "Target") }()
			if c.in.Role == "" {
				c.in.Role = r.ARN()
			}
			if c.in.Session == "" {
				c.in.Session = "session"
			}
			got, _, err := s.Assume(c.who, c.in)
			if c.refused == 0 && (err != nil || got.Owner.Role != r.ARN()) || c.refused != 0 && faas.KindOf(err) != c.refused {
				t.Errorf("%v, want %v", err, c.refused)
			}
		})
	}
}

// FuzzSessionOpen: no token opens but one that was issued, with the key that it was issued with.
func FuzzSessionOpen(f *testing.F) {
	now := func() time.Time { return testTime }
	d := &Directory{now: now, roles: newTable[Role](nil, "iam-role", "role"), users: newTable[User](nil, "iam-user", "user")}
	s, err := NewSessions(d, bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	r := &Role{Account: acct, Name: "Work", Path: "/", ID: "AROAX"}
	d.roles.accounts[acct] = map[string]row[Role]{"work": {value: r}}
	issued := s.Role(r, "a1", time.Hour)
	if _, ok := s.Open(issued.AccessKeyID, issued.Token); !ok {
		f.Fatal("the issued token does not open")
	}
	f.Add(issued.AccessKeyID, issued.Token[:40])
	f.Add(issued.AccessKeyID+"A", issued.Token)
	f.Add("", "")
	f.Fuzz(func(t *testing.T, key, token string) {
		if got, ok := s.Open(key, token); ok && (key != issued.AccessKeyID || token != issued.Token) {
			t.Errorf("%q %q opened: %+v", key, token, got)
		}
	})
}

// BenchmarkSessionOpen is what every request that a function makes costs twice: before its body is read, and after.
func BenchmarkSessionOpen(b *testing.B) {
	d := &Directory{now: time.Now, roles: newTable[Role](nil, "iam-role", "role"), users: newTable[User](nil, "iam-user", "user")}
	s, err := NewSessions(d, bytes.Repeat([]byte{7}, 32))
	if err != nil {
		b.Fatal(err)
	}
	r := &Role{Account: acct, Name: "Work", Path: "/", ID: "AROAX"}
	d.roles.accounts[acct] = map[string]row[Role]{"work": {value: r}}
	issued := s.Role(r, "function", time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := s.Open(issued.AccessKeyID, issued.Token); !ok {
			b.Fatal("not opened")
		}
	}
}
