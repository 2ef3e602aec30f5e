package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// checkUserLogin refuses what does not go with a person's login, and has the
// configuration be a person's.
func checkUserLogin(given map[string][]string, in *config.Input) error {
	if given["user-login"] == nil {
		if given["no-browser"] != nil {
			return &cli.UsageError{Problem: "--no-browser goes with --user-login only", Fix: "add --user-login to sign in as a person"}
		}
		return nil
	}
	for _, o := range []string{"client-id", "secret-stdin", "secret-file", "import"} {
		if given[o] != nil {
			return &cli.UsageError{Problem: "--user-login cannot be used with --" + o, Fix: "a person signs in with --user-login alone, a service principal with its client id and secret"}
		}
	}
	if a := given["auth"]; a != nil && strings.TrimSpace(a[0]) != credential.AuthBrowser {
		return &cli.UsageError{Problem: "--user-login is for " + credential.AuthBrowser + ", and --auth says " + sanitize.Quote(a[0]), Fix: "leave one of them out"}
	}
	in.Options = withOption(in.Options, "auth", credential.AuthBrowser)
	return nil
}

// withOption is options with one more of them.
func withOption(options map[string][]string, name, value string) map[string][]string {
	out := map[string][]string{name: {value}}
	for n, v := range options {
		if n != name {
			out[n] = v
		}
	}
	return out
}

// userLogin signs a person in by a browser, proves what can be proved, stores the
// login, and writes the profile, in the order of login.
func userLogin(ctx context.Context, c *call) error {
	if _, err := c.profileFile(); err != nil { // before anybody signs in for nothing
		return err
	}
	chain := c.Keychain(c.conf)
	if err := c.reachable(ctx, chain, keychain.IndexAccount); err != nil {
		return c.personStore(err)
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
	address, err := auth.AuthorizeURL(ctx, c.conf, api, c.Observer(c.conf, c.say, nil), login, server.RedirectURI())
	if err != nil {
		return err
	}
	redirect, err := c.atBrowser(ctx, server, address)
	if err != nil {
		return err
	}
	where, err := c.finishLogin(ctx, chain, api, login, redirect.Code, server.RedirectURI())
	if err != nil {
		return err
	}
	if cli.Terminal(c.Stderr) {
		c.say.Progress(fmt.Sprintf("signed in as %s at %s; the login is kept in %s", sanitize.Line(c.conf.User.Value), c.conf.Workspace.Value.HostPort(), where))
	}
	return nil
}

// finishLogin exchanges the code, gets a database token if the target is known, and
// stores the login. It returns where.
func (c *call) finishLogin(ctx context.Context, chain *keychain.Keychain, api *exchange.Client, login auth.Login, code credential.Secret, redirectURI string) (where string, err error) {
	progress := cli.StartProgress(c.say, cli.Terminal(c.Stderr))
	defer progress.Stop()
	observer := c.Observer(c.conf, c.say, progress)
	grant, err := auth.ExchangeCode(ctx, c.conf, api, observer, login, code, redirectURI)
	if err != nil {
		return "", err
	}
	if err := c.asNamed(grant.User); err != nil {
		return "", err
	}
	stores, err := c.TokenStores(c.conf, chain)
	if err != nil {
		return "", err
	}
	cache, id := stores.Cache(c.say, nil), grant.Identity(c.conf)
	var minted tokencache.Entry
	if c.given["no-verify"] == nil && c.conf.Target() != "" {
		source := lakebase.NewSource(c.conf, grant.Chain(c.conf), api, cache, observer)
		if _, minted, err = source.Mint(ctx); err != nil {
			return "", err
		}
	}
	profile, err := c.profileFile()
	if err != nil {
		return "", err
	}
	// No other process may refresh the login that is replaced.
	account := config.RefreshAccount(c.conf.Workspace.Value.HostPort(), grant.User)
	defer cache.Lock(ctx, auth.RefreshLock(account))()
	if where, err = c.keep(ctx, stores.Index(), chain, account, grant.Refresh); err != nil {
		return "", c.personStore(err)
	}
	c.forgetTokens(ctx, stores, func(d tokencache.Description) bool {
		return d.Host == c.conf.Workspace.Value.HostPort() && d.Identity == auth.AuthBrowser && d.ClientID == grant.User
	})
	cache.Save(ctx, id.WorkspaceKey(c.conf), tokencache.Entry{Token: grant.Token})
	if !minted.Token.Value.IsZero() {
		cache.Save(ctx, id.Key(c.conf), minted)
	}
	if profile != nil {
		return where, securefile.WriteFile(c.ProfilesPath(), profile)
	}
	return where, nil
}

// asNamed makes the one who has signed in the user. Somebody else than who is
// named for the login is refused: a browser may know several people. A PGUSER of
// the environment is a database's user and names nobody here.
func (c *call) asNamed(person string) error {
	user := c.conf.User
	named := user.Source.Origin == config.FromOption || user.Source.Origin == config.FromProfile
	if named && !strings.EqualFold(user.Value, person) {
		return &config.Error{Name: user.Source.String(), Problem: "names " + user.Value + ", and " + person + " has signed in; nothing was stored",
			Fix: "sign in as " + user.Value + " in the browser, or give --user " + person}
	}
	c.conf.User = config.Value[string]{Value: person, Source: config.Source{Origin: config.FromOption, Name: "--user-login"}}
	return nil
}

// personStore puts a store's error into words for a person, who has no secret to
// put anywhere.
func (c *call) personStore(err error) error {
	var chain *keychain.Error
	switch {
	case errors.Is(err, keychain.ErrTooBig):
		return &cli.WayError{Problem: "the workspace's refresh token is too long for the keychain", Fix: "keep it in a file: add --store file"}
	case errors.As(err, &chain):
		return &auth.NoLoginError{Host: c.conf.Workspace.Value.HostPort(), Err: err}
	}
	return err
}

// noSecretLogin says why a login without --user-login has nobody to store a secret
// for; nil where it has.
func (c *call) noSecretLogin() error {
	auth := c.conf.Auth
	switch {
	case auth.Value == credential.AuthBrowser:
		return &cli.UsageError{Problem: auth.Source.String() + " says " + auth.Value + ": a person has no secret to store", Fix: "sign in with: " + program + " login --user-login" + c.targetOption()}
	case auth.Value != "" && auth.Value != credential.AuthM2M:
		return &cli.UsageError{Problem: auth.Source.String() + " chooses " + auth.Value + ", and login stores the secret of " + credential.AuthM2M, Fix: "leave it out, or add --auth " + credential.AuthM2M}
	case c.conf.ClientID.Value == "":
		return &cli.UsageError{Problem: "--client-id: not given, and DATABRICKS_CLIENT_ID not set",
			Fix: "give one of them for a service principal, or sign in as a person with: " + program + " login --user-login" + c.targetOption()}
	}
	return nil
}

// targetOption names the profile, or else the host, for a command to run.
func (c *call) targetOption() string {
	if c.conf.Profile.Value != "" {
		return " --profile " + c.conf.Profile.Value
	}
	return " --host " + c.conf.Workspace.Value.HostPort()
}
