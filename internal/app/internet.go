package app

import (
	"errors"
	"fmt"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/container"
	"artesian/internal/compute/sandbox/gvisor"
	"artesian/internal/compute/sandbox/netstack"
	"artesian/internal/compute/sandbox/process"
	"artesian/internal/faas"
)

// checkInternet refuses what cannot be had at the level of isolation.
func (c *Config) checkInternet() error {
	if _, err := netstack.NewPolicy(c.EgressAllow); err != nil {
		return fmt.Errorf("egress_allow: %w", err)
	}
	if c.Isolation != sandbox.Process {
		return nil
	}
	if !c.Internet {
		return errors.New("internet is false: the isolation level process shares the host's network, and cannot keep a function from it")
	}
	if len(c.EgressAllow) > 0 {
		return errors.New("egress_allow: the isolation level process shares the host's network, and cannot keep a function from anything in it")
	}
	return nil
}

// newMaker makes the maker of the configured level.
func (a *App) newMaker(dir string) (sandbox.Maker, error) {
	if a.cfg.Isolation == sandbox.Process {
		return process.New(process.Config{Dir: dir, Logger: a.cfg.Logger})
	}
	containers, err := a.newContainers(dir)
	if err != nil || a.cfg.Isolation == sandbox.Container {
		return containers, err
	}
	m, err := gvisor.New(containers, container.Self, a.cfg.Logger)
	if err != nil {
		return nil, errors.Join(err, containers.Close())
	}
	return m, nil
}

// newContainers makes the maker of containers, with the way out of them.
func (a *App) newContainers(dir string) (*container.Maker, error) {
	n, err := netstack.New(netstack.Config{Allow: a.cfg.EgressAllow, Hosts: a.cfg.Hosts, Logger: a.cfg.Logger})
	if err != nil {
		return nil, err
	}
	return container.New(container.Config{Dir: dir, NodeMemory: int64(a.cfg.MemoryMB) << 20, Net: n, Logger: a.cfg.Logger})
}

// internet says whether a function that chose on, off or nothing gets the internet here. A choice that cannot be had is an
// error; the default that cannot is among the guarantees that this node does not give.
func (a *App) internet(choice string) (bool, error) {
	if a.cfg.Isolation == sandbox.Process {
		if choice == faas.Off {
			return false, faas.Errorf(faas.Unavailable, "the isolation level process shares the host's network, and cannot keep a function from it")
		}
		return true, nil
	}
	for _, g := range a.maker.Report() {
		if g.Name == sandbox.Internet && !g.Enforced {
			if choice == faas.On {
				return false, faas.Errorf(faas.Unavailable, "no function can have the internet here: %s", g.How)
			}
			return false, nil
		}
	}
	return choice == faas.On || choice == "" && a.cfg.Internet, nil
}
