package lakebase

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// minBearerLife is the minimum remaining life of a cached workspace token that is
// to be exchanged (databricks-sdk-go refreshes a user's token 5 minutes early).
const minBearerLife = 5 * time.Minute

// Source supplies database tokens, cached ones if possible. It is an
// auth.TokenSource.
type Source struct {
	conf     config.Config
	chain    *auth.Chain
	api      API
	cache    *tokencache.Cache
	observer auth.Observer
	resolver *Resolver
}

// NewSource returns the Source for one configuration. chain signs in.
func NewSource(conf config.Config, chain *auth.Chain, api API, cache *tokencache.Cache, o auth.Observer) *Source {
	return &Source{conf: conf, chain: chain, api: api, cache: cache, observer: o, resolver: NewResolver(conf, api, o)}
}

// Token returns a database token with at least --min-ttl left. Errors: those of
// auth.Chain and Resolver; *exchange.Error, inside a *retry.Error after several
// attempts.
func (s *Source) Token(ctx context.Context) (credential.Token, error) {
	session, err := s.get(ctx, credential.Secret{}, false)
	return session.Token, err
}

// Refresh returns a database token other than rejected with at least half of its
// life left. It shows no dialog.
func (s *Source) Refresh(ctx context.Context, rejected credential.Secret) (credential.Token, error) {
	session, err := s.get(ctx, rejected, true)
	return session.Token, err
}

// get returns a session whose target has no root certificates.
func (s *Source) get(ctx context.Context, rejected credential.Secret, background bool) (got Session, err error) {
	err = s.chain.Do(ctx, func(login auth.Source, id auth.Identity) error {
		ctx, cancel := s.withTimeout(ctx)
		defer cancel()
		got.key = id.Key(s.conf)
		var e tokencache.Entry
		if s.conf.Native() { // its password is in no cache
			e.Token, err = ask(ctx, login, rejected, background)
		} else {
			want := tokencache.Criteria{MinLife: s.conf.MinTTL.Value, Refused: rejected, DatabaseHost: s.hostMatches}
			if background {
				want.MinLife = credential.MaxLife // of which Criteria take half at most
			} else {
				want.Fingerprint = fingerprint(got.key, id.Given)
			}
			e, got.cached, err = s.cache.Get(ctx, got.key, want, func(ctx context.Context) (tokencache.Entry, error) {
				return s.mint(ctx, s.bearer(login, id), id, rejected, background)
			})
		}
		got.Token, got.Target = e.Token, Target(s.conf, "", cmp.Or(s.conf.PGHost.Value, e.DatabaseHost))
		got.Target.User = cmp.Or(id.User, e.User)
		return err
	})
	return got, err
}

// ask returns a token of source: another one than rejected if again is set.
func ask(ctx context.Context, source auth.TokenSource, rejected credential.Secret, again bool) (credential.Token, error) {
	if again {
		return source.Refresh(ctx, rejected)
	}
	return source.Token(ctx)
}

// withTimeout bounds a whole call. The lock is waited for within it; the keychain and
// the exchange have limits of their own inside it.
func (s *Source) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.conf.Timeout.Value+s.conf.KeychainTimeout.Value)
}

// bearer returns the source of workspace tokens for mint.
func (s *Source) bearer(login auth.Source, id auth.Identity) auth.TokenSource {
	if !id.Shared {
		return login
	}
	return s.cached(login, id, s.conf.Credential.Value == config.CredentialWorkspace)
}

// cached returns login with the cache in front. whole means that the workspace token itself
// is the password.
func (s *Source) cached(login auth.Source, id auth.Identity, whole bool) cached {
	c := cached{login: login, cache: s.cache, key: id.WorkspaceKey(s.conf)}
	c.token = tokencache.Criteria{MinLife: s.conf.MinTTL.Value, Fingerprint: fingerprint(c.key, id.Given)}
	c.refresh = tokencache.Criteria{MinLife: credential.MaxLife}
	if id.Shared && !whole {
		c.token.MinLife, c.refresh.MinLife = minBearerLife, minBearerLife
	}
	return c
}

// cached is a TokenSource that looks into the cache first.
type cached struct {
	login          auth.Source
	cache          *tokencache.Cache
	key            credential.Key
	token, refresh tokencache.Criteria // of Token and Refresh
}

func (c cached) Token(ctx context.Context) (credential.Token, error) {
	return c.get(ctx, c.token, false)
}

func (c cached) Refresh(ctx context.Context, rejected credential.Secret) (credential.Token, error) {
	want := c.refresh
	want.Refused = rejected
	return c.get(ctx, want, true)
}

