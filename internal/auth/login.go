package auth

import (
	"context"
	"errors"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// LoginAPI makes one attempt at each call of a user's login. *exchange.Client
// implements it.
type LoginAPI interface {
	AuthorizeURL(state, challenge, redirectURI string) string
	CodeToken(ctx context.Context, code, verifier credential.Secret, redirectURI string) (exchange.Grant, error)
	Me(ctx context.Context, bearer credential.Secret) (exchange.Identity, error)
	Discovery
}

// AuthorizeURL returns the address at which a user signs in. The host is always
// asked where that is: a browser that was sent to a missing page reports nothing.
func AuthorizeURL(ctx context.Context, conf config.Config, api LoginAPI, o Observer, l Login, redirectURI string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, conf.Timeout.Value)
	defer cancel()
	_, err := exchange.Retry(ctx, api.Discover)
	if e, ok := errors.AsType[*exchange.Error](err); ok && e.NoDocument() {
		o.Note("no discovery document: " + err.Error())
	} else if err != nil {
		return "", err
	}
	return api.AuthorizeURL(l.State, l.Challenge, redirectURI), nil
}

// UserGrant is the result of a user's login, which is not stored yet.
type UserGrant struct {
	User    string
	Token   credential.Token
	Refresh credential.Secret
}

// ExchangeCode exchanges the code of a redirect for tokens, and asks the workspace
// who has signed in.
func ExchangeCode(ctx context.Context, conf config.Config, api LoginAPI, o Observer, l Login, code credential.Secret, redirectURI string) (UserGrant, error) {
	ctx, cancel := context.WithTimeout(ctx, conf.Timeout.Value)
	defer cancel()
	host := conf.Workspace.Value.HostPort()
	o.Stage(StageExchange, host)
	grant, err := exchange.Retry(ctx, func(ctx context.Context) (exchange.Grant, error) {
		return api.CodeToken(ctx, code, l.Verifier, redirectURI)
	})
	if err != nil {
		return UserGrant{}, err
	}
	if grant.Refresh.IsZero() {
		return UserGrant{}, &exchange.Error{Call: exchange.CallCode, Host: host, Kind: exchange.KindBadReply, Message: "it contains no refresh token"}
	}
	user, err := UserName(ctx, conf, api, grant.Token.Value)
	return UserGrant{User: user, Token: grant.Token, Refresh: grant.Refresh}, err
}

// UserName returns the user name of the token's owner.
func UserName(ctx context.Context, conf config.Config, api interface {
	Me(ctx context.Context, bearer credential.Secret) (exchange.Identity, error)
}, bearer credential.Secret) (string, error) {
	me, err := exchange.Retry(ctx, func(ctx context.Context) (exchange.Identity, error) { return api.Me(ctx, bearer) })
	if err != nil {
		return "", err
	}
	return config.CheckUser(me.UserName, "the user name from "+conf.Workspace.Value.HostPort())
}

// Identity returns who has signed in.
func (g UserGrant) Identity(conf config.Config) Identity { return browserIdentity(conf, g.User) }

// Chain returns a chain that signs in with the new token alone.
func (g UserGrant) Chain(conf config.Config) *Chain {
	source := func(context.Context) (credential.Token, error) { return g.Token, nil }
	return &Chain{conf: conf, links: []link{{source: sourceFunc(source), identity: g.Identity(conf)}}}
}
