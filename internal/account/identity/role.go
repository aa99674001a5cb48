package identity

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"artesian/internal/account/identity/policy"
	"artesian/internal/faas"
)

// Role is an IAM role. Its documents are kept as they were given.
type Role struct {
	Account     string            `json:"account"`
	Name        string            `json:"name"` // 1 to 64 characters
	Path        string            `json:"path"`
	ID          string            `json:"id"` // AROA…
	Description string            `json:"description,omitempty"`
	Trust       string            `json:"trust"`       // who may take it on
	MaxSession  int               `json:"max_session"` // seconds
	Created     time.Time         `json:"created"`
	Tags        []Tag             `json:"tags,omitempty"`
	Inline      map[string]string `json:"inline,omitempty"`   // policy documents by name
	Attached    []string          `json:"attached,omitempty"` // ARNs of managed policies, sorted
}

// ARN returns the role's resource name.
func (r *Role) ARN() string { return "arn:aws:iam::" + r.Account + ":role" + r.Path + r.Name }

func (r *Role) clone() *Role {
	c := *r
	c.Tags, c.Attached, c.Inline = slices.Clone(r.Tags), slices.Clone(r.Attached), maps.Clone(r.Inline)
	return &c
}

// NewRole is what a role is made of. Path and MaxSession may be left out.
type NewRole struct {
	Name, Path, Description, Trust string
	MaxSession                     int // seconds
	Tags                           []Tag
}

// CreateRole makes a role. Conflict: there is one of the name, in whatever case.
func (d *Directory) CreateRole(ctx context.Context, account string, n NewRole) (*Role, error) {
	r := &Role{Account: account, Name: n.Name, Path: n.Path, Description: n.Description, Trust: n.Trust, MaxSession: n.MaxSession,
		ID: newID(prefixRole, 17), Created: d.stamp()}
	if r.Path == "" {
		r.Path = "/"
	}
	if r.MaxSession == 0 {
		r.MaxSession = MinSession
	}
	var err error
	if r.Tags, err = mergeTags(nil, n.Tags); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	d.changing.Lock()
	defer d.changing.Unlock()
	if _, taken := d.roles.get(account, r.Name); !taken && d.roles.count(account) >= MaxRoles {
		return nil, exceeded("RolesPerAccount", MaxRoles)
	}
	if err := d.roles.create(ctx, account, r.Name, r); err != nil {
		return nil, exists(err, "Role with name "+r.Name+" already exists.")
	}
	return r, nil
}

// exists gives a conflict the message that IAM has for it.
func exists(err error, message string) error {
	if faas.KindOf(err) != faas.Conflict {
		return err
	}
	return &faas.Error{Kind: faas.Conflict, Message: message, Cause: err}
}

// check validates what a caller chose.
func (r *Role) check() error {
	if err := checkName("roleName", r.Name, 64); err != nil {
		return err
	}
	if err := checkPath(r.Path); err != nil {
		return err
	}
	if err := checkDescription(r.Description); err != nil {
		return err
	}
	if r.MaxSession < MinSession || r.MaxSession > MaxSession {
		return faas.Errorf(faas.Invalid, "The specified value for maxSessionDuration is invalid. It must be from %d to %d seconds.", MinSession, MaxSession)
	}
	return checkDocument(r.Trust, policy.Trust, "ACLSizePerRole", MaxTrustChars)
}

// Role returns a role. NotFound: there is none of the name.
func (d *Directory) Role(account, name string) (*Role, error) {
	r, err := d.role(account, name)
	return r.value, err
}

func (d *Directory) role(account, name string) (row[Role], error) {
	r, ok := d.roles.get(account, name)
	if !ok || r.value.Name != name {
		return row[Role]{}, faas.Errorf(faas.NotFound, "The role with name %s cannot be found.", name)
	}
	return r, nil
}

// Roles returns an account's roles in the order of their names.
func (d *Directory) Roles(account string) []*Role { return d.roles.all(account) }

// ChangeRole replaces a role by what change makes of a copy of it. Name, path, id and attachments are not to be changed.
func (d *Directory) ChangeRole(ctx context.Context, account, name string, change func(*Role) error) (*Role, error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	return d.changeRole(ctx, account, name, change)
}

