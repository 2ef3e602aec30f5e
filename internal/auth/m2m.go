package auth

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// AuthM2M is a service principal with a client ID and a secret (OAuth client
// credentials).
const AuthM2M = config.AuthM2M

func configureM2M(_ context.Context, e *env) (Source, Identity, error) {
	if e.conf.ClientID.Value == "" {
		return nil, Identity{}, ErrNotConfigured
	}
	given, err := e.givenSecret()
	return &m2mSource{env: e}, Identity{Given: given}, err
}

type m2mSource struct {
	*env
	proven atomic.Pointer[credential.Secret] // the last one that signed in
}

func (s *m2mSource) Token(ctx context.Context) (credential.Token, error) {
	secret, err := s.secret(ctx, s.Secrets.Get)
	if err != nil {
		return credential.Token{}, err
	}
	return s.signIn(ctx, secret)
}

// Refresh shows no dialog. If the secret cannot be read within half of the time, the one
// that worked last is used.
func (s *m2mSource) Refresh(ctx context.Context, _ credential.Secret) (credential.Token, error) {
	proven := s.proven.Load()
	reading, cancel := ctx, context.CancelFunc(func() {})
	if deadline, ok := ctx.Deadline(); ok && proven != nil {
		reading, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
	}
	secret, err := s.secret(reading, s.Secrets.Read)
	cancel()
	if err != nil && proven == nil {
		return credential.Token{}, err
	}
	if err != nil {
		s.Observer.Note("using the secret that worked last: " + err.Error())
		secret = *proven
	}
	return s.signIn(ctx, secret)
}

func (s *m2mSource) Check(ctx context.Context) error {
	_, err := s.secret(ctx, s.Secrets.Get)
	return err
}

func (s *m2mSource) signIn(ctx context.Context, secret credential.Secret) (credential.Token, error) {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	token, err := withTokenEndpoint(ctx, s.env, func(ctx context.Context) (credential.Token, error) {
		return s.Workspace.WorkspaceToken(ctx, s.conf.ClientID.Value, secret)
	})
	if err == nil {
		s.proven.Store(&secret)
	}
	return token, err
}
