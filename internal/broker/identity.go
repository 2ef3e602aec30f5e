package broker

import (
	"context"
	"errors"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// People makes one attempt at each call that a person's way in needs.
type People interface {
	RefreshedToken(ctx context.Context, refresh credential.Secret) (exchange.Grant, error)
	Me(ctx context.Context, bearer credential.Secret) (exchange.Identity, error)
}

// Federation makes one attempt at the exchange of a workload's token, and knows
// whom such a token must be made for.
type Federation interface {
	FederatedToken(ctx context.Context, clientID string, subject credential.Secret) (credential.Token, error)
	Audience(d exchange.Discovery) (string, error)
}

// Discovery learns where a host keeps its token endpoint.
type Discovery interface {
	Discover(ctx context.Context) (exchange.Discovery, error)
	SetEndpoints(d exchange.Discovery)
}

// decide settles who signs in where nobody has said it: a client id means its
// secret, and without one the keychain's person does.
func (b *Broker) decide(ctx context.Context) error {
	c := &b.Config
	switch {
	case c.Auth.Value == "" && c.ClientID.Value != "":
		c.Auth.Value = credential.AuthM2M
	case c.Auth.Value == "" || c.Auth.Value == credential.AuthBrowser && b.person == "":
		person, err := b.whichPerson(ctx)
		if err != nil {
			return err
		}
		c.Auth.Value, b.person = credential.AuthBrowser, person
		if c.User.Value == "" {
			c.User.Value = person
		}
	}
	return nil
}

// whichPerson is the one who has signed in at this host, or the one of several
// whom the user's name means.
func (b *Broker) whichPerson(ctx context.Context) (string, error) {
	c := b.Config
	none := &NoPersonError{Host: c.Workspace.Value.HostPort(), User: c.User.Value}
	if c.Auth.Value == credential.AuthBrowser && c.User.Source.Origin == config.FromProfile {
		return c.User.Value, nil // a login has written both
	}
	if b.Accounts == nil {
		return "", none
	}
	accounts, err := b.Accounts(ctx)
	if err != nil {
		none.Err = err
		return "", none
	}
	for _, a := range accounts {
		host, user, ok := config.SplitRefreshAccount(a)
		switch {
		case !ok || host != none.Host:
		case user == c.User.Value:
			return user, nil
		default:
			none.Others = append(none.Others, user)
		}
	}
	if len(none.Others) == 1 {
		return none.Others[0], nil // a user who is nobody here is a group's role
	}
	return "", none
}

// otherWay is taken where a client id has no secret in the keychain: a job of
// GitHub's has a token of its own.
func (b *Broker) otherWay(err error) bool {
	var none *NoSecretError
	c := &b.Config
	if c.Auth.Given() || c.Auth.Value != credential.AuthM2M || c.GitHub == nil || b.WorkloadToken == nil || !errors.As(err, &none) {
		return false
	}
	if !c.WorkloadHost() {
		b.tell(Note, "GitHub's token is not used: "+c.Workspace.Value.HostPort()+" is in no Databricks domain, and --host was not given")
		return false
	}
	b.tell(Note, "the keychain has no secret; using GitHub's token")
	c.Auth.Value, c.Secret = credential.AuthGitHubOIDC, config.SecretSource{Kind: config.SecretFromGitHub}
	return true
}

// signIn makes a workspace token. secret is what was given or stored for the
// way in; zero where that has none.
func (b *Broker) signIn(ctx context.Context, ws Workspace, secret credential.Secret) (credential.Token, error) {
	c := b.Config
	switch c.Auth.Value {
	case credential.AuthPAT:
		now := b.Now()
		return credential.Token{Value: secret, MintedAt: now, ExpiresAt: now.Add(credential.MaxLife)}, nil
	case credential.AuthCLI:
		return b.DatabricksCLI(ctx)
	case credential.AuthBrowser:
		return b.personToken(ctx)
	}
	if err := b.discover(ctx, accountHost(c.Workspace.Value)); err != nil {
		return credential.Token{}, err
	}
	token, err := b.grant(ctx, ws, secret)
	if b.unlikeWorkspace(err) && b.discover(ctx, true) == nil && b.moved() {
		token, err = b.grant(ctx, ws, secret)
	}
	return token, err
}

// grant asks the token endpoint.
func (b *Broker) grant(ctx context.Context, ws Workspace, secret credential.Secret) (credential.Token, error) {
	switch b.Config.Auth.Value {
	case credential.AuthEnvOIDC, credential.AuthFileOIDC, credential.AuthGitHubOIDC:
		return b.federated(ctx, secret)
	}
	return attempt(ctx, func(ctx context.Context) (credential.Token, error) {
		return ws.WorkspaceToken(ctx, b.Config.ClientID.Value, secret)
	})
}

// accountHost says whether a host serves more than one workspace, so that its
// token endpoint has to be looked up. A workspace's own host never pays for that.
func accountHost(w config.Workspace) bool {
	return w.AccountID != "" || strings.HasPrefix(w.Hostname(), "accounts.") || strings.HasPrefix(w.Hostname(), "accounts-")
}

// unlikeWorkspace says whether an answer is that of a host without the usual
// token endpoint.
func (b *Broker) unlikeWorkspace(err error) bool {
	var e *exchange.Error
	return !b.discovered && errors.As(err, &e) && (e.Kind == exchange.KindNotJSON || e.Status == 404 || e.Status == 405)
}

// moved says whether the host has named another token endpoint than the usual one.
func (b *Broker) moved() bool {
	return b.found.TokenEndpoint != "" && b.found.TokenEndpoint != b.Config.Workspace.Value.URL()+"/oidc/v1/token"
}

// discover asks a host once where its token endpoint is, if needed. A host that
// has no such document keeps the usual one.
func (b *Broker) discover(ctx context.Context, needed bool) error {
	if !needed || b.discovered || b.Discovery == nil {
		return nil
	}
	b.discovered = true
	d, err := attempt(ctx, b.Discovery.Discover)
	var e *exchange.Error
	switch {
	case err == nil:
		b.Discovery.SetEndpoints(d)
		b.found = d
	case errors.As(err, &e) && e.Kind == exchange.KindForeignHost, ctx.Err() != nil:
		return err
	default:
		b.tell(Note, "no discovery document: "+err.Error())
	}
	return nil
}
