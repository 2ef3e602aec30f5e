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

// subjectFunc returns a workload's own token as it is now.
type subjectFunc func(ctx context.Context, d *discovery) (credential.Secret, error)

// workload returns the source that exchanges a workload's token (RFC 8693).
func (d Deps) workload(conf config.Config, name string, given credential.Secret, subject subjectFunc) (Source, Identity, error) {
	endpoint := newDiscovery(d, conf)
	source := func(ctx context.Context) (credential.Token, error) { return d.federate(ctx, conf, endpoint, subject) }
	return sourceFunc(source), Identity{Type: name, Principal: conf.ClientID.Value, User: conf.User.Value, Given: given}, nil
}

func (d Deps) federate(ctx context.Context, conf config.Config, endpoint *discovery, subjectOf subjectFunc) (credential.Token, error) {
	if !conf.WorkloadHost() {
		host := conf.Workspace
		return credential.Token{}, &config.Error{Name: host.Source.String(), Problem: host.Value.HostPort() + " is in no Databricks domain, and a workload's token is not sent to it",
			Fix: "if it is right, give it with --host"}
	}
	ctx, cancel := signInContext(ctx, d, conf)
	defer cancel()
	subject, err := subjectOf(ctx, endpoint)
	if err != nil {
		return credential.Token{}, err
	}
	token, err := withTokenEndpoint(ctx, endpoint, func(ctx context.Context) (credential.Token, error) {
		return d.Workspace.FederatedToken(ctx, conf.ClientID.Value, subject)
	})
	var e *exchange.Error
	if errors.As(err, &e) && e.Kind == exchange.KindFederationRefused {
		return credential.Token{}, &FederationError{Claims: claimsOf(subject), Err: err}
	}
	return token, err
}

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
