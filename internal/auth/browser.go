package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// AuthBrowser is a user who has signed in with a browser: the refresh token of
// that login is stored.
const AuthBrowser = "external-browser"

func configureBrowser(ctx context.Context, e *env) (Source, Identity, error) {
	if e.conf.ClientID.Value != "" {
		return nil, Identity{}, ErrNotConfigured
	}
	login, err := selectUser(ctx, e.Secrets, e.conf)
	return &browserSource{e, login}, browserIdentity(e.conf, login), err
}

func browserIdentity(conf config.Config, login string) Identity {
	return Identity{Type: AuthBrowser, Principal: login, User: cmp.Or(conf.User.Value, login), Shared: true}
}

// selectUser returns the user who has signed in at the host. Of several it is the
// one that --user or PGUSER names.
func selectUser(ctx context.Context, secrets Secrets, conf config.Config) (string, error) {
	none := &NoLoginError{Host: conf.Workspace.Value.HostPort(), User: conf.User.Value}
	if conf.Auth.Value == AuthBrowser && conf.User.Source.Origin == config.FromProfile {
		return conf.User.Value, nil // a login has written both
	}
	accounts, err := secrets.Accounts(ctx)
	if err != nil {
		none.Err = err
		return "", none
	}
	for _, a := range accounts {
		owner, _ := config.ParseAccount(a)
		switch {
		case owner.User == "" || owner.Host != none.Host:
		case owner.User == conf.User.Value:
			return owner.User, nil
		default:
			none.Others = append(none.Others, owner.User)
		}
	}
	if len(none.Others) == 1 {
		return none.Others[0], nil // the configured user is a group's role then
	}
	return "", none
}

type browserSource struct {
	*env
	user string
}

func (s *browserSource) Token(ctx context.Context) (credential.Token, error) {
	return s.signIn(ctx, s.Secrets.Get)
}

func (s *browserSource) Refresh(ctx context.Context, _ credential.Secret) (credential.Token, error) {
	return s.signIn(ctx, s.Secrets.Read)
}

func (s *browserSource) Check(ctx context.Context) error {
	_, err := s.stored(ctx, s.Secrets.Get)
	return err
}

func (s *browserSource) account() string {
	return config.RefreshAccount(s.conf.Workspace.Value.HostPort(), s.user)
}

func (s *browserSource) stored(ctx context.Context, read reader) (credential.Secret, error) {
	refresh, err := s.readStored(ctx, s.account(), read)
	if err != nil {
		return credential.Secret{}, &NoLoginError{Host: s.conf.Workspace.Value.HostPort(), User: s.user, Err: err}
	}
	return refresh, nil
}

// signIn exchanges the stored refresh token for an access token. If the server
// returns another refresh token, the old one is invalid, and the new one is stored
// before anything else happens.
func (s *browserSource) signIn(ctx context.Context, read reader) (credential.Token, error) {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	defer s.Locks.Lock(ctx, RefreshLock(s.account()))()
	refresh, err := s.stored(ctx, read)
	if err != nil {
		return credential.Token{}, err
	}
	exchangeRefresh := func(ctx context.Context) (exchange.Grant, error) { return s.Workspace.RefreshedToken(ctx, refresh) }
	grant, err := withTokenEndpoint(ctx, s.env, exchangeRefresh)
	if exchange.IsKind(err, exchange.KindRefreshRefused) {
		// Another machine or program may have refreshed meanwhile.
		if again, readErr := s.stored(ctx, read); readErr == nil && !again.Equal(refresh) {
			refresh = again
			grant, err = withTokenEndpoint(ctx, s.env, exchangeRefresh)
		}
	}
	if exchange.IsKind(err, exchange.KindRefreshRefused) {
		return credential.Token{}, &NoLoginError{Host: s.conf.Workspace.Value.HostPort(), User: s.user, Err: err}
	}
	if err != nil {
		return credential.Token{}, err
	}
	if !grant.Refresh.IsZero() && !grant.Refresh.Equal(refresh) {
		s.replace(ctx, grant.Refresh)
	}
	return grant.Token, nil
}

// replaceTimeout bounds the storing of a refresh token. It continues when the
// caller's context ends: otherwise the user would be signed out.
const replaceTimeout = 5 * time.Second

func (s *browserSource) replace(ctx context.Context, refresh credential.Secret) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), replaceTimeout)
	defer cancel()
	if err := s.Secrets.Replace(ctx, s.account(), refresh); err != nil {
		s.Observer.Warn("the new refresh token of " + s.user + " could not be stored, so a new login will be needed: " + err.Error())
	}
}

// RefreshLock returns the name of the lock of one user's refresh token. It does not
// contain the user's name.
func RefreshLock(account string) string {
	sum := sha256.Sum256([]byte(account))
	return fmt.Sprintf("refresh-%x.lock", sum[:16])
}
