package broker

import (
	"context"
	"errors"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// personRest is what must be left of a workspace token that opens the way to
// another token (databricks-sdk-go refreshes a person's token 5 minutes early).
const personRest = 5 * time.Minute

// workspaceKey names a token for the workspace's API, whatever the target.
func (b *Broker) workspaceKey() credential.Key {
	key := b.Config.Key()
	key.Target, key.TTL, key.Credential, key.ReadOnly = "", 0, config.CredentialWorkspace, false
	if b.person != "" {
		key.Principal = b.person
	}
	return key
}

// personToken is a person's workspace token: the cached one, or one that the
// refresh token buys. One process refreshes, all others take what it stored.
func (b *Broker) personToken(ctx context.Context) (credential.Token, error) {
	if b.arrived != nil {
		return b.arrived.Token, nil
	}
	want := tokencache.Criteria{MinLife: personRest}
	if b.Config.Credential.Value == config.CredentialWorkspace {
		want.MinLife, want.Refused = b.rest, b.refused
	}
	r, err := b.Cache.Get(ctx, b.workspaceKey(), want, func(ctx context.Context) (tokencache.Entry, error) {
		t, err := b.refreshed(ctx)
		return tokencache.Entry{Token: t}, err
	})
	if err != nil {
		return credential.Token{}, err
	}
	return r.Entry.Token, nil
}

// refreshed trades the stored refresh token for an access token. Where the server
// gives another refresh token, the old one is dead, and the new one is stored
// before anything else happens.
func (b *Broker) refreshed(ctx context.Context) (credential.Token, error) {
	account := config.RefreshAccount(b.Config.Workspace.Value.HostPort(), b.person)
	defer b.Cache.Lock(ctx, RefreshLock(account))()
	refresh, err := b.stored(ctx, account)
	if err != nil {
		return credential.Token{}, &NoPersonError{Host: b.Config.Workspace.Value.HostPort(), User: b.person, Err: err}
	}
	if err := b.discover(ctx, accountHost(b.Config.Workspace.Value)); err != nil {
		return credential.Token{}, err
	}
	grant, err := b.refresh(ctx, refresh)
	if b.unlikeWorkspace(err) && b.discover(ctx, true) == nil && b.moved() {
		grant, err = b.refresh(ctx, refresh)
	}
	if refusedRefresh(err) {
		// Another machine's or program's refresh may have come between.
		if again, readErr := b.stored(ctx, account); readErr == nil && !again.Equal(refresh) {
			refresh = again
			grant, err = b.refresh(ctx, refresh)
		}
	}
	if refusedRefresh(err) {
		return credential.Token{}, &SignedOutError{Host: b.Config.Workspace.Value.HostPort(), User: b.person, Err: err}
	}
	if err != nil {
		return credential.Token{}, err
	}
	if !grant.Refresh.IsZero() && !grant.Refresh.Equal(refresh) {
		b.keepRefresh(ctx, account, grant.Refresh)
	}
	return grant.Token, nil
}

// keepTime bounds the storing of a refresh token. It goes on when the caller has
// given up: without it the person would be signed out.
const keepTime = 5 * time.Second

func (b *Broker) keepRefresh(ctx context.Context, account string, refresh credential.Secret) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTime)
	defer cancel()
	if err := b.Keep(ctx, account, refresh); err != nil {
		b.tell(Warning, "the new refresh token of "+b.person+" could not be stored, so a new login will be needed: "+err.Error())
	}
}

func (b *Broker) refresh(ctx context.Context, refresh credential.Secret) (exchange.Grant, error) {
	return attempt(ctx, func(ctx context.Context) (exchange.Grant, error) { return b.People.RefreshedToken(ctx, refresh) })
}

func refusedRefresh(err error) bool {
	var e *exchange.Error
	return errors.As(err, &e) && e.Kind == exchange.KindRefreshRefused
}
