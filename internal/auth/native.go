package auth

import (
	"context"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// AuthNative is a Postgres role with a password, which signs in to a database and to no
// workspace.
const AuthNative = config.AuthNative

func configureNative(_ context.Context, e *env) (Source, Identity, error) {
	return &nativeSource{e}, Identity{Principal: e.conf.SecretAccount()}, nil
}

// nativeSource supplies the password as a token that does not expire.
type nativeSource struct{ *env }

func (s *nativeSource) Token(ctx context.Context) (credential.Token, error) {
	password, err := s.secret(ctx, s.Secrets.Get)
	return credential.Token{Value: password}, err
}

// Refresh reads the password again, as it may have been changed.
func (s *nativeSource) Refresh(ctx context.Context, rejected credential.Secret) (credential.Token, error) {
	password, err := s.secret(ctx, s.Secrets.Read)
	if err == nil && password.Equal(rejected) {
		err = &SourceError{Problem: "the password is still the one that the database has refused", Fix: "store the role's new password"}
	}
	return credential.Token{Value: password}, err
}

func (s *nativeSource) Check(ctx context.Context) error {
	_, err := s.Token(ctx)
	return err
}
