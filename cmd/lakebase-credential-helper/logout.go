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
	kc := c.Keychain(c.conf)
	stores, err := c.TokenStores(c.conf, kc)
	if err != nil {
		return err
	}
	l := &logoutScope{invocation: c, all: c.given["all"] != nil}
	if l.all {
		return l.removeAll(ctx, stores)
	}
	if err := l.resolve(ctx, stores); err != nil {
		return err
	}
	if l.isUser && len(l.accounts) > 0 {
		defer c.lockRefresh(ctx, stores, l.accounts[0])()
	}
	removed := false
	if len(l.accounts) > 0 {
		if removed, err = l.SecretFiles().Remove(l.accounts[0]); err != nil {
			return err
		}
	}
	unlisted := l.isUnlisted(ctx, stores)
	if err := stores.Forget(ctx, l.match); err != nil {
		return err
	}
	err = stores.Index().Remove(ctx, l.accounts...)
	switch {
	case removed && errors.Is(err, keychain.ErrAbsent): // the file was all that such a machine can have
	case err != nil && !isEmpty(err, stores):
		return err
	case unlisted:
		l.warnIncomplete("cached tokens may be left in it")
	}
	return nil
}

// isUnlisted reports whether the target's secret is in a keychain whose index is gone,
// and which cannot be searched.
func (l *logoutScope) isUnlisted(ctx context.Context, stores cli.TokenStores) bool {
	if _, complete, err := stores.Index().All(ctx); complete || err != nil || len(l.accounts) == 0 {
		return false
	}
	_, err := stores.Items.Get(ctx, l.accounts[0])
	return err == nil
}

// removeAll deletes everything stored. Without a keychain that is what is in files and
// in the kernel.
func (l *logoutScope) removeAll(ctx context.Context, stores cli.TokenStores) error {
	items, keychainErr := l.storedItems(ctx, stores)
	tokens := 0
	for _, s := range stores.All {
		ids, _ := s.List(ctx)
		tokens += len(ids)
	}
	removed, err := l.SecretFiles().RemoveAll()
	if err != nil {
		return err
	}
	if err := stores.Forget(ctx, nil); err != nil {
		return err
	}
	switch {
	case errors.Is(keychainErr, keychain.ErrAbsent):
	case keychainErr != nil:
		return keychainErr
	default:
		if err := stores.Index().Remove(ctx, items.accounts...); err != nil {
			return err
		}
		if !items.complete && len(items.accounts) > 0 {
			l.warnIncomplete("secrets that no profile names, and cached tokens, may be left in it")
		}
	}
	if !removed && tokens == 0 && len(items.accounts) == 0 {
		l.logNothing(keychainErr)
	}
	return nil
}

// logNothing logs that nothing is stored, and why the keychain was not asked.
func (c *invocation) logNothing(keychainErr error) {
	if keychainErr != nil {
		c.log.Progress("nothing is stored; " + keychainErr.Error())
		return
	}
	c.log.Progress("nothing is stored")
}

// warnIncomplete warns that the keychain's index is gone, and it cannot be searched.
func (c *invocation) warnIncomplete(left string) {
	c.log.Warn("the keychain's list of what is stored is missing: %s", left)
	c.log.Hint("look for items of %q with the keychain program of the system", keychain.Service)
}

// storedItems are accounts of the keychain.
type storedItems struct {
	accounts []string
	complete bool // false: others may exist
}

// storedItems returns the accounts of what the keychain holds. Those that profiles
// name are looked up if they may be the only ones known.
func (c *invocation) storedItems(ctx context.Context, stores cli.TokenStores) (storedItems, error) {
	all, complete, err := stores.Index().All(ctx)
	if err != nil || complete {
		return storedItems{all, complete}, err
	}
	profiles, err := c.Profiles()
	if err != nil || profiles == nil {
		return storedItems{all, complete}, err
	}
	for _, name := range profiles.Names() {
		host, id, user := profiles.Value(name, "host"), profiles.Value(name, "client_id"), profiles.Value(name, "user")
		workspace, err := config.ParseWorkspace(host, config.Source{})
		if err != nil {
			continue
		}
		host = workspace.HostPort()
		var named []string
		if id != "" {
			named = append(named, config.SecretAccount(host, id), config.RecordAccount(host, id))
		}
		if user != "" {
			named = append(named, config.RefreshAccount(host, user))
		}
		for _, a := range named {
			if _, err := stores.Items.Get(ctx, a); err == nil && !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return storedItems{all, complete}, nil
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
