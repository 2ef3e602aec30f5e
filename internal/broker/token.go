package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// token gets a token other than refused.
func (b *Broker) token(ctx context.Context, refused credential.Secret) (Session, error) {
	s, err := b.ownToken(ctx, refused)
	if err != nil && b.otherWay(err) {
		s, err = b.ownToken(ctx, refused)
	}
	return s, err
}

func (b *Broker) ownToken(ctx context.Context, refused credential.Secret) (Session, error) {
	if err := b.decide(ctx); err != nil {
		return Session{}, err
	}
	c := &b.Config
	want := tokencache.Criteria{MinLife: c.MinTTL.Value, Refused: refused, DatabaseHost: b.hostServes}
	given, err := b.GivenSecret()
	if err != nil {
		return Session{}, err
	}
	if !given.IsZero() {
		want.Fingerprint = c.Key().Fingerprint(given)
	}
	r, err := b.fetch(ctx, want, b.secret)
	if err != nil {
		return Session{}, err
	}
	host := c.PGHost.Value
	if host == "" {
		host = r.Entry.DatabaseHost
	}
	if r.Cached {
		b.tell(Note, fmt.Sprintf("using the cached token, good until %s", r.Entry.Token.ExpiresAt.UTC().Format(time.RFC3339)))
	}
	if c.User.Value == "" {
		b.Config.User.Value = r.Entry.User
	}
	return Session{Target: b.Target(host), Token: r.Entry.Token, Cached: r.Cached, result: r}, nil
}

// secret is what the way in starts from: given, or the keychain's for a client
// id. The other ways find theirs when they are walked.
func (b *Broker) secret(ctx context.Context) (credential.Secret, error) {
	given, err := b.GivenSecret()
	if err != nil || !given.IsZero() || b.Config.Auth.Value != credential.AuthM2M {
		return given, err
	}
	return b.keychainSecret(ctx)
}

// fetch gets an entry from the cache, or mints one with the secret that is asked
// for only then.
func (b *Broker) fetch(ctx context.Context, want tokencache.Criteria, secret func(context.Context) (credential.Secret, error)) (tokencache.Result, error) {
	c := &b.Config
	b.refused, b.rest = want.Refused, want.MinLife
	// The lock is waited for within this, the keychain and the exchange have
	// limits of their own inside it.
	ctx, cancel := context.WithTimeout(ctx, c.Timeout.Value+c.KeychainTimeout.Value)
	defer cancel()
	return b.Cache.Get(ctx, c.Key(), want, func(ctx context.Context) (tokencache.Entry, error) {
		s, err := secret(ctx)
		if err != nil {
			return tokencache.Entry{}, err
		}
		e, err := b.Mint(ctx, s)
		if err == nil {
			b.proven = s
		}
		return e, err
	})
}

// hostServes says whether a cached entry's host settles which host to use.
func (b *Broker) hostServes(remembered string) bool {
	h := b.Config.PGHost.Value
	switch {
	case h == "":
		return remembered != ""
	case b.Config.PGHostTrusted():
		return true
	}
	return remembered == h
}

// GivenSecret is the one from option, file or environment; zero for the
// keychain's. A file is read once.
func (b *Broker) GivenSecret() (credential.Secret, error) {
	if b.given != nil {
		return *b.given, nil
	}
	s := b.Config.Secret
	secret := s.Text
	if s.Kind == config.SecretInFile && b.Config.Auth.Value != credential.AuthFileOIDC {
		var err error
		if secret, err = b.ReadSecretFile(s.Path); err != nil {
			return credential.Secret{}, &SecretFileError{From: s.Source, Err: err}
		}
	}
	b.given = &secret
	return secret, nil
}

func (b *Broker) keychainSecret(ctx context.Context) (credential.Secret, error) {
	s, err := b.stored(ctx, b.Config.SecretAccount())
	if err != nil {
		if parent := context.Cause(ctx); errors.Is(parent, context.Canceled) {
			return credential.Secret{}, parent
		}
		return credential.Secret{}, &NoSecretError{Host: b.Config.Workspace.Value.HostPort(), ClientID: b.Config.ClientID.Value, Notes: b.Config.Notes, Err: err}
	}
	return s, nil
}

// stored reads an account of the keychain, or of the file in its place.
func (b *Broker) stored(ctx context.Context, account string) (credential.Secret, error) {
	b.tell(AtKeychain, "")
	ctx, cancel := context.WithTimeout(ctx, b.Config.KeychainTimeout.Value)
	defer cancel()
	secrets := b.Secrets
	if b.quiet && b.QuietSecrets != nil {
		secrets = b.QuietSecrets
	}
	return secrets.Get(ctx, account)
}

// refused says whether a login failed for its token, and not for anything that
// a new one would leave as it is.
func refused(err error) bool {
	var e *pglogin.Error
	return errors.As(err, &e) && e.TokenRefused()
}

// WorkspaceToken gets a token for the workspace's API, from the cache where it
// can. The target means nothing to it.
func (b *Broker) WorkspaceToken(ctx context.Context) (credential.Token, error) {
	if err := b.decide(ctx); err != nil {
		return credential.Token{}, err
	}
	t, err := b.workspaceToken(ctx)
	if err != nil && b.otherWay(err) {
		t, err = b.workspaceToken(ctx)
	}
	return t, err
}

func (b *Broker) workspaceToken(ctx context.Context) (credential.Token, error) {
	c := &b.Config
	ctx, cancel := context.WithTimeout(ctx, c.Timeout.Value+c.KeychainTimeout.Value)
	defer cancel()
	if c.Auth.Value == credential.AuthBrowser {
		return b.personToken(ctx)
	}
	key := b.workspaceKey()
	given, err := b.GivenSecret()
	if err != nil {
		return credential.Token{}, err
	}
	want := tokencache.Criteria{MinLife: c.MinTTL.Value}
	if !given.IsZero() {
		want.Fingerprint = key.Fingerprint(given)
	}
	r, err := b.Cache.Get(ctx, key, want, func(ctx context.Context) (tokencache.Entry, error) {
		secret, err := b.secret(ctx)
		if err != nil {
			return tokencache.Entry{}, err
		}
		t, err := b.SignIn(ctx, secret)
		return tokencache.Entry{Token: t, Fingerprint: key.Fingerprint(secret)}, err
	})
	if err != nil {
		return credential.Token{}, err
	}
	return r.Entry.Token, nil
}
