package auth

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// discovery requests the token endpoint of a host, at most once.
type discovery struct {
	Deps
	workspace config.Workspace

	mu    sync.Mutex
	asked bool
	found exchange.Discovery // zero: the host has no such document
}

func newDiscovery(d Deps, conf config.Config) *discovery {
	return &discovery{Deps: d, workspace: conf.Workspace.Value}
}

// ask reads the host's discovery document; first reports that this call did. A host
// without one keeps the usual token endpoint.
func (d *discovery) ask(ctx context.Context) (found exchange.Discovery, first bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.asked {
		return d.found, false, nil
	}
	d.asked = true
	found, err = exchange.Retry(ctx, d.Workspace.Discover)
	if exchange.IsKind(err, exchange.KindForeignHost) || ctx.Err() != nil && err != nil {
		return exchange.Discovery{}, true, err
	}
	if err != nil {
		d.Observer.Note("no discovery document: " + err.Error())
		return exchange.Discovery{}, true, nil
	}
	d.found = found
	return found, true, nil
}

// withTokenEndpoint calls the token endpoint through call. An account's host serves
// several workspaces and is asked for the endpoint first; another host only if the
// answer is that of a host without the usual endpoint.
func withTokenEndpoint[T any](ctx context.Context, d *discovery, call func(context.Context) (T, error)) (result T, err error) {
	w := d.workspace
	if w.AccountID != "" || strings.HasPrefix(w.Hostname(), "accounts.") || strings.HasPrefix(w.Hostname(), "accounts-") {
		if _, _, err := d.ask(ctx); err != nil {
			return result, err
		}
	}
	result, err = exchange.Retry(ctx, call)
	if e, ok := errors.AsType[*exchange.Error](err); ok && (e.Kind == exchange.KindNotJSON || e.Status == 404 || e.Status == 405) {
		found, first, askErr := d.ask(ctx)
		if first && askErr == nil && found.TokenEndpoint != "" && found.TokenEndpoint != w.URL()+"/oidc/v1/token" {
			return exchange.Retry(ctx, call)
		}
	}
	return result, err
}
