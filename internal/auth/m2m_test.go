package auth

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

func withSecret() *fake {
	f := newFake()
	f.stored[config.SecretAccount("w.example", client)] = secretText
	return f
}

func TestM2M_NoSecret(t *testing.T) {
	f := withSecret()
	f.storedErr = errors.New("locked")
	_, err := token(t, f.chain(resolve(t, "DATABRICKS_CLIENT_SECRET", secretText, "host", "w.example", "DATABRICKS_HOST", "other.example")))
	var e *NoSecretError
	if !errors.As(err, &e) || e.Host != "w.example" || e.ClientID != client || !errors.Is(err, f.storedErr) || f.took() != "get" {
		t.Errorf("got %v", err)
	}
	if len(e.Notes) != 1 || e.Notes[0].Name != "DATABRICKS_CLIENT_SECRET" || strings.Contains(err.Error(), secretText) {
		t.Errorf("got %v, notes %v", err, e.Notes)
	}
}

// blockedSecrets is a keychain that shows a dialog until its caller has gone.
type blockedSecrets struct {
	*fake
	asked chan struct{}
}

func (s blockedSecrets) Get(ctx context.Context, _ string) (credential.Secret, error) {
	close(s.asked)
	<-ctx.Done()
	return credential.Secret{}, ctx.Err()
}

func TestM2M_KeychainTimeoutAndCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		secrets := blockedSecrets{f, make(chan struct{})}
		conf := resolve(t, "keychain-timeout", "50ms")
		begun := time.Now()
		_, err := token(t, NewChain(conf, Deps{Workspace: f, Secrets: secrets, Process: f, Locks: f, Observer: f}))
		if took := time.Since(begun); !errors.As(err, new(*NoSecretError)) || took != 50*time.Millisecond {
			t.Errorf("timeout: got %v after %s", err, took)
		}
		secrets.asked = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-secrets.asked; cancel() }()
		err = NewChain(conf, Deps{Workspace: f, Secrets: secrets, Process: f, Locks: f, Observer: f}).Do(ctx, func(s Source, _ Identity) error {
			_, err := s.Token(ctx)
			return err
		})
		if !errors.Is(err, context.Canceled) || errors.As(err, new(*NoSecretError)) {
			t.Errorf("cancelled: got %v", err)
		}
	})
}

func TestM2M_GivenSecret(t *testing.T) {
	f := newFake()
	if id, err := token(t, f.chain(resolve(t, "DATABRICKS_CLIENT_SECRET", "env-secret"))); err != nil || f.took() != "sign-in" || f.secret != "env-secret" || id.Given.Reveal() != "env-secret" {
		t.Errorf("from a variable: got %v, sent %q", err, f.secret)
	}
	// A file may be a pipe, so it is read once.
	conf := resolve(t, "client-secret-file", "/run/secrets/x")
	if id, err := token(t, f.chain(conf)); err != nil || f.took() != "file:/run/secrets/x sign-in" || id.Given.Reveal() != secretText {
		t.Errorf("from a file: got %v", err)
	}
	chain := f.chain(conf)
	if err := chain.Prepare(t.Context()); err != nil || f.took() != "file:/run/secrets/x" {
		t.Errorf("Prepare: got %v", err)
	}
	if _, err := token(t, chain); err != nil || f.took() != "sign-in" {
		t.Errorf("after Prepare: got %v", err)
	}
	if err := f.chain(resolve(t)).Prepare(t.Context()); err != nil || f.took() != "" {
		t.Errorf("Prepare of a stored secret: got %v", err)
	}
	f.fileErr = errors.New("boom")
	_, err := token(t, f.chain(conf))
	if !errors.As(err, new(*SecretFileError)) || !errors.Is(err, f.fileErr) || !strings.HasPrefix(err.Error(), "--client-secret-file: ") {
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
	if err := refreshed(t, chain); err != nil || f.took() != "read sign-in" || f.secret != "rotated" {
		t.Errorf("got %v, sent %q", err, f.secret)
	}
	f.storedErr = errors.New("locked")
	if err := refreshed(t, chain); err != nil || f.took() != "read sign-in" || f.secret != "rotated" {
		t.Errorf("locked: got %v, sent %q", err, f.secret)
	}
	// Without a secret that has worked there is none to use.
	if err := refreshed(t, f.chain(resolve(t))); !errors.As(err, new(*NoSecretError)) {
		t.Errorf("locked from the start: got %v", err)
	}
	f = newFake()
	chain = f.chain(resolve(t, "client-secret-file", "/x"))
	if _, err := token(t, chain); err != nil {
		t.Fatal(err)
	}
	f.took()
	if err := refreshed(t, chain); err != nil || f.took() != "file:/x sign-in" {
		t.Errorf("a file is not read again: %v", err)
	}
	f.fileErr = errors.New("gone")
	if err := refreshed(t, chain); err != nil || f.secret != secretText {
		t.Errorf("a file that is gone: got %v", err)
	}
}

// silentSecrets do not answer a Read.
type silentSecrets struct{ *fake }

func (silentSecrets) Read(ctx context.Context, _ string) (credential.Secret, error) {
	<-ctx.Done()
	return credential.Secret{}, ctx.Err()
}

// A keychain that does not answer leaves half of the time for the secret that worked last.
func TestM2M_RefreshSilentKeychain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := withSecret()
		chain := NewChain(resolve(t), Deps{Workspace: f, Secrets: silentSecrets{f}, Process: f, Locks: f, Observer: f})
		if _, err := token(t, chain); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := chain.Do(ctx, func(s Source, _ Identity) error {
			_, err := s.Refresh(ctx, credential.Secret{})
			return err
		})
		if took := time.Since(begun); err != nil || f.secret != secretText || took != 1500*time.Millisecond {
			t.Errorf("got %v after %s, want a token after 1.5s", err, took)
		}
	})
}

