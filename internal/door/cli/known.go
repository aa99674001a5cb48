package cli

import (
	"context"
	"strings"
	"time"
)

// known are the values that the daemon knows for what is completed. The daemon is the one that the environment or the default
// data directory names, and it is asked briefly; no answer completes nothing.
func (s *session) known(at cursor) []string {
	ask := asker(at)
	if ask == nil {
		return nil
	}
	parser, root, err := s.parser()
	if err != nil {
		return nil
	}
	if _, err := parser.Parse([]string{"functions"}); err != nil {
		return nil
	}
	cl, err := root.Functions.connect()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, time.Second)
	defer cancel()
	return ask(ctx, cl)
}

// asker returns what asks the daemon for the values of a flag or an argument; nil for those that it knows nothing of.
func asker(at cursor) func(context.Context, *client) []string {
	of := at.node.Name + " "
	if at.flag != nil {
		of += "--" + at.flag.Name
	} else {
		of += at.arg.Name
	}
	switch of {
	case "invoke name", "logs name", "delete name":
		return functionNames
	case "invoke --qualifier":
		if len(at.args) == 0 {
			return nil
		}
		return func(ctx context.Context, c *client) []string { return c.qualifiers(ctx, at.args[0]) }
	case "deploy --runtime":
		return runtimeNames
	case "logs --group":
		return groupNames
	case "add path":
		return packNames
	case "remove path":
		return removable
	}
	return nil
}

func functionNames(ctx context.Context, c *client) (names []string) {
	all, _ := c.functions(ctx)
	for _, f := range all {
		names = append(names, f.FunctionName)
	}
	return names
}

func runtimeNames(ctx context.Context, c *client) (names []string) {
	all, _ := c.runtimes(ctx)
	for _, r := range all.Runtimes {
		names = append(names, r.Name)
	}
	return names
}

func packNames(ctx context.Context, c *client) (names []string) {
	all, _ := c.runtimes(ctx)
	for _, p := range all.Packs {
		names = append(names, p.Name)
	}
	return names
}

// removable are the interpreters that were added, the versions that were installed by their names, and the packs that are here.
func removable(ctx context.Context, c *client) (names []string) {
	all, _ := c.runtimes(ctx)
	for _, r := range all.Runtimes {
		switch {
		case r.Added && strings.HasSuffix(r.Path, "/versions/node-"+r.Version+"/bin/node"):
			names = append(names, "node@"+r.Version)
		case r.Added:
			names = append(names, r.Path)
		}
	}
	for _, p := range all.Packs {
		if p.Path != "" {
			names = append(names, p.Name)
		}
	}
	return names
}

func groupNames(ctx context.Context, c *client) (names []string) {
	var page struct {
		LogGroups []struct {
			Name string `json:"logGroupName"`
		} `json:"logGroups"`
	}
	_ = c.logs(ctx, "DescribeLogGroups", map[string]any{"limit": 50}, &page)
	for _, g := range page.LogGroups {
		names = append(names, g.Name)
	}
	return names
}