func (d *Directory) changeRole(ctx context.Context, account, name string, change func(*Role) error) (*Role, error) {
	old, err := d.role(account, name)
	if err != nil {
		return nil, err
	}
	r := old.value.clone()
	if err := change(r); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return r, d.roles.update(ctx, account, name, old, r)
}

// DeleteRole removes a role that has no policies any more.
func (d *Directory) DeleteRole(ctx context.Context, account, name string) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	r, err := d.role(account, name)
	switch {
	case err != nil:
		return err
	case len(r.value.Attached) > 0:
		return deleteConflict("Cannot delete entity, must detach all policies first.")
	case len(r.value.Inline) > 0:
		return deleteConflict("Cannot delete entity, must delete policies first.")
	}
	return d.roles.delete(ctx, account, name, r)
}

// TagRole adds tags, or replaces those of the same keys.
func (d *Directory) TagRole(ctx context.Context, account, name string, tags []Tag) error {
	_, err := d.ChangeRole(ctx, account, name, func(r *Role) (err error) {
		r.Tags, err = mergeTags(r.Tags, tags)
		return err
	})
	return err
}

// UntagRole removes tags; keys that are not there are no error.
func (d *Directory) UntagRole(ctx context.Context, account, name string, keys []string) error {
	_, err := d.ChangeRole(ctx, account, name, func(r *Role) error {
		r.Tags = dropTags(r.Tags, keys)
		return nil
	})
	return err
}

// PutRolePolicy puts an inline policy into a role, in place of one of the same name.
func (d *Directory) PutRolePolicy(ctx context.Context, account, role, name, document string) error {
	if err := checkName("policyName", name, 128); err != nil {
		return err
	}
	if _, err := policy.Parse(document, policy.Identity); err != nil {
		return err
	}
	_, err := d.ChangeRole(ctx, account, role, func(r *Role) error {
		if r.Inline == nil {
			r.Inline = map[string]string{}
		}
		r.Inline[name] = document
		total := 0
		for _, text := range r.Inline {
			total += policy.Len(text)
		}
		if total > MaxInlineChars {
			return faas.Errorf(faas.LimitExceeded, "Maximum policy size of %d bytes exceeded for role %s", MaxInlineChars, role)
		}
		return nil
	})
	return err
}

// RolePolicy returns the document of an inline policy.
func (d *Directory) RolePolicy(account, role, name string) (string, error) {
	r, err := d.Role(account, role)
	if err != nil {
		return "", err
	}
	document, ok := r.Inline[name]
	if !ok {
		return "", noRolePolicy(name)
	}
	return document, nil
}

func noRolePolicy(name string) error {
	return faas.Errorf(faas.NotFound, "The role policy with name %s cannot be found.", name)
}

// DeleteRolePolicy removes an inline policy.
func (d *Directory) DeleteRolePolicy(ctx context.Context, account, role, name string) error {
	_, err := d.ChangeRole(ctx, account, role, func(r *Role) error {
		if _, ok := r.Inline[name]; !ok {
			return noRolePolicy(name)
		}
		delete(r.Inline, name)
		return nil
	})
	return err
}

// Assumable checks that a service, for example lambda.amazonaws.com, may take on the role arn of an account. Invalid: arn
// is not a role of the account. NotFound: there is no such role. Denied: its trust policy does not allow the service.
func (d *Directory) Assumable(account, arn, service string) error {
	rest, ok := strings.CutPrefix(arn, "arn:aws:iam::"+account+":role/")
	if !ok {
		return faas.Errorf(faas.Invalid, "%s is not the ARN of a role of account %s", arn, account)
	}
	r, err := d.Role(account, rest[strings.LastIndexByte(rest, '/')+1:])
	if err == nil && r.ARN() != arn {
		err = faas.Errorf(faas.NotFound, "The role with ARN %s cannot be found.", arn)
	}
	if err != nil {
		return err
	}
	doc, err := policy.Parse(r.Trust, policy.Trust)
	if err != nil {
		return err
	}
	if !doc.Trusts(service) {
		return faas.Errorf(faas.Denied, "The trust policy of role %s does not allow %s to assume it", r.Name, service)
	}
	return nil
}
