package identity

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"artesian/internal/engine/kv"
	"artesian/internal/faas"
)

// Store is what the directory needs of the registry.
type Store interface {
	Create(ctx context.Context, key kv.Key, value []byte) (uint64, error)
	Update(ctx context.Context, key kv.Key, value []byte, rev uint64) (uint64, error)
	Delete(ctx context.Context, key kv.Key, rev uint64) error
	Watch(kind string, fn func(kv.Entry, bool)) (stop func())
}

// Directory holds the users, access keys, roles and policies of all accounts. Every change is durable when it returns;
// reads come from memory. Values that it returns are shared: never modify them. Safe for concurrent use.
type Directory struct {
	now      func() time.Time
	log      *slog.Logger
	users    *table[User]
	keys     *table[AccessKey]
	roles    *table[Role]
	policies *table[Policy]
	byKey    sync.Map // access key id → *AccessKey, over all accounts
	builtin  func() map[string]*Policy

	// changing is held over a check that concerns more than one entity and the write that rests on it. The write itself is
	// a compare-and-set of one entity.
	changing sync.Mutex
	stops    []func()
}

// Open follows the store. Close the directory before the store.
func Open(store Store, now func() time.Time, log *slog.Logger) *Directory {
	d := &Directory{now: now, log: log, builtin: sync.OnceValue(readBuiltin)}
	d.users = newTable[User](store, "iam-user", "user")
	d.keys = newTable[AccessKey](store, "access-key", "access key")
	d.roles = newTable[Role](store, "iam-role", "role")
	d.policies = newTable[Policy](store, "iam-policy", "policy")
	d.stops = []func(){
		store.Watch(d.users.kind, d.follow(d.users.apply)),
		store.Watch(d.keys.kind, d.follow(d.applyKey)),
		store.Watch(d.roles.kind, d.follow(d.roles.apply)),
		store.Watch(d.policies.kind, d.follow(d.policies.apply)),
	}
	return d
}

// Close stops following the store.
func (d *Directory) Close() {
	for _, stop := range d.stops {
		stop()
	}
}

// follow logs what cannot be read: this program wrote it, so only a fault of either can be the reason.
func (d *Directory) follow(apply func(kv.Entry, bool) error) func(kv.Entry, bool) {
	return func(e kv.Entry, deleted bool) {
		if err := apply(e, deleted); err != nil {
			d.log.Error("identity entity not readable", "kind", e.Key.Kind, "account", e.Key.Scope.Account, "name", e.Key.Name, "error", err)
		}
	}
}

// scope is where an account's identities are kept: they belong to no region.
func scope(account string) faas.Scope { return faas.Scope{Account: account, Region: "global"} }

// stamp is the current time as entities keep it: AWS shows whole seconds.
func (d *Directory) stamp() time.Time { return d.now().UTC().Truncate(time.Second) }
