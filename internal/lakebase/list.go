package lakebase

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// EndpointInfo is one endpoint of a workspace, or a branch or project without one.
type EndpointInfo struct {
	Project  exchange.Project
	Branch   exchange.Branch   // zero: the project has none
	Endpoint exchange.Endpoint // zero: the branch has none
}

// listConcurrency is how many lists are requested at the same time.
const listConcurrency = 4

// List returns the endpoints of the workspace sorted by name: all, or those of the
// project and branch that the configured endpoint begins with. ctx must have a
// deadline. The error is an *exchange.Error.
func (r *Resolver) List(ctx context.Context, bearer credential.Secret) ([]EndpointInfo, error) {
	project, branch, _ := config.SplitEndpoint(r.conf.Endpoint.Value)
	projects := []exchange.Project{{Name: "projects/" + project}}
	if project == "" {
		var err error
		projects, err = exchange.Retry(ctx, func(ctx context.Context) ([]exchange.Project, error) { return r.api.Projects(ctx, bearer) })
		if err != nil {
			return nil, err
		}
	}
	branches, err := parallelMap(ctx, projects, func(ctx context.Context, p exchange.Project) ([]EndpointInfo, error) {
		list, err := lookUp(ctx, r.api.Branches, bearer, p.Name)
		if err != nil || len(list) == 0 {
			return []EndpointInfo{{Project: p}}, err
		}
		var out []EndpointInfo
		for _, b := range list {
			if branch == "" || lastPart(b.Name) == branch || b.UID == branch {
				out = append(out, EndpointInfo{Project: p, Branch: b})
			}
		}
		return out, nil
	})
	if err != nil {
		return nil, err
	}
	endpoints, err := parallelMap(ctx, branches, func(ctx context.Context, b EndpointInfo) ([]EndpointInfo, error) {
		if b.Branch.Name == "" {
			return []EndpointInfo{b}, nil
		}
		list, err := lookUp(ctx, r.api.Endpoints, bearer, b.Branch.Name)
		if err != nil || len(list) == 0 {
			return []EndpointInfo{b}, err
		}
		out := make([]EndpointInfo, len(list))
		for i, e := range list {
			out[i] = EndpointInfo{Project: b.Project, Branch: b.Branch, Endpoint: e}
		}
		return out, nil
	})
	slices.SortStableFunc(endpoints, func(a, b EndpointInfo) int {
		return cmp.Or(cmp.Compare(a.Project.Name, b.Project.Name), cmp.Compare(a.Branch.Name, b.Branch.Name), cmp.Compare(a.Endpoint.Name, b.Endpoint.Name))
	})
	return endpoints, err
}

// parallelMap calls f for each item, listConcurrency at a time, and joins the
// results. The first error cancels the other calls.
func parallelMap[T any](ctx context.Context, items []T, f func(context.Context, T) ([]EndpointInfo, error)) ([]EndpointInfo, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listConcurrency)
	results := make([][]EndpointInfo, len(items))
	for i, item := range items {
		group.Go(func() (err error) {
			results[i], err = f(ctx, item)
			return err
		})
	}
	err := group.Wait()
	return slices.Concat(results...), err
}
