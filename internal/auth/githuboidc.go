package auth

import (
	"context"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// AuthGitHubOIDC is a job of GitHub Actions, which issues a token for it. It is also
// used unasked, if a service principal has no stored secret.
const AuthGitHubOIDC = "github-oidc"

type githubOIDC struct{ Deps }

func (githubOIDC) Name() string { return AuthGitHubOIDC }

func (s githubOIDC) Configure(_ context.Context, conf config.Config) (Source, Identity, error) {
	if conf.GitHub == nil || conf.ClientID.Value == "" {
		return nil, Identity{}, ErrNotConfigured
	}
	if conf.Auth.Value == "" {
		if !conf.WorkloadHost() {
			s.Observer.Note("GitHub's token is not used: " + conf.Workspace.Value.HostPort() + " is in no Databricks domain, and --host was not given")
			return nil, Identity{}, ErrNotConfigured
		}
		s.Observer.Note("no secret is stored; using GitHub's token")
	}
	return s.workload(conf, AuthGitHubOIDC, credential.Secret{}, func(ctx context.Context, d *discovery) (credential.Secret, error) {
		audience, err := s.audience(ctx, conf, d)
		if err != nil {
			return credential.Secret{}, err
		}
		return exchange.Retry(ctx, func(ctx context.Context) (credential.Secret, error) {
			return s.Process.GitHubToken(ctx, *conf.GitHub, audience)
		})
	})
}

// audience returns the configured audience, or the one that the host's discovery
// document names.
func (s githubOIDC) audience(ctx context.Context, conf config.Config, d *discovery) (string, error) {
	if a := conf.Audience.Value; a != "" {
		return a, nil
	}
	found, err := d.ask(ctx)
	if err != nil {
		return "", err
	}
	return s.Workspace.Audience(found)
}
