package lakebase

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// API makes one attempt at each call about databases. *exchange.Client implements it.
type API interface {
	DatabaseCredential(ctx context.Context, bearer credential.Secret, target string, ttl time.Duration) (credential.Token, error)
	Me(ctx context.Context, bearer credential.Secret) (exchange.Identity, error)
	Endpoint(ctx context.Context, bearer credential.Secret, target string) (exchange.Resource, error)
	List(ctx context.Context, bearer credential.Secret, parent string) ([]exchange.Resource, error)
}

// Resolver finds the endpoint or instance that a configuration names, and its host.
type Resolver struct {
	conf     config.Config
	api      API
	observer auth.Observer
}

// NewResolver returns a Resolver.
func NewResolver(conf config.Config, api API, o auth.Observer) *Resolver {
	return &Resolver{conf: conf, api: api, observer: o}
}

// Endpoint resolves the configured name. A full name is returned as it is, without a
// request; ctx must have a deadline for another one. Errors: *config.Error for a name that
// does not mean exactly one endpoint, *exchange.Error.
func (r *Resolver) Endpoint(ctx context.Context, bearer credential.Secret) (exchange.Resource, error) {
	name := r.conf.Endpoint
	if name.Value == "" || r.conf.EndpointWhole() {
		return exchange.Resource{Name: r.conf.Target().Value}, nil
	}
	found, err := r.List(ctx, bearer)
	if err != nil {
		return exchange.Resource{}, err
	}
	_, branch, endpoint := config.SplitEndpoint(name.Value)
	found = slices.DeleteFunc(found, func(i EndpointInfo) bool {
		return i.Endpoint == "" || endpoint != "" && path.Base(i.Endpoint) != endpoint && i.UID != endpoint
	})
	readOnly := func(i EndpointInfo) bool { return i.ReadOnly }
	if writable := slices.DeleteFunc(slices.Clone(found), readOnly); len(writable) > 0 {
		found = writable // a read-only endpoint counts if it is named, or if there is no other
	}
	problem, fix := "names no endpoint", "list the endpoints with: lakebase-credential-helper endpoints"+r.conf.SameTarget()
	switch len(found) {
	case 0:
	case 1:
		e := found[0].endpoint
		if config.IsUID(branch) || config.IsUID(endpoint) {
			r.observer.Warn(fmt.Sprintf("%s: %s is an ID of the console; the endpoint's name is %s", name.Source, name.Value, e.Name))
		}
		return e, nil
	default:
		var names []string
		for _, i := range found {
			names = append(names, i.Endpoint)
		}
		problem, fix = fmt.Sprintf("may mean any of %d endpoints", len(found)), "use one of "+sanitize.Line(strings.Join(names, ", "))
	}
	return exchange.Resource{}, &config.Error{Name: name.Source.String(), Problem: sanitize.Quote(name.Value) + " " + problem, Fix: fix}
}

// Describe returns e with its state and hosts. What the search for a short name has
// brought is not asked for again. The error is an *exchange.Error, also for a state
// in which no login is possible; then e is described all the same.
func (r *Resolver) Describe(ctx context.Context, bearer credential.Secret, e exchange.Resource) (exchange.Resource, error) {
	if e.State == "" {
		var err error
		if e, err = exchange.RetryCall(ctx, r.api.Endpoint, bearer, e.Name); err != nil {
			return exchange.Resource{}, err
		}
	}
	if kind := e.UnusableKind(); kind != "" {
		return e, &exchange.Error{Host: r.conf.Workspace.Value.HostPort(), Kind: kind, Message: e.Name}
	}
	return e, nil
}

