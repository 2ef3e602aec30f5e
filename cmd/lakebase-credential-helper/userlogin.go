package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// checkUserLogin rejects options that contradict --user-login, which sets the
// authentication type.
func checkUserLogin(given map[string][]string, in *config.Input) error {
	if given["user-login"] == nil {
		if given["no-browser"] != nil {
			return &cli.UsageError{Problem: "--no-browser requires --user-login", Fix: "add --user-login to sign in as a user"}
		}
		return nil
	}
	for _, o := range []string{"client-id", "secret-stdin", "secret-file", "import"} {
		if given[o] != nil {
			return &cli.UsageError{Problem: "--user-login cannot be used with --" + o, Fix: "use --user-login for a user, or a client ID and secret for a service principal"}
		}
	}
	if a := given["auth"]; a != nil && strings.TrimSpace(a[0]) != auth.AuthBrowser {
		return &cli.UsageError{Problem: "--user-login cannot be used with --auth " + sanitize.Line(a[0]), Fix: "leave one of them out"}
	}
	in.Options = maps.Clone(in.Options)
	in.Options["auth"] = []string{auth.AuthBrowser}
	return nil
}

// userLogin signs a user in with a browser, gets the tokens that can be had, stores
// the login, and writes the profile, in this order.
func userLogin(ctx context.Context, c *invocation) error {
	if err := c.checkProfile(); err != nil { // before the user signs in in vain
		return err
	}
	kc := c.Keychain(c.conf)
	if err := c.checkStore(ctx, kc, keychain.IndexAccount); err != nil {
		return c.userStoreError(err)
	}
	api, err := c.Workspace(c.conf)
	if err != nil {
		return err
	}
	login := auth.NewLogin()
	server, err := login.Listen()
	if err != nil {
		return err
	}
	defer server.Close()
	address, err := auth.AuthorizeURL(ctx, c.conf, api, c.Observer(c.conf, c.log, nil), login, server.RedirectURI())
	if err != nil {
		return err
	}
	redirect, err := c.waitForBrowser(ctx, server, address)
	if err != nil {
		return err
	}
	where, err := c.finishLogin(ctx, kc, api, login, redirect.Code, server.RedirectURI())
	if err != nil {
		return err
	}
	if cli.Terminal(c.Stderr) {
		c.log.Progress(fmt.Sprintf("signed in as %s at %s; stored the login in %s", sanitize.Line(c.conf.User.Value), c.conf.Workspace.Value.HostPort(), where))
	}
	return nil
}

// finishLogin exchanges the code, gets a database token if the target is known, and
// stores the login. It returns where.
func (c *invocation) finishLogin(ctx context.Context, kc *keychain.Keychain, api *exchange.Client, login auth.Login, code credential.Secret, redirectURI string) (where string, err error) {
	progress := c.StartProgress(c.log)
	defer progress.Stop()
	observer := c.Observer(c.conf, c.log, progress)
	grant, err := auth.ExchangeCode(ctx, c.conf, api, observer, login, code, redirectURI)
	if err != nil {
		return "", err
	}
	if err := c.requireUser(grant.User); err != nil {
		return "", err
	}
	stores, err := c.TokenStores(c.conf, kc)
	if err != nil {
		return "", err
	}
	cache, id := stores.Cache(c.log, nil), grant.Identity(c.conf)
	var minted tokencache.Entry
	if c.given["no-verify"] == nil && c.conf.Target() != "" {
		source := lakebase.NewSource(c.conf, grant.Chain(c.conf), api, cache, observer)
		if _, minted, err = source.Mint(ctx); err != nil {
			return "", err
		}
	}
	// No other process may refresh the login that is replaced.
	account := config.RefreshAccount(c.conf.Workspace.Value.HostPort(), grant.User)
	defer cache.Lock(ctx, auth.RefreshLock(account))()
	if where, err = c.store(ctx, stores.Index(), kc, account, grant.Refresh); err != nil {
		return "", c.userStoreError(err)
	}
	c.forgetTokens(ctx, stores, func(d tokencache.Description) bool {
		return d.Host == c.conf.Workspace.Value.HostPort() && d.Identity == auth.AuthBrowser && d.ClientID == grant.User
	})
	cache.Save(ctx, id.WorkspaceKey(c.conf), tokencache.Entry{Token: grant.Token})
	if !minted.Token.Value.IsZero() {
		cache.Save(ctx, id.Key(c.conf), minted)
	}
	return where, c.writeProfile(ctx, where)
}

// requireUser makes the user who has signed in the user of the configuration. It
// rejects another one than an option or the profile names: a browser may be signed in
// as several. PGUSER in the environment is a database role.
func (c *invocation) requireUser(name string) error {
	user := c.conf.User
	named := user.Source.Origin == config.FromOption || user.Source.Origin == config.FromProfile
	if named && !strings.EqualFold(user.Value, name) {
		return &config.Error{Name: user.Source.String(), Problem: "is " + user.Value + ", but " + name + " signed in; nothing was stored",
			Fix: "sign in as " + user.Value + " in the browser, or use --user " + name}
	}
	c.conf.User = config.Value[string]{Value: name, Source: config.Source{Origin: config.FromOption, Name: "--user-login"}}
	return nil
}

// userStoreError returns the error for a login that could not be stored.
func (c *invocation) userStoreError(err error) error {
	var kc *keychain.Error
	switch {
	case errors.Is(err, keychain.ErrTooBig):
		return &auth.SourceError{Problem: "the workspace's refresh token is too long for the keychain", Fix: "store it in a file with --store file"}
	case errors.As(err, &kc):
		return &auth.NoLoginError{Host: c.conf.Workspace.Value.HostPort(), Err: err}
	}
	return err
}

// requireServicePrincipal rejects a configuration for which login without --user-login
// has no secret to store.
func (c *invocation) requireServicePrincipal() error {
	stated := c.conf.Auth
	switch {
	case stated.Value == auth.AuthBrowser:
		return &cli.UsageError{Problem: stated.Source.String() + " is " + stated.Value + ": a user has no secret to store", Fix: "sign in with: " + program + " login --user-login" + c.targetOption()}
	case stated.Value != "" && stated.Value != auth.AuthM2M:
		return &cli.UsageError{Problem: stated.Source.String() + " is " + stated.Value + ", but login stores a secret for " + auth.AuthM2M, Fix: "leave it out, or add --auth " + auth.AuthM2M}
	case c.conf.ClientID.Value == "":
		return &cli.UsageError{Problem: "--client-id: not given, and DATABRICKS_CLIENT_ID not set",
			Fix: "give one of them for a service principal, or sign in as a user with: " + program + " login --user-login" + c.targetOption()}
	}
	return nil
}

// targetOption returns the option of a suggested command that names the profile, or
// else the host.
func (c *invocation) targetOption() string {
	if c.conf.Profile.Value != "" {
		return " --profile " + c.conf.Profile.Value
	}
	return " --host " + c.conf.Workspace.Value.HostPort()
}
