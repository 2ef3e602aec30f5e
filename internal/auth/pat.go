package auth

import (
	"context"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// AuthPAT is a personal access token.
const AuthPAT = config.AuthPAT

func configurePAT(_ context.Context, e *env) (Source, Identity, error) {
	token := e.conf.Secret.Text
	// How long it lives is not known.
	source := func(context.Context) (credential.Token, error) {
		now := time.Now().UTC()
		return credential.Token{Value: token, MintedAt: now, ExpiresAt: now.Add(credential.MaxLife)}, nil
	}
	return sourceFunc(source), Identity{Given: token}, nil
}
