package auth

import (
	"context"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// AuthPAT is a personal access token.
const AuthPAT = config.AuthPAT

type pat struct{}

func (pat) Name() string { return AuthPAT }

func (pat) Configure(_ context.Context, conf config.Config) (Source, Identity, error) {
	if conf.Auth.Value != AuthPAT {
		return nil, Identity{}, ErrNotConfigured
	}
	token := conf.Secret.Text
	// How long it lives is not known.
	source := func(context.Context) (credential.Token, error) {
		now := time.Now().UTC()
		return credential.Token{Value: token, MintedAt: now, ExpiresAt: now.Add(credential.MaxLife)}, nil
	}
	return sourceFunc(source), Identity{Type: AuthPAT, Principal: unnamed(conf), User: conf.User.Value, Given: token}, nil
}
