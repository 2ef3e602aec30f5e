package auth

import (
	"context"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// AuthEnvOIDC is a workload whose token is in an environment variable.
const AuthEnvOIDC = "env-oidc"

type envOIDC struct{ Deps }

func (envOIDC) Name() string { return AuthEnvOIDC }

func (s envOIDC) Configure(_ context.Context, conf config.Config) (Source, Identity, error) {
	if conf.Auth.Value != AuthEnvOIDC {
		return nil, Identity{}, ErrNotConfigured
	}
	token := conf.Secret.Text
	return s.workload(conf, AuthEnvOIDC, token, func(context.Context, *discovery) (credential.Secret, error) { return token, nil })
}
