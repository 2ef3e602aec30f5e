package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Directory makes one attempt at each list of what a workspace has.
type Directory interface {
	Projects(ctx context.Context, bearer credential.Secret) ([]exchange.Project, error)
	Branches(ctx context.Context, bearer credential.Secret, project string) ([]exchange.Branch, error)
	Endpoints(ctx context.Context, bearer credential.Secret, branch string) ([]exchange.Endpoint, error)
}

// maxSearched bounds the branches whose endpoints are looked at for a short name.
const maxSearched = 50

// resolve finds the endpoint that a short name means. A whole name costs nothing,
// and comes back as it is.
func (b *Broker) resolve(ctx context.Context, bearer credential.Secret) (exchange.Endpoint, error) {
	c := b.Config
	if c.Endpoint.Value == "" || c.EndpointWhole() {
		return exchange.Endpoint{Name: c.Target()}, nil
	}
	project, branch, endpoint := nameParts(c.Endpoint.Value)
	branches, err := attempt(ctx, func(ctx context.Context) ([]exchange.Branch, error) {
		return b.Directory.Branches(ctx, bearer, "projects/"+project)
	})
	if err != nil {
		return exchange.Endpoint{}, err
	}
	branches, err = b.pickBranches(branches, project, branch)
	if err != nil {
		return exchange.Endpoint{}, err
	}
	var there []exchange.Endpoint
	for _, br := range branches[:min(len(branches), maxSearched)] {
		list, err := attempt(ctx, func(ctx context.Context) ([]exchange.Endpoint, error) {
			return b.Directory.Endpoints(ctx, bearer, br.Name)
		})
		if err != nil {
			return exchange.Endpoint{}, err
		}
		there = append(there, list...)
	}
	e, err := b.pickEndpoint(there, endpoint)
	if err == nil && (looksLikeUID(branch) || looksLikeUID(endpoint)) {
		b.tell(Warning, fmt.Sprintf("%s: %s is an id of the console's; the endpoint's name is %s", c.Endpoint.Source, c.Endpoint.Value, e.Name))
	}
	return e, err
}

// nameParts splits projects/P[/branches/B[/endpoints/E]].
func nameParts(name string) (project, branch, endpoint string) {
	parts := append(strings.Split(name, "/"), "", "", "", "", "")
	return parts[1], parts[3], parts[5]
}

// looksLikeUID says whether a part is in the form of the ids that stand in the
// console's address and in host names, which are no names of resources.
func looksLikeUID(part string) bool {
	return strings.HasPrefix(part, "br-") || strings.HasPrefix(part, "ep-")
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// pickBranches leaves the branches that the name may mean.
func (b *Broker) pickBranches(all []exchange.Branch, project, branch string) ([]exchange.Branch, error) {
	alive := slices.DeleteFunc(slices.Clone(all), func(br exchange.Branch) bool { return br.State == "DELETED" })
	if branch == "" {
		if len(alive) == 0 {
			return nil, b.targetError("names a project without branches", nil)
		}
		return alive, nil
	}
	for _, same := range []func(exchange.Branch) bool{
		func(br exchange.Branch) bool { return lastPart(br.Name) == branch },
		func(br exchange.Branch) bool { return br.UID == branch },
	} {
		if i := slices.IndexFunc(alive, same); i >= 0 {
			return alive[i : i+1], nil
		}
	}
	var names []string
	for _, br := range alive {
		names = append(names, br.Name)
	}
	return nil, b.targetError(fmt.Sprintf("names the branch %s, which project %s has not", sanitize.Quote(branch), sanitize.Quote(project)), names)
}

// pickEndpoint is the one endpoint that the name may mean. An endpoint for
// reading alone counts where it is named, or where there is no other.
func (b *Broker) pickEndpoint(all []exchange.Endpoint, endpoint string) (exchange.Endpoint, error) {
	var names []string
	for _, e := range all {
		names = append(names, e.Name)
		if endpoint != "" && (lastPart(e.Name) == endpoint || e.UID == endpoint) {
			return e, nil
		}
	}
	if endpoint != "" {
		return exchange.Endpoint{}, b.targetError(fmt.Sprintf("names the endpoint %s, which is not there", sanitize.Quote(endpoint)), names)
	}
	writable := slices.DeleteFunc(slices.Clone(all), func(e exchange.Endpoint) bool { return e.Type == "ENDPOINT_TYPE_READ_ONLY" })
	switch {
	case len(writable) == 1:
		return writable[0], nil
	case len(writable) == 0 && len(all) == 1:
		return all[0], nil
	case len(all) == 0:
		return exchange.Endpoint{}, b.targetError("has no endpoint", nil)
	}
	return exchange.Endpoint{}, b.targetError(fmt.Sprintf("may mean any of %d endpoints", len(all)), names)
}

func (b *Broker) targetError(problem string, choices []string) error {
	return &TargetError{Name: b.Config.Endpoint.Value, From: b.Config.Endpoint.Source, Problem: problem, Choices: choices}
}
