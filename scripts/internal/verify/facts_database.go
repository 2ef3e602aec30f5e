package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// withHost is for facts that need to know where the database is.
func withHost(see func(ctx context.Context, r *road) (string, verdict)) func(context.Context, *road) (string, verdict) {
	return func(ctx context.Context, r *road) (string, verdict) {
		if r.host() == "" {
			return "the database's host is not known", unseen
		}
		return see(ctx, r)
	}
}

var tlsFacts = []fact{
	{"the database's certificate stands before the system's roots (verify-full)", withHost(func(ctx context.Context, r *road) (string, verdict) {
		seen, err := r.handshake(ctx, nil)
		var wrong *tls.CertificateVerificationError
		if errors.As(err, &wrong) {
			return err.Error(), fails
		}
		if err != nil {
			return lost(err)
		}
		return seen, holds
	})},
	{"the database asks for the password in clear, inside TLS", withHost(func(ctx context.Context, r *road) (string, verdict) {
		seen, err := r.start(ctx, &tls.Config{ServerName: r.host(), RootCAs: r.roots, MinVersion: tls.VersionTLS12})
		if err != nil {
			return lost(err)
		}
		return seen, is(seen == askedClear)
	})},
	{"without TLS the database refuses the start-up message", withHost(func(ctx context.Context, r *road) (string, verdict) {
		seen, err := r.start(ctx, nil)
		if err != nil {
			return closed(err)
		}
		return seen, is(seen != askedClear)
	})},
	{"without a host name in TLS (SNI) the database refuses the start-up message", withHost(func(ctx context.Context, r *road) (string, verdict) {
		// Nothing secret goes out, so that whoever answers may.
		seen, err := r.start(ctx, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
		if err != nil {
			return closed(err)
		}
		return seen, is(seen != askedClear)
	})},
}

// closed is the verdict on a connection that a server is to end.
func closed(err error) (string, verdict) {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return lost(err)
	}
	return "closed: " + err.Error(), holds
}

// withToken is for facts that need a database token.
func withToken(see func(ctx context.Context, r *road) (string, verdict)) func(context.Context, *road) (string, verdict) {
	return withHost(func(ctx context.Context, r *road) (string, verdict) {
		if r.token.IsZero() {
			return "there is no database token", unseen
		}
		return see(ctx, r)
	})
}

// refusedWith is the verdict on a login that is to fail with some words; none:
// with any.
func refusedWith(ctx context.Context, r *road, host string, password credential.Secret, words ...string) (string, verdict) {
	r.hide(password)
	who, err := r.login(ctx, host, password, "prefer")
	if err == nil {
		return "logged in as " + who, fails
	}
	for _, w := range words {
		if !strings.Contains(strings.ToLower(err.Error()), w) {
			return err.Error(), fails
		}
	}
	return err.Error(), holds
}

var loginFacts = []fact{
	{"the credential logs in, as the client id", withToken(func(ctx context.Context, r *road) (string, verdict) {
		who, err := r.login(ctx, r.host(), r.token, "prefer")
		if err != nil {
			return err.Error(), fails
		}
		name, _, _ := strings.Cut(who, " at ")
		return who, is(name == r.conf.ClientID.Value)
	})},
	{"channel binding cannot be had", withToken(func(ctx context.Context, r *road) (string, verdict) {
		who, err := r.login(ctx, r.host(), r.token, "require")
		if err == nil {
			return "logged in as " + who, fails
		}
		return err.Error(), is(strings.Contains(err.Error(), "channel binding"))
	})},
	{"a workspace token as the password is refused", withToken(func(ctx context.Context, r *road) (string, verdict) {
		return refusedWith(ctx, r, r.host(), r.bearer)
	})},
	{"a personal access token as the password is refused", withToken(func(ctx context.Context, r *road) (string, verdict) {
		pat := r.environ["DATABRICKS_TOKEN"]
		if pat == "" {
			return "DATABRICKS_TOKEN is not set", unseen
		}
		return refusedWith(ctx, r, r.host(), credential.NewSecret(pat))
	})},
	{"a password that is no JWT is told as that", withToken(func(ctx context.Context, r *road) (string, verdict) {
		return refusedWith(ctx, r, r.host(), credential.NewSecret("not-a-token"), "not a valid jwt encoding")
	})},
	{"a token whose signature is wrong is refused", withToken(func(ctx context.Context, r *road) (string, verdict) {
		text := []byte(r.token.Reveal())
		at := strings.LastIndexByte(string(text), '.') + 10 // inside the signature
		if at < 10 || at >= len(text) {
			return "the token is no JWT", unseen
		}
		if text[at] == 'A' {
			text[at] = 'B'
		} else {
			text[at] = 'A'
		}
		return refusedWith(ctx, r, r.host(), credential.NewSecret(string(text)))
	})},
	{"the pooled host refuses a token", withToken(func(ctx context.Context, r *road) (string, verdict) {
		pooled := r.endpoint.Status.Hosts.Pooled
		if pooled == "" {
			return "the endpoint tells none", unseen
		}
		return refusedWith(ctx, r, pooled, r.token)
	})},
	{"a token that has ended is told as expired", withToken(func(ctx context.Context, r *road) (string, verdict) {
		if r.short.IsZero() {
			return "give --patient", unseen
		}
		select {
		case <-ctx.Done():
			return ctx.Err().Error(), unseen
		case <-time.After(time.Until(r.shortEnds) + 10*time.Second):
		}
		return refusedWith(ctx, r, r.host(), r.short, "expired")
	})},
}
