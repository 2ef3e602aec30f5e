package broker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// federated trades a workload's token for a workspace token. It is read anew each
// time; one that was given is in the environment, which does not change.
func (b *Broker) federated(ctx context.Context, subject credential.Secret) (credential.Token, error) {
	if !b.Config.WorkloadHost() {
		return credential.Token{}, &config.Error{Name: b.Config.Workspace.Source.String(), Problem: b.Config.Workspace.Value.HostPort() + " is in no Databricks domain, and a workload's token is not sent to it",
			Fix: "if it is right, give it with --host"}
	}
	if subject.IsZero() {
		audience, err := b.audience(ctx)
		if err != nil {
			return credential.Token{}, err
		}
		subject, err = attempt(ctx, func(ctx context.Context) (credential.Secret, error) { return b.WorkloadToken(ctx, audience) })
		if err != nil {
			return credential.Token{}, err
		}
	}
	token, err := attempt(ctx, func(ctx context.Context) (credential.Token, error) {
		return b.Federation.FederatedToken(ctx, b.Config.ClientID.Value, subject)
	})
	var e *exchange.Error
	if errors.As(err, &e) && e.Kind == exchange.KindFederationRefused {
		return credential.Token{}, &FederationError{Claims: claimsOf(subject), Err: err}
	}
	return token, err
}

// audience is whom a token of GitHub's is for: the configured one, or what the
// host's discovery document names.
func (b *Broker) audience(ctx context.Context) (string, error) {
	c := b.Config
	if c.Auth.Value != credential.AuthGitHubOIDC || c.Audience.Value != "" {
		return c.Audience.Value, nil
	}
	if err := b.discover(ctx, true); err != nil {
		return "", err
	}
	return b.Federation.Audience(b.found)
}

// claimsOf reads what a JWT says of itself (RFC 7519, 4.1). Nothing is checked:
// it is for a person who compares it with a federation policy. A text that is no
// JWT has no claims.
func claimsOf(token credential.Secret) Claims {
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 {
		return Claims{}
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Claims{}
	}
	var c struct {
		Iss string `json:"iss"`
		Sub string `json:"sub"`
		Aud any    `json:"aud"`
	}
	if json.Unmarshal(text, &c) != nil {
		return Claims{}
	}
	out := Claims{Issuer: c.Iss, Subject: c.Sub}
	switch aud := c.Aud.(type) {
	case string:
		out.Audience = aud
	case []any:
		var all []string
		for _, a := range aud {
			if s, ok := a.(string); ok {
				all = append(all, s)
			}
		}
		out.Audience = strings.Join(all, " ")
	}
	return out
}
