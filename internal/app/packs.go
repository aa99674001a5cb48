package app

import (
	"context"

	"artesian/internal/compute/lang/pack"
	"artesian/internal/door/gateway/admin"
)

// listAll lists interpreters and packs.
func (a *App) listAll(ctx context.Context) (admin.Runtimes, error) {
	asking, err := a.runtimes.Asking(ctx)
	if err != nil {
		return admin.Runtimes{}, err
	}
	runtimes, err := a.listRuntimes(ctx)
	out := admin.Runtimes{Runtimes: runtimes, Nearest: a.cfg.Nearest, Packs: []admin.Pack{}}
	for _, k := range asking {
		out.Asking = append(out.Asking, admin.Asked(k))
	}
	for _, i := range a.packs.List() {
		p := admin.Pack{Name: i.Name, Language: i.Language, Title: i.Title, Version: i.Version, Size: i.Size(), Path: i.Path, State: "missing"}
		switch {
		case i.Path != "":
			p.State = "installed"
		case i.Installing:
			p.State = "installing"
		}
		out.Packs = append(out.Packs, p)
	}
	return out, err
}

// addPack installs a pack by its name and returns once it is there and functions that run without it have it.
func (a *App) addPack(ctx context.Context, name string) (admin.Runtime, error) {
	m, err := a.packs.Named(name)
	if err == nil {
		err = a.packs.Install(ctx, m)
	}
	if err != nil {
		return admin.Runtime{}, err
	}
	a.supply(ctx)
	return admin.Runtime{Name: m.Name, Version: m.Version, Path: a.packPath(m), Added: true}, nil
}

func (a *App) packPath(m *pack.Manifest) string { return a.packs.Dir(m.Language, m.Oldest) }
