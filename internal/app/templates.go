package app

import (
	"context"
	"fmt"

	"artesian/internal/compute/pool/node"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// openTemplates has slow versions initialise once for many instances, if a setting says so.
func (a *App) openTemplates(n *node.Node) error {
	if !a.cfg.Templates {
		return nil
	}
	copier, ok := a.maker.(sandbox.Copier)
	if !ok {
		return fmt.Errorf("templates: isolation level %s copies no process", a.maker.Level())
	}
	if err := copier.Copies(); err != nil {
		return fmt.Errorf("templates: %w", err)
	}
	a.templates = node.NewTemplates(a.pool, node.TemplatesConfig{Logger: a.cfg.Logger})
	n.Templates = a.templates
	a.onStop(func(context.Context) error { a.templates.Close(); return nil })
	return nil
}

// untemplated says why a version whose initialisation is slow has no template.
func (a *App) untemplated(v *faas.Version) string {
	why := a.templates.Refused(v.ID)
	if why == "" {
		return ""
	}
	return "No template: " + why + ". Each instance initialises by itself."
}
