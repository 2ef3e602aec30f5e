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

// ask reads the host's discovery document. A host without one keeps the usual
// token endpoint.
func (d *discovery) ask(ctx context.Context) (exchange.Discovery, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.asked {
		return d.found, nil
	}
	d.asked = true
	found, err := exchange.Retry(ctx, d.Workspace.Discover)
	if err == nil {
		d.found = found
	} else if e, ok := errors.AsType[*exchange.Error](err); ok && e.Kind == exchange.KindForeignHost || ctx.Err() != nil {
		return exchange.Discovery{}, err
	} else {
		d.Observer.Note("no discovery document: " + err.Error())
	}
	return d.found, nil
}

// withTokenEndpoint calls the token endpoint through call. An account's host serves
// several workspaces and is asked for the endpoint first; another host only if the
// answer is that of a host without the usual endpoint.
func withTokenEndpoint[T any](ctx context.Context, d *discovery, call func(context.Context) (T, error)) (T, error) {
	if isAccountHost(d.workspace) {
		if _, err := d.ask(ctx); err != nil {
			var zero T
			return zero, err
		}
	}
	result, err := exchange.Retry(ctx, call)
	if e, ok := errors.AsType[*exchange.Error](err); ok && (e.Kind == exchange.KindNotJSON || e.Status == 404 || e.Status == 405) && d.moved(ctx) {
		return exchange.Retry(ctx, call)
	}
	return result, err
}

// moved reports whether the host, now asked for the first time, names another token
// endpoint than the usual one.
func (d *discovery) moved(ctx context.Context) bool {
	d.mu.Lock()
	asked := d.asked
	d.mu.Unlock()
	if asked {
		return false
	}
	found, err := d.ask(ctx)
	return err == nil && found.TokenEndpoint != "" && found.TokenEndpoint != d.workspace.URL()+"/oidc/v1/token"
}

func isAccountHost(w config.Workspace) bool {
	return w.AccountID != "" || strings.HasPrefix(w.Hostname(), "accounts.") || strings.HasPrefix(w.Hostname(), "accounts-")
}
