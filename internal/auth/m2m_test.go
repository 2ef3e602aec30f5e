package auth

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

func TestM2M_NoSecret(t *testing.T) {
	f, locked := withSecret(), errors.New("locked")
	f.refuse("get", locked)
	_, err := token(t, f.chain(resolve(t, "DATABRICKS_CLIENT_SECRET", secretText, "host", "w.example", "DATABRICKS_HOST", "other.example")))
	e, ok := errors.AsType[*NoSecretError](err)
	if !ok || e.Host != "w.example" || e.ClientID != client || !errors.Is(err, locked) || !errors.Is(err, ErrNotConfigured) || f.took() != "get" {
		t.Fatalf("got %v", err)
	}
	if strings.Contains(err.Error(), secretText) {
		t.Errorf("got %v, with a secret", err)
	}
	if err := check(t, f.chain(resolve(t))); !errors.As(err, new(*NoSecretError)) {
		t.Errorf("Check: got %v", err)
	}
	f = withSecret()
	f.stored[config.SecretAccount("w.example", client)] += "\n"
	if _, err := token(t, f.chain(resolve(t))); !errors.As(err, new(*NoSecretError)) || f.took() != "get" {
		t.Errorf("a stored secret with a line break: got %v", err)
	}
}

func TestM2M_SilentKeychain(t *testing.T) {
	silent := func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.fail["get"] = silent
		begun := time.Now()
		_, err := token(t, f.chain(resolve(t, "keychain-timeout", "50ms")))
		if took := time.Since(begun); !errors.As(err, new(*NoSecretError)) || took != 50*time.Millisecond {
			t.Errorf("timeout: got %v after %s", err, took)
		}
		// Half of a refresh's time is left for the secret that worked last.
		f = withSecret()
		chain := f.chain(resolve(t))
		if _, err := token(t, chain); err != nil {
			t.Fatal(err)
		}
		f.fail["read"] = silent
		begun = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := refreshed(ctx, chain); err != nil || f.secret != secretText || time.Since(begun) != 1500*time.Millisecond {
			t.Errorf("refresh: got %v after %s, want a token after 1.5s", err, time.Since(begun))
		}
	})
}

func TestM2M_GivenSecret(t *testing.T) {
	f := newFake()
	if id, err := token(t, f.chain(resolve(t, "DATABRICKS_CLIENT_SECRET", "env-secret"))); err != nil || f.took() != "sign-in" || f.secret != "env-secret" || id.Given.Reveal() != "env-secret" {
		t.Errorf("from a variable: got %v, sent %q", err, f.secret)
	}
	conf := resolve(t, "client-secret-file", "/run/secrets/x")
	chain := f.chain(conf)
	if id, err := token(t, chain); err != nil || f.took() != "file:/run/secrets/x file:/run/secrets/x sign-in" || id.Given.Reveal() != secretText {
		t.Errorf("from a file: got %v", err)
	}
	// A refresh reads it again; one that is gone is not needed.
	if err := refreshed(t.Context(), chain); err != nil || f.took() != "file:/run/secrets/x sign-in" {
		t.Errorf("refresh: got %v", err)
	}
	boom := errors.New("boom")
	f.refuse("file", boom)
	if err := refreshed(t.Context(), chain); err != nil || f.secret != secretText {
		t.Errorf("refresh without the file: got %v", err)
	}
	_, err := token(t, f.chain(conf))
	if !errors.As(err, new(*config.Error)) || !errors.Is(err, boom) || !strings.HasPrefix(err.Error(), "--client-secret-file: ") {
		t.Errorf("from a bad file: got %v", err)
	}
}

func TestM2M_Refresh(t *testing.T) {
	f := withSecret()
	chain := f.chain(resolve(t))
	if _, err := token(t, chain); err != nil || f.took() != "get sign-in" {
		t.Fatal(err)
	}
	// No dialog is shown, and a rotated secret is used.
	f.stored[config.SecretAccount("w.example", client)] = "rotated"
	if err := refreshed(t.Context(), chain); err != nil || f.took() != "read sign-in" || f.secret != "rotated" {
		t.Errorf("got %v, sent %q", err, f.secret)
	}
	f.refuse("read", errors.New("locked"))
	if err := refreshed(t.Context(), chain); err != nil || f.took() != "read sign-in" || f.secret != "rotated" {
		t.Errorf("locked: got %v, sent %q", err, f.secret)
	}
	// Without a secret that has worked there is none to use.
	if err := refreshed(t.Context(), f.chain(resolve(t))); !errors.As(err, new(*NoSecretError)) {
		t.Errorf("locked from the start: got %v", err)
	}
}

// An account's host is asked for its token endpoint first; a workspace's only if it
// answers like a host without one.
func TestDiscovery(t *testing.T) {
	notJSON := func(_ context.Context, n int) error {
		if n == 1 {
			return &exchange.Error{Kind: exchange.KindNotJSON, Status: 200}
		}
		return nil
	}
	foreign, missing := &exchange.Error{Kind: exchange.KindForeignHost}, &exchange.Error{Kind: exchange.KindRefused, Status: 404}
	for name, c := range map[string]struct {
		host     string
		endpoint string
		signIn   func(context.Context, int) error
		docErr   *exchange.Error
		want     string
		kind     exchange.Kind
	}{
		"workspace":            {host: "w.example/?o=12", want: "sign-in"},
		"account":              {host: "accounts.example/?a=7f2d9c1e-5b34-4c0a-9a51-0c6f3b8e2d11", want: "discover sign-in"},
		"moved endpoint":       {host: "w.example", endpoint: "https://w.example/oidc/accounts/7/v1/token", signIn: notJSON, want: "sign-in discover sign-in"},
		"HTML":                 {host: "w.example", endpoint: "https://w.example/oidc/v1/token", signIn: notJSON, want: "sign-in discover", kind: exchange.KindNotJSON},
		"foreign endpoint":     {host: "accounts.example", docErr: foreign, want: "discover", kind: exchange.KindForeignHost},
		"account, no document": {host: "accounts.example", docErr: missing, want: "discover sign-in"},
	} {
		f := newFake()
		f.doc.TokenEndpoint, f.fail["sign-in"] = c.endpoint, c.signIn
		if c.docErr != nil {
			f.refuse("discover", c.docErr)
		}
		_, err := token(t, f.chain(resolve(t, "DATABRICKS_HOST", c.host, "DATABRICKS_CLIENT_SECRET", secretText)))
		e, _ := errors.AsType[*exchange.Error](err)
		if got := f.took(); got != c.want || (c.kind == "") != (err == nil) || c.kind != "" && (e == nil || e.Kind != c.kind) {
			t.Errorf("%s: got %v: %s; want %s", name, err, got, c.want)
		}
	}
}
