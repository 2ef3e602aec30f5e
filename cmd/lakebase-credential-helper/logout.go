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
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

func logoutCommand(c *call) *urfave.Command {
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

// checkLogout looks at logout's own options before anything else is done: who names
// a target does not mean all that is stored. Variables may name one all the same.
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

// logout deletes a target's secret or login with its tokens, or all that is stored.
func logout(ctx context.Context, c *call) error {
	chain := c.Keychain(c.conf)
	stores, err := c.TokenStores(c.conf, chain)
	if err != nil {
		return err
	}
	l := &leaving{call: c, all: c.given["all"] != nil}
	if !l.all {
		if err := l.decide(ctx, stores); err != nil {
			return err
		}
		if l.person && len(l.accounts) > 0 {
			defer c.refreshTurn(ctx, stores, l.accounts[0])()
		}
	}
	removed, err := l.removeFiles()
	if err != nil {
		return err
	}
	match := l.ours
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

// leaving is what one logout takes out.
type leaving struct {
	*call
	all      bool
	person   bool
	user     string   // the person's; empty: nobody has signed in
	others   []string // who else has signed in at the host
	accounts []string // of the keychain, listed there or not
}

// decide finds out who leaves.
func (l *leaving) decide(ctx context.Context, stores cli.TokenStores) error {
	c := l.conf
	switch {
	case c.ClientID.Value != "":
		l.accounts = []string{c.SecretAccount(), c.RecordAccount()}
		return nil
	case c.Auth.Value != "" && c.Auth.Value != credential.AuthBrowser: // it has tokens alone
		return nil
	}
	l.person = true
	people, err := l.people(ctx, stores)
	if err != nil {
		return err
	}
	user := c.User
	named := user.Source.Origin == config.FromOption || user.Source.Origin == config.FromProfile
	switch {
	case user.Value != "" && (named || slices.Contains(people, user.Value)):
		l.user = user.Value
	case len(people) == 1: // a PGUSER of the environment may be a group's role
		l.user = people[0]
	case len(people) > 1:
		return &auth.NoLoginError{Host: c.Workspace.Value.HostPort(), Others: people}
	}
	l.others = slices.DeleteFunc(people, func(p string) bool { return p == l.user })
	if l.user != "" {
		l.accounts = []string{config.RefreshAccount(c.Workspace.Value.HostPort(), l.user)}
	}
	return nil
}

// people are those who have signed in at the target's host. A file that cannot be
// used names nobody.
func (l *leaving) people(ctx context.Context, stores cli.TokenStores) ([]string, error) {
	accounts, _, err := l.SecretFiles().List()
	if err != nil {
		return nil, err
	}
	listed, err := stores.Index().List(ctx)
	if err != nil && !errors.Is(err, keychain.ErrNotFound) && !errors.Is(err, keychain.ErrAbsent) {
		return nil, err
	}
	var people []string
	for _, a := range append(accounts, listed...) {
		if host, user, ok := config.SplitRefreshAccount(a); ok && host == l.conf.Workspace.Value.HostPort() {
			people = append(people, user)
		}
	}
	slices.Sort(people)
	return slices.Compact(people), nil
}

// turnTime bounds the wait for a process that refreshes the login just now: what
// it gets would be stored after the logout.
const turnTime = 10 * time.Second

func (c *call) refreshTurn(ctx context.Context, stores cli.TokenStores, account string) (unlock func()) {
	ctx, cancel := context.WithTimeout(ctx, 2*turnTime) // Lock takes half of it
	defer cancel()
	return stores.Cache(c.say, nil).Lock(ctx, auth.RefreshLock(account))
}

// removeFiles removes secrets' files, and says whether there was one.
func (l *leaving) removeFiles() (removed bool, err error) {
	files := l.SecretFiles()
	if l.all {
		return files.RemoveAll()
	}
	if len(l.accounts) == 0 {
		return false, nil
	}
	return files.Remove(l.accounts[0])
}

// removeItems deletes the keychain's secrets, and with --all whatever is listed.
func (l *leaving) removeItems(ctx context.Context, stores cli.TokenStores) error {
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

// ours reports whether a cached token belongs to the user or client that logs out. A
// person's token may be for a group's role, so any that is not another person's counts.
func (l *leaving) ours(d tokencache.Description) bool {
	switch {
	case d.Host != l.conf.Workspace.Value.HostPort():
		return false
	case l.person:
		return d.Identity == credential.AuthBrowser && !slices.Contains(l.others, d.ClientID)
	case l.conf.ClientID.Value != "":
		return d.ClientID == l.conf.ClientID.Value
	}
	return d.Identity == l.conf.Auth.Value
}
