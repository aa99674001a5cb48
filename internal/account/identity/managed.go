package identity

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"artesian/internal/account/identity/policy"
	"artesian/internal/faas"
)

// Policy is a managed policy: a customer's own, or one that AWS publishes.
type Policy struct {
	Account     string          `json:"account"` // "aws" for AWS's own
	Name        string          `json:"name"`    // 1 to 128 characters
	Path        string          `json:"path"`
	ID          string          `json:"id"` // ANPA…
	Description string          `json:"description,omitempty"`
	Created     time.Time       `json:"created"`
	Updated     time.Time       `json:"updated"`
	Tags        []Tag           `json:"tags,omitempty"`
	Versions    []PolicyVersion `json:"versions"` // oldest first
	Default     int             `json:"default"`  // number of the version in force
	Next        int             `json:"next"`     // number of the next version
}

// PolicyVersion is one text of a policy, kept as it was given.
type PolicyVersion struct {
	Number   int       `json:"number"`
	Document string    `json:"document"`
	Created  time.Time `json:"created"`
}

// ID returns the version's identifier, for example v1.
func (v PolicyVersion) ID() string { return fmt.Sprintf("v%d", v.Number) }

// ARN returns the policy's resource name.
func (p *Policy) ARN() string { return "arn:aws:iam::" + p.Account + ":policy" + p.Path + p.Name }

// Version returns the version with an identifier.
func (p *Policy) Version(id string) (PolicyVersion, error) {
	for _, v := range p.Versions {
		if v.ID() == id {
			return v, nil
		}
	}
	return PolicyVersion{}, faas.Errorf(faas.NotFound, "Policy %s version %s does not exist or is not attachable.", p.ARN(), id)
}

func (p *Policy) clone() *Policy {
	c := *p
	c.Tags, c.Versions = slices.Clone(p.Tags), slices.Clone(p.Versions)
	return &c
}

// NewPolicy is what a policy is made of. Path may be left out.
type NewPolicy struct {
	Name, Path, Description, Document string
	Tags                              []Tag
}

// CreatePolicy makes a customer managed policy. Conflict: there is one of the name, in whatever case and path.
func (d *Directory) CreatePolicy(ctx context.Context, account string, n NewPolicy) (*Policy, error) {
	now := d.stamp()
	p := &Policy{Account: account, Name: n.Name, Path: n.Path, Description: n.Description, ID: newID(prefixPolicy, 17), Created: now,
		Updated: now, Default: 1, Next: 2, Versions: []PolicyVersion{{Number: 1, Document: n.Document, Created: now}}}
	if p.Path == "" {
		p.Path = "/"
	}
	if err := checkName("policyName", p.Name, 128); err != nil {
		return nil, err
	}
	if err := checkPath(p.Path); err != nil {
		return nil, err
	}
	if err := checkDescription(p.Description); err != nil {
		return nil, err
	}
	if err := checkDocument(n.Document, policy.Identity, "PolicySize", MaxPolicyChars); err != nil {
		return nil, err
	}
	var err error
	if p.Tags, err = mergeTags(nil, n.Tags); err != nil {
		return nil, err
	}
	d.changing.Lock()
	defer d.changing.Unlock()
	if _, taken := d.policies.get(account, p.Name); !taken && d.policies.count(account) >= MaxPolicies {
		return nil, exceeded("PoliciesPerAccount", MaxPolicies)
	}
	if err := d.policies.create(ctx, account, p.Name, p); err != nil {
		return nil, exists(err, "A policy called "+p.Name+" already exists. Duplicate names are not allowed.")
	}
	return p, nil
}

// Policy returns the policy with an ARN: one of the account's own or one of AWS's. NotFound: there is none.
func (d *Directory) Policy(account, arn string) (*Policy, error) {
	if err := checkPolicyARN(arn); err != nil {
		return nil, err
	}
	if strings.HasPrefix(arn, "arn:aws:iam::"+awsOwned+":") {
		if p := d.builtin()[arn]; p != nil {
			return p, nil
		}
		return nil, faas.Errorf(faas.NotFound, "Policy %s was not found.", arn)
	}
	r, err := d.policy(account, arn)
	return r.value, err
}

// policy returns one of the account's own.
func (d *Directory) policy(account, arn string) (row[Policy], error) {
	if err := checkPolicyARN(arn); err != nil {
		return row[Policy]{}, err
	}
	r, ok := d.policies.get(account, arn[strings.LastIndexByte(arn, '/')+1:])
	if !ok || r.value.ARN() != arn {
		return row[Policy]{}, faas.Errorf(faas.NotFound, "Policy %s was not found.", arn)
	}
	return r, nil
}

func checkPolicyARN(arn string) error {
	owner, ok := arnAccount(arn)
	if !ok || !strings.HasPrefix(arn, "arn:aws:iam::"+owner+":policy/") {
		return invalidInput("ARN %s is not valid.", arn)
	}
	return nil
}

// Policies returns an account's own policies in the order of their names.
func (d *Directory) Policies(account string) []*Policy { return d.policies.all(account) }