func TestM2M_Check(t *testing.T) {
	check := func(f *fake, conf config.Config) error {
		return f.chain(conf).Do(t.Context(), func(s Source, _ Identity) error { return s.Check(t.Context()) })
	}
	if f := withSecret(); check(f, resolve(t)) != nil || f.took() != "get" {
		t.Error("a stored secret is not found")
	}
	if err := check(newFake(), resolve(t)); !errors.As(err, new(*NoSecretError)) {
		t.Errorf("got %v", err)
	}
}

// An account's host is asked for its token endpoint first; a workspace's only if it
// answers like a host without one.
func TestDiscovery(t *testing.T) {
	secret := func(host string) []string {
		return []string{"DATABRICKS_HOST", host, "DATABRICKS_CLIENT_SECRET", secretText}
	}
	notJSON := func(n int) error {
		if n == 1 {
			return &exchange.Error{Kind: exchange.KindNotJSON, Status: 200}
		}
		return nil
	}
	for name, c := range map[string]struct {
		host     string
		endpoint string
		signIn   func(int) error
		docErr   error
		want     string
		kind     exchange.Kind
	}{
		"workspace":            {host: "w.example/?o=12", want: "sign-in"},
		"account":              {host: "accounts.example/?a=7f2d9c1e-5b34-4c0a-9a51-0c6f3b8e2d11", want: "discover sign-in"},
		"moved endpoint":       {host: "w.example", endpoint: "https://w.example/oidc/accounts/7/v1/token", signIn: notJSON, want: "sign-in discover sign-in"},
		"HTML":                 {host: "w.example", endpoint: "https://w.example/oidc/v1/token", signIn: notJSON, want: "sign-in discover", kind: exchange.KindNotJSON},
		"foreign endpoint":     {host: "accounts.example", docErr: &exchange.Error{Kind: exchange.KindForeignHost}, want: "discover", kind: exchange.KindForeignHost},
		"account, no document": {host: "accounts.example", docErr: &exchange.Error{Kind: exchange.KindRefused, Status: 404}, want: "discover sign-in"},
	} {
		f := newFake()
		f.doc.TokenEndpoint, f.signInErr, f.docErr = c.endpoint, c.signIn, c.docErr
		_, err := token(t, f.chain(resolve(t, secret(c.host)...)))
		var e *exchange.Error
		if got := f.took(); got != c.want || (c.kind == "") != (err == nil) || c.kind != "" && (!errors.As(err, &e) || e.Kind != c.kind) {
			t.Errorf("%s: got %v: %s; want %s", name, err, got, c.want)
		}
	}
}
