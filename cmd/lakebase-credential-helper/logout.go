package main

import (
	"context"
	"errors"
	"slices"
	"time"

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
		Description: `Deletes the secret of the target's host and client ID from keychain and file, and
every token cached for them. Without a client ID it deletes the login of the user
who signed in at the host; --user selects one of several. The profile stays: it
holds no secret.`,
		Flags: flags([]config.Setting{{Option: "all", Usage: "delete everything that is stored"}},
			ofStart, "client-secret-file", "credential", "read-only", "ttl", "min-ttl"),
		Action: c.action(checkLogout, logout),
	}
}

// checkLogout rejects --all with options that name a target. Variables may name one.
func checkLogout(given map[string][]string, in *config.Input) error {
	in.NoEndpoint, in.NoTarget = true, given["all"] != nil
	if given["all"] == nil {
		return nil
	}
	for _, s := range config.Settings() {
		if given[s.Option] != nil && (s.Target || s.Option == "profile") {
			return &cli.UsageError{Problem: "--all cannot be used with --" + s.Option, Fix: "leave --all out to delete what is stored for that target alone"}
		}
	}
	return nil
}

// logout deletes a target's secret or login with its tokens, or everything stored.
func logout(ctx context.Context, c *invocation) error {
	chain := c.Keychain(c.conf)
	stores, err := c.TokenStores(c.conf, chain)
	if err != nil {
		return err
	}
	l := &logoutScope{invocation: c, all: c.given["all"] != nil}
	if !l.all {
		if err := l.resolve(ctx, stores); err != nil {
			return err
		}
		if l.isUser && len(l.accounts) > 0 {
			defer c.lockRefresh(ctx, stores, l.accounts[0])()
		}
	}
	removed, err := l.removeFiles()
	if err != nil {
		return err
	}
	match := l.match
	if l.all {
		match = nil
	}
	if err := stores.Forget(ctx, match); err != nil {
		return err
	}
	err = l.removeItems(ctx, stores)
	if removed && errors.Is(err, keychain.ErrAbsent) {
		return nil // the file was all that such a machine can have
	}
	return err
}

// logoutScope is what a logout deletes.
type logoutScope struct {
	*invocation
	all      bool
	isUser   bool     // a user's login, not a service principal's secret
	user     string   // empty: no user has signed in
	others   []string // other users who have signed in at the host
	accounts []string // keychain accounts, listed in its index or not
}

// resolve determines whose secret or login is deleted.
func (l *logoutScope) resolve(ctx context.Context, stores cli.TokenStores) error {
	c := l.conf
	switch {
	case c.ClientID.Value != "":
		l.accounts = []string{c.SecretAccount(), c.RecordAccount()}
		return nil
	case c.Auth.Value != "" && c.Auth.Value != auth.AuthBrowser: // it has tokens alone
		return nil
	}
	l.isUser = true
	users, err := l.users(ctx, stores)
	if err != nil {
		return err
	}
	user := c.User
	named := user.Source.Origin == config.FromOption || user.Source.Origin == config.FromProfile
	switch {
	case user.Value != "" && (named || slices.Contains(users, user.Value)):
		l.user = user.Value
	case len(users) == 1: // a PGUSER of the environment may be a group's role
		l.user = users[0]
	case len(users) > 1:
		return &auth.NoLoginError{Host: c.Workspace.Value.HostPort(), Others: users}
	}
	l.others = slices.DeleteFunc(users, func(u string) bool { return u == l.user })
	if l.user != "" {
		l.accounts = []string{config.RefreshAccount(c.Workspace.Value.HostPort(), l.user)}
	}
	return nil
}

// users returns the users who have signed in at the target's host. It ignores files
// that cannot be used.
func (l *logoutScope) users(ctx context.Context, stores cli.TokenStores) ([]string, error) {
	accounts, _, err := l.SecretFiles().List()
	if err != nil {
		return nil, err
	}
	listed, err := stores.Index().List(ctx)
	if err != nil && !errors.Is(err, keychain.ErrNotFound) && !errors.Is(err, keychain.ErrAbsent) {
		return nil, err
	}
	var users []string
	for _, a := range append(accounts, listed...) {
		if host, user, ok := config.SplitRefreshAccount(a); ok && host == l.conf.Workspace.Value.HostPort() {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return slices.Compact(users), nil
}

// refreshLockTimeout bounds the wait for a process that is refreshing the login, and
// would store the result after the logout.
const refreshLockTimeout = 10 * time.Second

func (c *invocation) lockRefresh(ctx context.Context, stores cli.TokenStores, account string) (unlock func()) {
	ctx, cancel := context.WithTimeout(ctx, 2*refreshLockTimeout) // Lock takes half of it
	defer cancel()
	return stores.Cache(c.log, nil).Lock(ctx, auth.RefreshLock(account))
}

// removeFiles removes secrets' files, and reports whether there was one.
func (l *logoutScope) removeFiles() (removed bool, err error) {
	files := l.SecretFiles()
	if l.all {
		return files.RemoveAll()
	}
	if len(l.accounts) == 0 {
		return false, nil
	}
	return files.Remove(l.accounts[0])
}

// removeItems deletes the keychain's secrets, and with --all everything listed.
func (l *logoutScope) removeItems(ctx context.Context, stores cli.TokenStores) error {
	index, gone := stores.Index(), l.accounts
	if l.all {
		var err error
		if gone, err = index.List(ctx); err != nil && !isEmpty(err, stores) {
			return err
		}
	}
	if err := index.Remove(ctx, gone...); !isEmpty(err, stores) {
		return err
	}
	return nil
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
