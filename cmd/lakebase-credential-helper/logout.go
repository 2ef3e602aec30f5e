package main

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

func logoutCommand(c *invocation) *urfave.Command {
	return &urfave.Command{
		Name: "logout", Category: categoryStored, Usage: "delete a stored secret or login, and its tokens",
		UsageText: program + " logout [options] | --all",
		Description: `Deletes the secret of the target's host and client ID, and every token cached for
them. Without a client ID it deletes the login of the user who signed in at the host.
With --auth native it deletes the password of the role for the database host.
The profile stays: it holds no secret.`,
		Flags: flags([]config.Setting{{Option: "all", Usage: "delete everything that is stored"}},
			ofStart, "client-secret-file", "native-password-file", "credential", "read-only", "pooled", "scope", "ttl", "min-ttl"),
		Action: c.action(checkLogout, logout),
	}
}

// checkLogout rejects --all with options that name a target. Variables may name one.
func checkLogout(given options, in *config.Input) error {
	in.NoEndpoint, in.NoTarget = true, given.has("all")
	targets := []string{"profile"}
	for _, s := range config.Settings() {
		if s.Target {
			targets = append(targets, s.Option)
		}
	}
	return given.conflict("all", "leave --all out to delete what is stored for that target alone", targets...)
}

// logout deletes a target's secret or login with its tokens, or everything stored.
func logout(ctx context.Context, c *invocation) error {
	stores, err := c.TokenStores(c.conf, c.Keychain(c.conf))
	if err != nil {
		return err
	}
	if c.given.has("all") {
		return c.removeAll(ctx, stores)
	}
	l := &logoutScope{invocation: c}
	if err := l.resolve(ctx, stores); err != nil {
		return err
	}
	removed, unlisted := false, false
	if len(l.accounts) > 0 {
		account := l.accounts[0]
		if l.isUser { // a process that refreshes the login would store it again
			defer stores.Cache(c.log, nil).Lock(ctx, auth.RefreshLock(account))()
		}
		if removed, err = l.SecretFiles().Remove(account); err != nil {
			return err
		}
		if _, complete, err := stores.Index.List(ctx); err == nil && !complete {
			_, err = stores.Index.Get(ctx, account)
			unlisted = err == nil
		}
	}
	if err := stores.Forget(ctx, l.match); err != nil {
		return err
	}
	err = stores.Index.Remove(ctx, l.accounts...)
	if errors.Is(err, keychain.ErrAbsent) && (removed || stores.InUse != config.CacheKeychain) {
		return nil // files and other stores are all that such a machine can have
	}
	if err == nil && unlisted {
		l.warnIncomplete("cached tokens may be left in it")
	}
	return err
}

// removeAll deletes everything stored: without a keychain, what is in files and the kernel.
func (c *invocation) removeAll(ctx context.Context, stores cli.TokenStores) error {
	accounts, complete, keychainErr := c.storedItems(ctx, stores)
	found := len(accounts) > 0
	for _, s := range stores.All {
		ids, _ := s.List(ctx)
		found = found || len(ids) > 0
	}
	removed, err := c.SecretFiles().RemoveAll()
	if err := cmp.Or(err, stores.Forget(ctx, nil)); err != nil {
		return err
	}
	if keychainErr == nil {
		keychainErr = stores.Index.Remove(ctx, accounts...)
	}
	switch {
	case keychainErr != nil && !errors.Is(keychainErr, keychain.ErrAbsent):
		return keychainErr
	case keychainErr == nil && !complete && len(accounts) > 0:
		c.warnIncomplete("secrets that no profile names, and cached tokens, may be left in it")
	}
	if !removed && !found {
		c.logNothing(keychainErr)
	}
	return nil
}

// logNothing logs that nothing is stored, and why the keychain was not asked.
func (c *invocation) logNothing(keychainErr error) {
	text := "nothing is stored"
	if keychainErr != nil {
		text += "; " + keychainErr.Error()
	}
	c.log.Progress(text)
}