// Host returns the host of a described endpoint that --read-only and --pooled choose.
// A configured host must be one of the endpoint's. The error is a *config.Error.
func (r *Resolver) Host(e exchange.Resource) (string, error) {
	configured, target := r.conf.PGHost, r.conf.Target().Value
	var host, kind, fix string
	var others []string
	switch readOnly, pooled := r.conf.ReadOnly.Value, r.conf.Pooled.Value; {
	case readOnly && pooled:
		host, kind, fix = e.ReadOnlyPooledHost, "read-only pooled host", "leave --pooled or --read-only out"
	case readOnly:
		host, kind, fix = e.ReadOnlyHost, "read-only host", "enable readable secondaries for it in the console, leave --read-only out"
	case pooled:
		host, kind, fix = e.PooledHost, "pooled host", "leave --pooled out (in a profile: pooled)"
	default:
		host, kind, fix = e.Host, "host", "wait until it is ready (the console shows its state)"
		others = []string{e.ReadOnlyHost, e.PooledHost, e.ReadOnlyPooledHost}
	}
	if host == "" {
		return "", &config.Error{Name: target, Problem: "no " + kind, Fix: fix + ", or name the host with --pghost"}
	}
	named, err := config.CheckDatabaseHost(host, "the "+kind+" of "+target)
	if err != nil {
		return "", err
	}
	if h := configured.Value; h != "" && h != named && !slices.Contains(others, h) {
		from := configured.Source.String()
		return "", &config.Error{Name: from, Problem: fmt.Sprintf("%s is not the %s of %s, which is %s", h, kind, target, named),
			Fix: "correct " + from + ", or unset it to use the host that the workspace returns; " +
				"--pghost accepts any host, such as one of a private DNS"}
	}
	return named, nil
}

// EndpointInfo is one endpoint of a workspace, or a branch or project without one.
type EndpointInfo struct {
	Endpoint     string `json:"endpoint,omitempty"`
	Branch       string `json:"branch,omitempty"`
	Project      string `json:"project"`
	DisplayName  string `json:"display_name,omitempty"`
	State        string `json:"state,omitempty"` // that of the branch if it keeps the endpoint from having one
	Host         string `json:"host,omitempty"`
	ReadOnlyHost string `json:"read_only_host,omitempty"`
	UID          string `json:"uid,omitempty"`
	ReadOnly     bool   `json:"read_only"`
	Default      bool   `json:"default_branch"`

	endpoint exchange.Resource
}

// with returns the info of an endpoint of the branch i.
func (i EndpointInfo) with(e exchange.Resource) EndpointInfo {
	i.Endpoint, i.Host, i.ReadOnlyHost, i.UID, i.ReadOnly = e.Name, e.Host, e.ReadOnlyHost, e.UID, e.Type == "ENDPOINT_TYPE_READ_ONLY"
	switch {
	case e.Disabled:
		i.State = "DISABLED"
	case i.State != "ARCHIVED":
		i.State = e.State
	}
	i.endpoint = e
	return i
}

// listConcurrency is how many lists are requested at the same time.
const listConcurrency = 4

// List returns the endpoints of the workspace sorted by name: all, or those of the
// project and branch that the configured endpoint begins with. ctx must have a
// deadline. The error is an *exchange.Error.
func (r *Resolver) List(ctx context.Context, bearer credential.Secret) ([]EndpointInfo, error) {
	project, branch, _ := config.SplitEndpoint(r.conf.Endpoint.Value)
	projects := []exchange.Resource{{Name: "projects/" + project}}
	if project == "" {
		var err error
		projects, err = exchange.RetryCall(ctx, r.api.List, bearer, "")
		if err != nil {
			return nil, err
		}
	}
	branches, err := parallelMap(ctx, projects, func(ctx context.Context, p exchange.Resource) ([]EndpointInfo, error) {
		list, err := exchange.RetryCall(ctx, r.api.List, bearer, p.Name)
		if err != nil || len(list) == 0 {
			return []EndpointInfo{{Project: p.Name, DisplayName: p.DisplayName}}, err
		}
		var out []EndpointInfo
		for _, b := range list {
			if branch == "" || path.Base(b.Name) == branch || b.UID == branch {
				out = append(out, EndpointInfo{Branch: b.Name, Project: p.Name, DisplayName: p.DisplayName, State: b.State, Default: b.Default})
			}
		}
		return out, nil
	})
	if err != nil {
		return nil, err
	}
	endpoints, err := parallelMap(ctx, branches, func(ctx context.Context, b EndpointInfo) ([]EndpointInfo, error) {
		if b.Branch == "" || b.State == "DELETED" {
			return []EndpointInfo{b}, nil
		}
		list, err := exchange.RetryCall(ctx, r.api.List, bearer, b.Branch)
		if err != nil || len(list) == 0 {
			return []EndpointInfo{b}, err
		}
		var out []EndpointInfo
		for _, e := range list {
			out = append(out, b.with(e))
		}
		return out, nil
	})
	slices.SortStableFunc(endpoints, func(a, b EndpointInfo) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Branch, b.Branch), cmp.Compare(a.Endpoint, b.Endpoint))
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
