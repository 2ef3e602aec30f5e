package broker

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// Place is one endpoint of a workspace, or a branch or project that has none.
type Place struct {
	Project  exchange.Project
	Branch   exchange.Branch   // zero: the project has none
	Endpoint exchange.Endpoint // zero: the branch has none
}

// catalogWidth is how many lists are asked for side by side.
const catalogWidth = 4

// Catalog lists what the workspace has, sorted by name: all of it, or the project
// (and branch) that the configured target begins with. All is asked for within
// --timeout. Errors: those of WorkspaceToken.
func (b *Broker) Catalog(ctx context.Context) ([]Place, error) {
	bearer, err := b.WorkspaceToken(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, b.Config.Timeout.Value)
	defer cancel()
	b.tell(AtExchange, b.Config.Workspace.Value.HostPort())
	projects, err := b.projects(ctx, bearer.Value)
	if err != nil {
		return nil, err
	}
	_, branch, _ := nameParts(b.Config.Endpoint.Value)
	below, err := each(ctx, projects, func(ctx context.Context, p exchange.Project) ([]Place, error) {
		list, err := attempt(ctx, func(ctx context.Context) ([]exchange.Branch, error) {
			return b.Directory.Branches(ctx, bearer.Value, p.Name)
		})
		if err != nil || len(list) == 0 {
			return []Place{{Project: p}}, err
		}
		var out []Place
		for _, br := range list {
			if branch == "" || lastPart(br.Name) == branch || br.UID == branch {
				out = append(out, Place{Project: p, Branch: br})
			}
		}
		return out, nil
	})
	if err != nil {
		return nil, err
	}
	places, err := each(ctx, below, func(ctx context.Context, at Place) ([]Place, error) {
		if at.Branch.Name == "" {
			return []Place{at}, nil
		}
		list, err := attempt(ctx, func(ctx context.Context) ([]exchange.Endpoint, error) {
			return b.Directory.Endpoints(ctx, bearer.Value, at.Branch.Name)
		})
		if err != nil || len(list) == 0 {
			return []Place{at}, err
		}
		out := make([]Place, len(list))
		for i, e := range list {
			out[i] = Place{Project: at.Project, Branch: at.Branch, Endpoint: e}
		}
		return out, nil
	})
	slices.SortStableFunc(places, func(a, b Place) int {
		return cmp.Or(cmp.Compare(a.Project.Name, b.Project.Name), cmp.Compare(a.Branch.Name, b.Branch.Name), cmp.Compare(a.Endpoint.Name, b.Endpoint.Name))
	})
	return places, err
}

// projects are all, or the one that the target names.
func (b *Broker) projects(ctx context.Context, bearer credential.Secret) ([]exchange.Project, error) {
	if name, _, _ := nameParts(b.Config.Endpoint.Value); name != "" {
		return []exchange.Project{{Name: "projects/" + name}}, nil
	}
	return attempt(ctx, func(ctx context.Context) ([]exchange.Project, error) { return b.Directory.Projects(ctx, bearer) })
}

// each asks for what lies below every one of list, catalogWidth at a time. The
// first error ends it.
func each[T any](ctx context.Context, list []T, below func(context.Context, T) ([]Place, error)) ([]Place, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	found, errs := make([][]Place, len(list)), make([]error, len(list))
	turns := make(chan struct{}, catalogWidth)
	var all sync.WaitGroup
	for i, t := range list {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			if errs[i] = ctx.Err(); errs[i] != nil {
				return
			}
			if found[i], errs[i] = below(ctx, t); errs[i] != nil {
				cancel()
			}
		})
	}
	all.Wait()
	return slices.Concat(found...), first(errs...)
}
