package broker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// Browser is what a person's login by a browser asks of the workspace: the address
// to open, and one attempt at the call that trades the code.
type Browser interface {
	AuthorizeURL(state, challenge, redirectURI string) string
	CodeToken(ctx context.Context, code, verifier credential.Secret, redirectURI string) (exchange.Grant, error)
}

// Authorize gives the address at which a person signs in. The host is always asked
// where that is, unlike at a start: a browser that was sent to a page that is not
// there tells us nothing.
func (b *Broker) Authorize(ctx context.Context, state, challenge, redirectURI string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, b.Config.Timeout.Value)
	defer cancel()
	b.discovered = true
	d, err := attempt(ctx, b.Discovery.Discover)
	var e *exchange.Error
	switch {
	case err == nil:
		b.Discovery.SetEndpoints(d)
		b.found = d
	case errors.As(err, &e) && e.NoDocument():
		b.tell(Note, "no discovery document: "+err.Error())
	default:
		return "", err
	}
	return b.Browser.AuthorizeURL(state, challenge, redirectURI), nil
}

// Arrive trades a redirect's code for a login, and asks the workspace who that is.
// From then on the broker signs in as that person; nothing is stored yet.
func (b *Broker) Arrive(ctx context.Context, code, verifier credential.Secret, redirectURI string) (person string, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.Config.Timeout.Value)
	defer cancel()
	host := b.Config.Workspace.Value.HostPort()
	b.tell(AtExchange, host)
	grant, err := attempt(ctx, func(ctx context.Context) (exchange.Grant, error) {
		return b.Browser.CodeToken(ctx, code, verifier, redirectURI)
	})
	if err != nil {
		return "", err
	}
	if grant.Refresh.IsZero() {
		return "", &exchange.Error{Call: exchange.CallCode, Host: host, Kind: exchange.KindBadReply, Message: "it gave no refresh token"}
	}
	if person, err = b.askUser(ctx, grant.Token.Value); err != nil {
		return "", err
	}
	b.Config.Auth.Value, b.Config.User.Value = credential.AuthBrowser, person
	b.person, b.arrived = person, &grant
	return person, nil
}

// Settle has keep store the refresh token of the one who has arrived, while no
// other process refreshes, and puts the access token into the cache.
func (b *Broker) Settle(ctx context.Context, keep func(ctx context.Context, account string, refresh credential.Secret) error) error {
	account := config.RefreshAccount(b.Config.Workspace.Value.HostPort(), b.person)
	defer b.Cache.Lock(ctx, RefreshLock(account))()
	if err := keep(ctx, account, b.arrived.Refresh); err != nil {
		return err
	}
	b.Cache.Save(ctx, b.workspaceKey(), tokencache.Entry{Token: b.arrived.Token})
	return nil
}

// RefreshLock names the lock of one person's refresh token, whatever it is wanted
// for; the name says nothing of the person.
func RefreshLock(account string) string {
	sum := sha256.Sum256([]byte(account))
	return fmt.Sprintf("refresh-%x.lock", sum[:16])
}
