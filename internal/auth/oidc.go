package auth

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

// oidcSource exchanges a workload's own token (RFC 8693). subject returns that token
// as it is now.
type oidcSource struct {
	Deps
	conf      config.Config
	discovery *discovery
	subject   func(ctx context.Context, d *discovery) (credential.Secret, error)
}

// workload is configured with what is common to the ways of a workload.
func (d Deps) workload(conf config.Config, name string, given credential.Secret, subject func(context.Context, *discovery) (credential.Secret, error)) (Source, Identity, error) {
	id := Identity{Type: name, Principal: conf.ClientID.Value, User: conf.User.Value, Given: given}
	return &oidcSource{Deps: d, conf: conf, discovery: newDiscovery(d, conf), subject: subject}, id, nil
}

func (s *oidcSource) Token(ctx context.Context) (credential.Token, error) {
	if !s.conf.WorkloadHost() {
		host := s.conf.Workspace
		return credential.Token{}, &config.Error{Name: host.Source.String(), Problem: host.Value.HostPort() + " is in no Databricks domain, and a workload's token is not sent to it",
			Fix: "if it is right, give it with --host"}
	}
	ctx, cancel := signInContext(ctx, s.Deps, s.conf)
	defer cancel()
	subject, err := s.subject(ctx, s.discovery)
	if err != nil {
		return credential.Token{}, err
	}
	token, err := withTokenEndpoint(ctx, s.discovery, func(ctx context.Context) (credential.Token, error) {
		return s.Workspace.FederatedToken(ctx, s.conf.ClientID.Value, subject)
	})
	var e *exchange.Error
	if errors.As(err, &e) && e.Kind == exchange.KindFederationRefused {
		return credential.Token{}, &FederationError{Claims: claimsOf(subject), Err: err}
	}
	return token, err
}

func (s *oidcSource) Refresh(ctx context.Context, _ credential.Secret) (credential.Token, error) {
	return s.Token(ctx)
}

func (s *oidcSource) Check(context.Context) error { return nil }

// Claims are what a workload's token says about itself. They are not verified.
type Claims struct{ Issuer, Subject, Audience string }

// claimsOf returns the claims of a JWT (RFC 7519, 4.1) for people to compare with a
// federation policy. They are not verified. Other texts have none.
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
