package identity

import (
	"strconv"
	"strings"
	"time"

	"artesian/internal/account/identity/policy"
	"artesian/internal/faas"
)

// Lives of temporary credentials (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_request.html).
const (
	DefaultRoleLife = time.Hour
	MaxChainedLife  = time.Hour // of a role that was taken on with temporary credentials of another
	DefaultUserLife = 12 * time.Hour
)

// Assume is a request to take a role on.
type Assume struct {
	Role       string // ARN
	Session    string // name, 2 to 64 characters of [\w+=,.@-]
	ExternalID string
	Life       time.Duration // 0: DefaultRoleLife
	Region     string        // that was asked
}

// Assume issues credentials of a role to a caller whom its trust policy names. Denied: it doesn't, or there is no such
// role; which of the two is not told.
func (s *Sessions) Assume(p Principal, in Assume) (Temporary, *Role, error) {
	account, ok := arnAccount(in.Role)
	if !ok || !faas.ValidAccount(account) || !strings.HasPrefix(in.Role, "arn:aws:iam::"+account+":role/") {
		return Temporary{}, nil, faas.Errorf(faas.Invalid, "%s is invalid", in.Role)
	}
	refused := faas.Errorf(faas.Denied, "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", p.ARN, in.Role)
	r, err := s.dir.Role(account, lastPart(in.Role))
	if err != nil || r.ARN() != in.Role {
		return Temporary{}, nil, refused
	}
	trust, err := policy.Parse(r.Trust, policy.Trust)
	if err != nil {
		return Temporary{}, nil, err
	}
	if !trust.AllowsAssume(policy.Caller{Account: p.Account, ARN: p.ARN, ID: p.UserID, Role: p.Role}, s.keys(p, in)) {
		return Temporary{}, nil, refused
	}
	switch {
	case in.Life == 0:
		in.Life = DefaultRoleLife
	case in.Life > time.Duration(r.MaxSession)*time.Second:
		return Temporary{}, nil, faas.Errorf(faas.Invalid, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	case in.Life > MaxChainedLife && p.Role != "":
		return Temporary{}, nil, faas.Errorf(faas.Invalid, "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}
	return s.Role(r, in.Session, in.Life), r, nil
}

// keys are the condition keys that a trust policy may ask about.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
func (s *Sessions) keys(p Principal, in Assume) policy.Keys {
	one := func(v string) []string {
		if v == "" {
			return nil
		}
		return []string{v}
	}
	now := s.dir.now().UTC()
	k := policy.Keys{
		"sts:externalid":             one(in.ExternalID),
		"sts:rolesessionname":        one(in.Session),
		"aws:principalaccount":       {p.Account},
		"aws:principalarn":           {p.ARN},
		"aws:principaltype":          {"User"},
		"aws:userid":                 {p.UserID},
		"aws:username":               nil,
		"aws:currenttime":            {now.Format(time.RFC3339)},
		"aws:epochtime":              {strconv.FormatInt(now.Unix(), 10)},
		"aws:requestedregion":        one(in.Region),
		"aws:multifactorauthpresent": nil,
		"aws:multifactorauthage":     nil,
		"aws:sourceaccount":          nil, // they are of requests that a service makes
		"aws:sourcearn":              nil,
	}
	if p.Role != "" {
		k["aws:principalarn"], k["aws:principaltype"] = []string{p.Role}, []string{"AssumedRole"}
	} else {
		k["aws:username"] = []string{lastPart(p.ARN)}
	}
	if p.Temporary() {
		k["aws:multifactorauthpresent"] = []string{"false"}
	}
	return k
}

// UserSession issues credentials that stand for the caller, who signed with a user's own key.
func (s *Sessions) UserSession(p Principal, life time.Duration) (Temporary, error) {
	if p.Temporary() {
		return Temporary{}, faas.Errorf(faas.Denied, "Cannot call GetSessionToken with session credentials")
	}
	u, err := s.dir.User(p.Account, lastPart(p.ARN))
	if err != nil {
		return Temporary{}, err
	}
	if life == 0 {
		life = DefaultUserLife
	}
	return s.User(u, life), nil
}

// Service issues credentials of a role to a service that its trust policy names, for example lambda.amazonaws.com.
func (s *Sessions) Service(account, arn, service, session string, life time.Duration) (Temporary, error) {
	if err := s.dir.Assumable(account, arn, service); err != nil {
		return Temporary{}, err
	}
	r, err := s.dir.Role(account, lastPart(arn))
	if err != nil {
		return Temporary{}, err
	}
	return s.Role(r, session, life), nil
}
