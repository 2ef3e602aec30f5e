package auth

import (
	"context"
	"errors"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// AuthNative is a Postgres role with a password, which signs in to a database and to no
// workspace.
const AuthNative = config.AuthNative

func configureNative(_ context.Context, d Deps, conf config.Config) (Source, Identity, error) {
	return &nativeSource{d, conf}, Identity{Principal: conf.SecretAccount()}, nil
}

// nativeSource supplies the password as a token that does not expire.
type nativeSource struct {
	Deps
	conf config.Config
}

func (s *nativeSource) Token(ctx context.Context) (credential.Token, error) {
	return s.current(ctx, s.Secrets.Get)
}

// Refresh reads the password again, as it may have been changed.
func (s *nativeSource) Refresh(ctx context.Context, rejected credential.Secret) (credential.Token, error) {
	t, err := s.current(ctx, s.Secrets.Read)
	if err == nil && t.Value.Equal(rejected) {
		err = &SourceError{Problem: "the password is still the one that the database has refused", Fix: "store the role's new password"}
	}
	return t, err
}

func (s *nativeSource) Check(ctx context.Context) error {
	_, err := s.Token(ctx)
	return err
}

// current returns the given password, or the stored one.
func (s *nativeSource) current(ctx context.Context, read reader) (credential.Token, error) {
	password, err := readGiven(s.Deps, s.conf)
	if err == nil && password.IsZero() {
		if password, err = readStored(ctx, s.Deps, s.conf, s.conf.SecretAccount(), read); err != nil {
			err = s.missing(ctx, err)
		}
	}
	return credential.Token{Value: password}, err
}

// missing explains why there is no password. One that is stored for another host is named.
func (s *nativeSource) missing(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, context.Canceled) {
		return cause
	}
	missing := &NoSecretError{Host: s.conf.PGHostPort(), Role: s.conf.User.Value, Err: err}
	accounts, _ := s.Secrets.Accounts(ctx)
	for _, a := range accounts {
		if owner, ok := config.ParseAccount(a); ok && owner.Role == missing.Role && owner.Host != missing.Host {
			missing.Others = append(missing.Others, owner.Host)
		}
	}
	return missing
}