func (c cached) get(ctx context.Context, want tokencache.Criteria, again bool) (credential.Token, error) {
	e, _, err := c.cache.Get(ctx, c.key, want, func(ctx context.Context) (tokencache.Entry, error) {
		t, err := ask(ctx, c.login, want.Refused, again)
		return tokencache.Entry{Token: t, Fingerprint: c.token.Fingerprint}, err
	})
	return e.Token, err
}

// fingerprint is that of a given secret, and empty for a stored one: who stores
// another secret deletes the tokens of the one before.
func fingerprint(key credential.Key, given credential.Secret) string {
	if given.IsZero() {
		return ""
	}
	return key.Fingerprint(given)
}

// WorkspaceToken returns a token for the workspace's API, cached if possible. It
// does not depend on the target.
func (s *Source) WorkspaceToken(ctx context.Context) (t credential.Token, err error) {
	if s.conf.Native() {
		return t, &config.Error{Name: s.conf.Auth.Source.String(), Problem: "a native password is for the database, and not for the workspace's API",
			Fix: "choose another authentication type with --auth"}
	}
	err = s.chain.Do(ctx, func(login auth.Source, id auth.Identity) error {
		ctx, cancel := s.withTimeout(ctx)
		defer cancel()
		t, err = s.cached(login, id, false).Token(ctx)
		return err
	})
	return t, err
}

// List returns the endpoints of the workspace; see Resolver.List.
func (s *Source) List(ctx context.Context) ([]EndpointInfo, error) {
	bearer, err := s.WorkspaceToken(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.conf.Timeout.Value)
	defer cancel()
	return s.resolver.List(ctx, bearer.Value)
}

// Mint signs in and returns a new database token, past the cache, with the key under
// which Save stores it. Without a target it signs in only; then the entry is zero.
func (s *Source) Mint(ctx context.Context) (key credential.Key, e tokencache.Entry, err error) {
	err = s.chain.Do(ctx, func(login auth.Source, id auth.Identity) error {
		if s.conf.Target().Value == "" {
			_, err := login.Token(ctx)
			return err
		}
		key = id.Key(s.conf)
		e, err = s.mint(ctx, login, id, credential.Secret{}, false)
		return err
	})
	return key, e, err
}

// mint exchanges a workspace token for a database token: one request, and at the
// same time another one for the database's host or the user if they must be asked
// for. A short name of the target is looked up before. With --credential workspace
// the workspace token itself is the password.
func (s *Source) mint(ctx context.Context, bearers auth.TokenSource, id auth.Identity, rejected credential.Secret, background bool) (tokencache.Entry, error) {
	whole := s.conf.Credential.Value == config.CredentialWorkspace
	bearer, err := ask(ctx, bearers, rejected, background || whole && !rejected.IsZero())
	if err != nil {
		return tokencache.Entry{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.conf.Timeout.Value)
	defer cancel()
	endpoint, err := s.resolver.Endpoint(ctx, bearer.Value)
	if err != nil {
		return tokencache.Entry{}, err
	}
	e := tokencache.Entry{Token: bearer, Fingerprint: fingerprint(id.Key(s.conf), id.Given)}
	group, ctx := errgroup.WithContext(ctx)
	if !s.conf.PGHostTrusted() {
		group.Go(func() error {
			described, err := s.resolver.Describe(ctx, bearer.Value, endpoint)
			if err == nil {
				e.DatabaseHost, err = s.resolver.Host(described)
			}
			return err
		})
	}
	if id.User == "" {
		group.Go(func() (err error) {
			e.User, err = auth.UserName(ctx, s.conf, s.api.Me, bearer.Value)
			return err
		})
	}
	if !whole {
		group.Go(func() (err error) {
			e.Token, err = exchange.Retry(ctx, func(ctx context.Context) (credential.Token, error) {
				return s.api.DatabaseCredential(ctx, bearer.Value, endpoint.Name, s.conf.TTL.Value)
			})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return tokencache.Entry{}, err
	}
	s.observer.Note(fmt.Sprintf("%s issued a token, valid until %s", s.conf.Workspace.Value.HostPort(), e.Token.ExpiresAt.UTC().Format("15:04:05Z")))
	return e, nil
}

// hostMatches reports whether a cached entry's host settles which host to use.
func (s *Source) hostMatches(remembered string) bool {
	if h := s.conf.PGHost.Value; h != "" {
		return s.conf.PGHostTrusted() || remembered == h
	}
	return remembered != ""
}