// warnIncomplete warns that the keychain's index is gone, and it cannot be searched.
func (c *invocation) warnIncomplete(left string) {
	c.log.Warn("the keychain's list of what is stored is missing: %s", left)
	c.log.Hint("look for items of %q with the keychain program of the system", keychain.Service)
}

// storedItems returns the accounts of what the keychain holds. Those that profiles name
// are looked up if they may be the only ones known; others may exist unless complete.
func (c *invocation) storedItems(ctx context.Context, stores cli.TokenStores) (all []string, complete bool, err error) {
	all, complete, err = stores.Index.List(ctx)
	if err != nil || complete {
		return all, complete, err
	}
	profiles, err := c.Profiles()
	if err != nil {
		return all, false, err
	}
	for _, name := range profiles.Names() {
		workspace, _ := config.ParseWorkspace(profiles.Value(name, "host"), config.Source{})
		host, id, user := workspace.HostPort(), profiles.Value(name, "client_id"), profiles.Value(name, "user")
		database := net.JoinHostPort(profiles.Value(name, "pghost"), cmp.Or(profiles.Value(name, "pgport"), "5432"))
		for _, a := range []string{config.SecretAccount(host, id), config.RecordAccount(host, id),
			config.RefreshAccount(host, user), config.NativeAccount(database, user)} {
			if _, err := stores.Index.Get(ctx, a); err == nil && !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all, false, nil
}

// logoutScope is what a logout deletes.
type logoutScope struct {
	*invocation
	isUser   bool     // a user's login, not a service principal's secret
	others   []string // other users who have signed in at the host
	accounts []string // keychain accounts, listed in its index or not
}

// resolve determines whose secret or login is deleted.
func (l *logoutScope) resolve(ctx context.Context, stores cli.TokenStores) error {
	c, host := l.conf, l.conf.Workspace.Value.HostPort()
	switch {
	case c.Native():
		l.accounts = []string{c.SecretAccount()}
		return nil
	case c.ClientID.Value != "":
		l.accounts = []string{c.SecretAccount(), config.RecordAccount(c.Workspace.Value.HostPort(), c.ClientID.Value)}
		return nil
	case c.Auth.Value != "" && c.Auth.Value != auth.AuthBrowser: // it has tokens alone
		return nil
	}
	l.isUser = true
	users, err := l.users(ctx, stores)
	if err != nil {
		return err
	}
	user := c.User.Value
	switch {
	case user != "" && (namesUser(c.User) || slices.Contains(users, user)):
	case len(users) == 1: // a PGUSER of the environment may be a group's role
		user = users[0]
	case len(users) > 1:
		return &auth.NoLoginError{Host: host, Others: users}
	default:
		return nil
	}
	l.others = slices.DeleteFunc(users, func(u string) bool { return u == user })
	l.accounts = []string{config.RefreshAccount(host, user)}
	return nil
}

// users returns the users who have signed in at the target's host.
func (l *logoutScope) users(ctx context.Context, stores cli.TokenStores) ([]string, error) {
	accounts, err := cli.StoredAccounts(ctx, l.SecretFiles(), stores.Index)
	if err != nil && !errors.Is(err, keychain.ErrAbsent) {
		return nil, err
	}
	var users []string
	for _, a := range accounts {
		if owner, _ := config.ParseAccount(a); owner.User != "" && owner.Host == l.conf.Workspace.Value.HostPort() {
			users = append(users, owner.User)
		}
	}
	slices.Sort(users)
	return slices.Compact(users), nil
}

// match reports whether a cached token belongs to the user or client that logs out. A
// user's token may be for a group's role, so any that is not another user's counts.
func (l *logoutScope) match(d tokencache.Description) bool {
	switch {
	case d.Host != l.conf.Workspace.Value.HostPort():
		return false
	case l.isUser:
		return d.Identity == auth.AuthBrowser && !slices.Contains(l.others, d.ClientID)
	case l.conf.ClientID.Value != "":
		return d.ClientID == l.conf.ClientID.Value
	}
	return d.Identity == l.conf.Auth.Value
}
