package identity

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"artesian/internal/engine"
	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// User is an IAM user.
type User struct {
	Account string    `json:"account"`
	Name    string    `json:"name"`
	Path    string    `json:"path"`
	ID      string    `json:"id"` // AIDA…
	Created time.Time `json:"created"`
}

// ARN returns the user's resource name.
func (u *User) ARN() string { return "arn:aws:iam::" + u.Account + ":user" + u.Path + u.Name }

// AccessKey is a key with which a user signs.
type AccessKey struct {
	ID      string    `json:"id"`     // AKIA and 16 characters of base 32
	Secret  string    `json:"secret"` // 40 characters
	Created time.Time `json:"created"`
	Owner   Principal `json:"owner"`
}

// Admin is the name of the user that an account begins with.
const Admin = "admin"

// Secret returns the secret of an access key and who it belongs to. It does no I/O.
func (d *Directory) Secret(keyID string) (secret string, owner Principal, ok bool) {
	v, ok := d.byKey.Load(keyID)
	if !ok {
		return "", Principal{}, false
	}
	k := v.(*AccessKey)
	return k.Secret, k.Owner, true
}

func (d *Directory) applyKey(e kv.Entry, deleted bool) error {
	if err := d.keys.apply(e, deleted); err != nil {
		return err
	}
	if r, ok := d.keys.get(e.Key.Scope.Account, e.Key.Name); ok {
		d.byKey.Store(r.value.ID, r.value)
	} else {
		d.byKey.Delete(strings.ToUpper(e.Key.Name))
	}
	return nil
}

// User returns a user of an account.
func (d *Directory) User(account, name string) (*User, error) {
	r, ok := d.users.get(account, name)
	if !ok || r.value.Name != name {
		return nil, faas.Errorf(faas.NotFound, "The user with name %s cannot be found.", name)
	}
	return r.value, nil
}

// Credentials are an access key as programs on this machine read it.
type Credentials struct {
	AccessKeyID     string `json:"access_key_id"`
	SecretAccessKey string `json:"secret_access_key"`
	Account         string `json:"account"`
	User            string `json:"user"`
}

// Bootstrap makes sure that an account has the user Admin with an access key, and that the file at path, of mode 0600,
// has a copy of it. What exists is kept, so that it can be repeated after any interruption. An empty path writes no file.
func (d *Directory) Bootstrap(ctx context.Context, account, path string) (Credentials, error) {
	if !faas.ValidAccount(account) {
		return Credentials{}, faas.Errorf(faas.Invalid, "the account must have 12 digits, not %q", account)
	}
	d.changing.Lock()
	defer d.changing.Unlock()
	user, err := d.admin(ctx, account)
	if err != nil {
		return Credentials{}, fmt.Errorf("make user %s: %w", Admin, err)
	}
	key, err := d.firstKey(ctx, user)
	if err != nil {
		return Credentials{}, fmt.Errorf("make access key: %w", err)
	}
	c := Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret, Account: account, User: user.Name}
	if path != "" {
		if err := c.write(path); err != nil {
			return Credentials{}, fmt.Errorf("write credentials: %w", err)
		}
	}
	return c, nil
}

func (d *Directory) admin(ctx context.Context, account string) (*User, error) {
	if r, ok := d.users.get(account, Admin); ok {
		return r.value, nil
	}
	u := &User{Account: account, Name: Admin, Path: "/", ID: newID(prefixUser, 17), Created: d.stamp()}
	return u, d.users.create(ctx, account, u.Name, u)
}

// firstKey returns the oldest key of a user, or a new one.
func (d *Directory) firstKey(ctx context.Context, u *User) (*AccessKey, error) {
	keys := slices.DeleteFunc(d.keys.all(u.Account), func(k *AccessKey) bool { return k.Owner.UserID != u.ID })
	if len(keys) > 0 {
		return slices.MinFunc(keys, func(a, b *AccessKey) int {
			return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
		}), nil
	}
	k := &AccessKey{ID: newID(prefixKey, 16), Secret: newSecret(), Created: d.stamp()}
	k.Owner = Principal{Account: u.Account, ARN: u.ARN(), UserID: u.ID, AccessKeyID: k.ID}
	return k, d.keys.create(ctx, u.Account, k.ID, k)
}

// write replaces the file unless it says the same already; after a crash there is the old one or the new one.
func (c Credentials) write(path string) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if same, err := c.stands(path, b); same || err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".credentials-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already when it was renamed
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return engine.SyncDir(filepath.Dir(path))
}

// stands reports whether the file has this content, and is nobody else's to read.
func (c Credentials) stands(path string, content []byte) (bool, error) {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !st.Mode().IsRegular() || st.Mode().Perm() != 0o600 || st.Size() != int64(len(content)) {
		return false, nil
	}
	b, err := os.ReadFile(path)
	return err == nil && string(b) == string(content), err
}
