package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// env is what the strategies of a chain work with.
type env struct {
	Deps
	conf config.Config

	mu    sync.Mutex
	found *exchange.Discovery // nil: not asked; empty: the host has no such document
}

// reader is Secrets.Get or Secrets.Read.
type reader func(ctx context.Context, account string) (credential.Secret, error)

// secret returns the given secret, or the stored one. Errors: *config.Error,
// *NoSecretError.
func (e *env) secret(ctx context.Context, read reader) (credential.Secret, error) {
	secret, err := e.givenSecret()
	if err != nil || !secret.IsZero() {
		return secret, err
	}
	secret, err = e.readStored(ctx, e.conf.SecretAccount(), read)
	if err == nil && !e.conf.Native() { // a password may contain any characters
		if bad := credential.CheckCharacters(secret.Reveal()); bad != nil {
			err = fmt.Errorf("the stored one %v", bad) // hint: store it again
		}
	}
	switch cause := context.Cause(ctx); {
	case err == nil:
		return secret, nil
	case errors.Is(cause, context.Canceled):
		return credential.Secret{}, cause
	case e.conf.Native():
		return credential.Secret{}, &NoSecretError{Host: e.conf.PGHostPort(), Role: e.conf.User.Value, Err: err}
	}
	return credential.Secret{}, &NoSecretError{Host: e.conf.Workspace.Value.HostPort(), ClientID: e.conf.ClientID.Value, Err: err}
}

// givenSecret returns the secret from an option, file or variable; zero if it is
// stored.
func (e *env) givenSecret() (credential.Secret, error) {
	src := e.conf.Secret
	if src.Kind != config.SecretInFile {
		return src.Text, nil
	}
	secret, err := e.Process.ReadSecretFile(src.Path, e.conf.Native())
	if err != nil {
		return credential.Secret{}, &config.Error{Name: src.Source.String(), Problem: err.Error(), Err: err}
	}
	return secret, nil
}

// readStored reads a stored secret within --keychain-timeout.
func (e *env) readStored(ctx context.Context, account string, read reader) (credential.Secret, error) {
	e.Observer.Stage(StageKeychain, "")
	ctx, cancel := context.WithTimeout(ctx, e.conf.KeychainTimeout.Value)
	defer cancel()
	return read(ctx, account)
}

// withTimeout bounds the calls of one sign-in by --timeout.
func (e *env) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	e.Observer.Stage(StageExchange, e.conf.Workspace.Value.HostPort())
	return context.WithTimeout(ctx, e.conf.Timeout.Value)
}

// discover requests the host's discovery document; first reports that this call did. A
// host without one keeps the usual token endpoint.
func (e *env) discover(ctx context.Context) (found exchange.Discovery, first bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.found != nil {
		return *e.found, false, nil
	}
	found, err = exchange.Retry(ctx, e.Workspace.Discover)
	if exchange.IsKind(err, exchange.KindForeignHost) || ctx.Err() != nil && err != nil {
		return found, true, err
	}
	if err != nil {
		e.Observer.Note("no discovery document: " + err.Error())
		found = exchange.Discovery{}
	}
	e.found = &found
	return found, true, nil
}

// withTokenEndpoint calls the token endpoint through call. An account's host serves
// several workspaces and is asked for the endpoint first; another host only if the
// answer is that of a host without the usual endpoint.
func withTokenEndpoint[T any](ctx context.Context, e *env, call func(context.Context) (T, error)) (result T, err error) {
	w := e.conf.Workspace.Value
	if w.AccountID != "" || strings.HasPrefix(w.Hostname(), "accounts.") || strings.HasPrefix(w.Hostname(), "accounts-") {
		if _, _, err := e.discover(ctx); err != nil {
			return result, err
		}
	}
	result, err = exchange.Retry(ctx, call)
	failed, ok := errors.AsType[*exchange.Error](err)
	if ok && (failed.Kind == exchange.KindNotJSON || failed.Status == 404 || failed.Status == 405) {
		found, first, askErr := e.discover(ctx)
		if first && askErr == nil && found.TokenEndpoint != "" && found.TokenEndpoint != w.URL()+"/oidc/v1/token" {
			return exchange.Retry(ctx, call)
		}
	}
	return result, err
}