// changePolicy replaces one of the account's own policies by what change makes of a copy of it.
func (d *Directory) changePolicy(ctx context.Context, account, arn string, change func(*Policy) error) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	old, err := d.policy(account, arn)
	if err != nil {
		return err
	}
	p := old.value.clone()
	if err := change(p); err != nil {
		return err
	}
	return d.policies.update(ctx, account, p.Name, old, p)
}

// CreatePolicyVersion adds a version, and puts it in force if asked to. LimitExceeded: there are five.
func (d *Directory) CreatePolicyVersion(ctx context.Context, account, arn, document string, inForce bool) (v PolicyVersion, err error) {
	if err := checkDocument(document, policy.Identity, "PolicySize", MaxPolicyChars); err != nil {
		return v, err
	}
	err = d.changePolicy(ctx, account, arn, func(p *Policy) error {
		if len(p.Versions) >= MaxVersions {
			return faas.Errorf(faas.LimitExceeded, "A managed policy can have up to %d versions. "+
				"Before you create a new version, you must delete an existing version.", MaxVersions)
		}
		v = PolicyVersion{Number: p.Next, Document: document, Created: d.stamp()}
		p.Versions, p.Next, p.Updated = append(p.Versions, v), p.Next+1, v.Created
		if inForce {
			p.Default = v.Number
		}
		return nil
	})
	return v, err
}

// SetDefaultPolicyVersion puts a version in force.
func (d *Directory) SetDefaultPolicyVersion(ctx context.Context, account, arn, id string) error {
	return d.changePolicy(ctx, account, arn, func(p *Policy) error {
		v, err := p.Version(id)
		p.Default, p.Updated = v.Number, d.stamp()
		return err
	})
}

// DeletePolicyVersion removes a version that is not in force.
func (d *Directory) DeletePolicyVersion(ctx context.Context, account, arn, id string) error {
	return d.changePolicy(ctx, account, arn, func(p *Policy) error {
		v, err := p.Version(id)
		if err != nil {
			return err
		}
		if v.Number == p.Default {
			return deleteConflict("Cannot delete the default version of a policy.")
		}
		p.Versions = slices.DeleteFunc(p.Versions, func(have PolicyVersion) bool { return have.Number == v.Number })
		p.Updated = d.stamp()
		return nil
	})
}

// DeletePolicy removes a policy that is attached to nothing and has one version.
func (d *Directory) DeletePolicy(ctx context.Context, account, arn string) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	p, err := d.policy(account, arn)
	switch {
	case err != nil:
		return err
	case d.Attachments(account)[arn] > 0:
		return deleteConflict("Cannot delete a policy attached to entities.")
	case len(p.value.Versions) > 1:
		return deleteConflict("This policy has more than one version. Before you delete a policy, you must delete the policy's versions. " +
			"The default version is deleted with the policy.")
	}
	return d.policies.delete(ctx, account, p.value.Name, p)
}

// TagPolicy adds tags, or replaces those of the same keys.
func (d *Directory) TagPolicy(ctx context.Context, account, arn string, tags []Tag) error {
	return d.changePolicy(ctx, account, arn, func(p *Policy) (err error) {
		p.Tags, err = mergeTags(p.Tags, tags)
		return err
	})
}

// UntagPolicy removes tags; keys that are not there are no error.
func (d *Directory) UntagPolicy(ctx context.Context, account, arn string, keys []string) error {
	return d.changePolicy(ctx, account, arn, func(p *Policy) error {
		p.Tags = dropTags(p.Tags, keys)
		return nil
	})
}

// AttachRolePolicy attaches a managed policy to a role; one that is attached already stays so.
func (d *Directory) AttachRolePolicy(ctx context.Context, account, role, arn string) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	_, err := d.Policy(account, arn)
	if faas.KindOf(err) == faas.NotFound {
		return faas.Errorf(faas.NotFound, "Policy %s does not exist or is not attachable.", arn)
	}
	if err != nil {
		return err
	}
	_, err = d.changeRole(ctx, account, role, func(r *Role) error {
		i, there := slices.BinarySearch(r.Attached, arn)
		if there {
			return nil
		}
		if len(r.Attached) >= MaxAttached {
			return exceeded("PoliciesPerRole", MaxAttached)
		}
		r.Attached = slices.Insert(r.Attached, i, arn)
		return nil
	})
	return err
}

// DetachRolePolicy detaches a managed policy. NotFound: it is not attached.
func (d *Directory) DetachRolePolicy(ctx context.Context, account, role, arn string) error {
	_, err := d.ChangeRole(ctx, account, role, func(r *Role) error {
		i, there := slices.BinarySearch(r.Attached, arn)
		if !there {
			return faas.Errorf(faas.NotFound, "Policy %s was not found.", arn)
		}
		r.Attached = slices.Delete(r.Attached, i, i+1)
		return nil
	})
	return err
}

// Attachments returns to how many roles of an account each managed policy is attached, by ARN.
func (d *Directory) Attachments(account string) map[string]int {
	n := map[string]int{}
	for _, r := range d.roles.all(account) {
		for _, arn := range r.Attached {
			n[arn]++
		}
	}
	return n
}
