package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// The ways in which a workload gets its own token, which is exchanged for one of the
// workspace (RFC 8693).
const (
	// AuthEnvOIDC is a token in an environment variable.
	AuthEnvOIDC = "env-oidc"
	// AuthFileOIDC is a token in a file. The platform replaces it from time to time, so
	// it is read for each sign-in.
	AuthFileOIDC = "file-oidc"
	// AuthGitHubOIDC is a job of GitHub Actions, which issues a token for it. It is also
	// used unasked, if a service principal has no stored secret.
	AuthGitHubOIDC = "github-oidc"
)

func configureEnvOIDC(_ context.Context, e *env) (Source, Identity, error) {
	token := e.conf.Secret.Text
	source := e.workload(func(context.Context) (credential.Secret, error) { return token, nil })
	return source, Identity{Given: token}, nil
}

func configureFileOIDC(_ context.Context, e *env) (Source, Identity, error) {
	source := e.workload(func(context.Context) (credential.Secret, error) { return readTokenFile(e.conf.Secret) })
	return source, Identity{}, nil
}

// maxTokenFile bounds the file of a workload's token, in bytes.
const maxTokenFile = 64 << 10

// readTokenFile reads a token that a platform has put into a file, such as
// Kubernetes' projected one. Its owner and mode are the platform's business.
func readTokenFile(from config.SecretSource) (token credential.Secret, err error) {
	data, err := securefile.ReadRegular(from.Path, maxTokenFile)
	if err == nil {
		if token, err = credential.ParseSecret(string(data)); err != nil {
			err = fmt.Errorf("%s: it %w", from.Path, err)
		}
	}
	if err != nil {
		return credential.Secret{}, &SourceError{Problem: from.Source.String() + ": " + err.Error(),
			Fix: "name a file that contains the workload's token and nothing else", Err: err}
	}
	return token, nil
}

func configureGitHubOIDC(_ context.Context, e *env) (Source, Identity, error) {
	if e.conf.GitHub == nil || e.conf.ClientID.Value == "" {
		return nil, Identity{}, ErrNotConfigured
	}
	if e.conf.Auth.Value == "" {
		if !e.conf.WorkloadHost() {
			e.Observer.Note("GitHub's token is not used: " + e.conf.Workspace.Value.HostPort() +
				" is in no Databricks domain, and --host was not given")
			return nil, Identity{}, ErrNotConfigured
		}
		e.Observer.Note("no secret is stored; using GitHub's token")
	}
	return e.workload(e.githubToken), Identity{}, nil
}

func (e *env) githubToken(ctx context.Context) (credential.Secret, error) {
	audience := e.conf.AuthOption("audience").Value
	if audience == "" {
		found, _, err := e.discover(ctx)
		if err == nil {
			audience, err = e.Workspace.Audience(found)
		}
		if err != nil {
			return credential.Secret{}, err
		}
	}
	return exchange.Retry(ctx, func(ctx context.Context) (credential.Secret, error) {
		return e.Workspace.GitHubToken(ctx, e.conf.GitHub.URL, e.conf.GitHub.Token, audience)
	})
}

// workload returns the source that exchanges a workload's token (RFC 8693). subjectOf
// returns that token as it is now.
func (e *env) workload(subjectOf func(context.Context) (credential.Secret, error)) Source {
	return sourceFunc(func(ctx context.Context) (credential.Token, error) {
		if host := e.conf.Workspace; !e.conf.WorkloadHost() {
			return credential.Token{}, &config.Error{Name: host.Source.String(), Fix: "if it is right, give it with --host",
				Problem: host.Value.HostPort() + " is in no Databricks domain, and a workload's token is not sent to it"}
		}
		ctx, cancel := e.withTimeout(ctx)
		defer cancel()
		subject, err := subjectOf(ctx)
		if err != nil {
			return credential.Token{}, err
		}
		token, err := withTokenEndpoint(ctx, e, func(ctx context.Context) (credential.Token, error) {
			return e.Workspace.FederatedToken(ctx, e.conf.ClientID.Value, subject)
		})
		if exchange.IsKind(err, exchange.KindFederationRefused) {
			err = &FederationError{Claims: claimsOf(subject), Err: err}
		}
		return token, err
	})
}

// Claims are what a workload's token says about itself. They are not verified.
type Claims struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience json.RawMessage `json:"aud"` // a string or several
}

// claimsOf returns the claims of a JWT (RFC 7519, 4.1) for people to compare with a
// federation policy. Other texts have none.
func claimsOf(token credential.Secret) Claims {
	c := Claims{Audience: json.RawMessage(`""`)}
	if parts := strings.Split(token.Reveal(), "."); len(parts) == 3 {
		text, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(text, &c)
	}
	return c
}
