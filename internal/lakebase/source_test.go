package lakebase

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// The endpoint and the credential are requested concurrently: each waits here until
// the other one has come.
func TestToken_HostIsAskedConcurrently(t *testing.T) {
	f := newFake()
	here := make(chan struct{})
	f.credError = func(ctx context.Context, _ int) error {
		select {
		case here <- struct{}{}:
			return nil
		case <-ctx.Done():
			return errors.New("the credential was requested alone")
		}
	}
	f.endError = func(ctx context.Context, _ int) error {
		select {
		case <-here:
			return nil
		case <-ctx.Done():
			return errors.New("the endpoint was requested alone")
		}
	}
	s, err := f.open(t.Context(), resolve(t, "timeout", "3s"))
	if err != nil || s.Target.Host != ownHost {
		t.Fatalf("got %+v, %v", s, err)
	}
	f.took()
	s, err = f.open(t.Context(), resolve(t))
	if got := f.took(); err != nil || s.Target.Host != ownHost || got != "" {
		t.Errorf("the host is not remembered: %+v, %v: %s", s, err, got)
	}
}

func TestToken_RefusalIsNotRetried(t *testing.T) {
	for _, k := range []exchange.Kind{exchange.KindInvalidClient, exchange.KindEntitlement, exchange.KindCertificate, exchange.KindRedirect} {
		f := newFake()
		f.signIn = func(int) error { return &exchange.Error{Kind: k} }
		_, err := f.open(t.Context(), resolve(t))
		var e *exchange.Error
		if got := f.took(); !errors.As(err, &e) || e.Kind != k || got != "keychain sign-in" {
			t.Errorf("%s: got %v: %s", k, err, got)
		}
	}
	f := newFake()
	f.credError = func(context.Context, int) error {
		return &exchange.Error{Kind: exchange.KindPermissionDenied, Message: "no"}
	}
	f.endError = func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() } // is cancelled
	_, err := f.open(t.Context(), resolve(t))
	var e *exchange.Error
	if !errors.As(err, &e) || e.Kind != exchange.KindPermissionDenied || strings.Count(f.took(), "credential") != 1 {
		t.Errorf("got %v, want the refusal after one request", err)
	}
	odd := errors.New("odd")
	f = newFake()
	f.credError = func(context.Context, int) error { return odd }
	if _, err := f.open(t.Context(), resolve(t, "PGHOST", ownHost)); !errors.Is(err, odd) || f.took() != "keychain sign-in credential" {
		t.Errorf("an unknown error: got %v", err)
	}
}

func TestToken_UnavailableIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		twice := func(_ context.Context, n int) error {
			if n < 3 {
				return unavailable()
			}
			return nil
		}
		f := newFake()
		f.signIn = func(n int) error { return twice(t.Context(), n) }
		f.credError, f.endError = twice, twice
		s, err := f.open(t.Context(), resolve(t))
		got := f.took()
		if err != nil || s.Target.Host != ownHost || strings.Count(got, "sign-in") != 3 || strings.Count(got, "credential") != 3 || strings.Count(got, "endpoint") != 3 {
			t.Errorf("got %v: %s", err, got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.signIn = func(int) error { return unavailable() }
		begun := time.Now()
		_, err := f.open(t.Context(), resolve(t, "timeout", "20s"))
		var tried *retry.Error
		if !errors.As(err, &tried) || tried.Attempts < 4 || time.Since(begun) > 20*time.Second {
			t.Errorf("got %v after %s", err, time.Since(begun))
		}
	})
}

func TestToken_GivenSecret(t *testing.T) {
	f := newFake()
	first := resolve(t, "PGHOST", ownHost, "DATABRICKS_CLIENT_SECRET", "env-secret-1")
	for _, want := range []string{"sign-in credential login:token-1", ""} {
		if _, err := f.open(t.Context(), first); err != nil || f.took() != want {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	// A token that was minted with another secret is not used.
	if s, err := f.open(t.Context(), resolve(t, "PGHOST", ownHost, "DATABRICKS_CLIENT_SECRET", "env-secret-2")); err != nil || s.Cached {
		t.Errorf("another secret: got %+v, %v", s, err)
	}
}

func TestRefresh_IsAnotherToken(t *testing.T) {
	f := newFake()
	s := f.source(resolve(t))
	first, err := s.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.took()
	next, err := s.Refresh(t.Context(), first.Value)
	if got := f.took(); err != nil || next.Value.Equal(first.Value) || !strings.HasPrefix(got, "keychain sign-in ") {
		t.Errorf("got %v: %s", err, got)
	}
	// One that another process has minted meanwhile is used.
	again, err := f.source(resolve(t)).Refresh(t.Context(), first.Value)
	if got := f.took(); err != nil || !again.Value.Equal(next.Value) || got != "" {
		t.Errorf("got %v: %s", err, got)
	}
}

func TestRefresh_WantsHalfOfALife(t *testing.T) {
	for left, want := range map[time.Duration]string{31 * time.Minute: "cached", 29 * time.Minute: "token-1"} {
		c := resolve(t)
		s := newFake().source(c)
		now := time.Now()
		cached := newToken("cached")
		cached.MintedAt, cached.ExpiresAt = now.Add(left-time.Hour), now.Add(left)
		s.cache.Save(t.Context(), auth.KnownIdentity(c).Key(c), tokencache.Entry{Token: cached, DatabaseHost: ownHost})
		got, err := s.Refresh(t.Context(), credential.NewSecret("another"))
		if err != nil || got.Value.Reveal() != want {
			t.Errorf("with %s left: got %q, %v; want %q", left, got.Value.Reveal(), err, want)
		}
	}
}

func TestMint(t *testing.T) {
	f := newFake()
	c := resolve(t)
	key, e, err := f.source(c).Mint(t.Context())
	if err != nil || key != auth.KnownIdentity(c).Key(c) || e.Token.Value.Reveal() != "token-1" || len(f.items) != 0 {
		t.Errorf("got %v, %+v, %v", key, e, err)
	}
	f.took()
	c.Endpoint.Value = ""
	if _, e, err := f.source(c).Mint(t.Context()); err != nil || !e.Token.Value.IsZero() || f.took() != "keychain sign-in" {
		t.Errorf("without a target: got %+v, %v", e, err)
	}
}

// Only the workspace knows the user of a personal access token. It is asked once.
func TestToken_UnknownUser(t *testing.T) {
	f := newFake()
	pat := []string{"DATABRICKS_CLIENT_ID", "", "DATABRICKS_TOKEN", "bearer", "PGHOST", ownHost, "wait", "never"}
	for i, calls := range []int{2, 0} {
		s, err := f.open(t.Context(), resolve(t, pat...))
		if got := f.took(); err != nil || s.Target.User != "ada@example.com" || len(strings.Fields(got)) != calls {
			t.Errorf("run %d: got %q, %v: %s", i+1, s.Target.User, err, got)
		}
	}
	s, err := f.open(t.Context(), resolve(t, append(pat, "user", "analysts")...))
	if got := f.took(); err != nil || s.Target.User != "analysts" || got != "credential" {
		t.Errorf("with --user: got %q, %v: %s", s.Target.User, err, got)
	}
	if _, err := f.open(t.Context(), resolve(t, append(pat, "DATABRICKS_TOKEN", "another")...)); err == nil {
		t.Error("the token of another secret is used")
	}
	f.user = "two\nlines"
	if _, err := f.open(t.Context(), resolve(t, append(pat, "ttl", "30m")...)); err == nil || !strings.Contains(err.Error(), "user name") {
		t.Errorf("a bad name: got %v", err)
	}
}

// With --credential workspace no credential is requested.
func TestToken_WorkspaceTokenAsPassword(t *testing.T) {
	f := newFake()
	f.target = instanceID
	f.credError = func(context.Context, int) error { return errors.New("was called") }
	for _, step := range []struct {
		options []string
		want    string
	}{
		{[]string{"PGHOST", ownHost}, "keychain sign-in login:bearer"},
		{nil, "keychain sign-in endpoint"}, // the login has just succeeded
		{nil, ""},
	} {
		s, err := f.open(t.Context(), instance(t, append(step.options, "credential", "workspace")...))
		if got := f.took(); err != nil || got != step.want || s.Target.Host != ownHost || s.Token.Value.Reveal() != "bearer" {
			t.Errorf("%q: got %v: %s; want %s", step.options, err, got, step.want)
		}
	}
	// It is not used for a database credential, nor by get --format workspace-token.
	f.credError = nil
	if s, err := f.open(t.Context(), instance(t)); err != nil || s.Token.Value.Reveal() != "token-1" {
		t.Errorf("got %v", err)
	}
	f.took()
	if _, err := f.source(instance(t, "credential", "workspace", "read-only", "true")).WorkspaceToken(t.Context()); err != nil || f.took() != "keychain sign-in" {
		t.Errorf("got %v", err)
	}
	if _, err := f.source(resolve(t)).WorkspaceToken(t.Context()); err != nil || f.took() != "" {
		t.Errorf("the workspace token depends on the target: %v", err)
	}
}

// sharedSource is a login whose workspace token processes share.
type sharedSource struct{ f *fakeWorkspace }

func (s sharedSource) Token(context.Context) (credential.Token, error) {
	s.f.record("token")
	return newToken("bearer"), nil
}

func (s sharedSource) Refresh(context.Context, credential.Secret) (credential.Token, error) {
	s.f.record("refresh")
	return newToken("bearer"), nil
}
func (s sharedSource) Check(context.Context) error { return nil }

func TestToken_SharedWorkspaceToken(t *testing.T) {
	f := newFake()
	for _, step := range []struct {
		endpoint string
		want     string
	}{{endpointID, "token credential"}, {"projects/p/branches/b/endpoints/other", "credential"}, {endpointID, ""}} {
		f.target = step.endpoint
		s := f.source(resolve(t, "endpoint", step.endpoint, "pghost", ownHost))
		bearer := s.bearer(sharedSource{f}, auth.Identity{Type: "x", Principal: "ada", Shared: true})
		_, err := s.cache.Get(deadline(t), auth.Identity{Type: "x"}.Key(s.conf), tokencache.Criteria{}, func(ctx context.Context) (tokencache.Entry, error) {
			return s.mint(ctx, bearer, auth.Identity{Type: "x", User: "ada"}, credential.Secret{}, false)
		})
		if got := f.took(); err != nil || got != step.want {
			t.Errorf("%s: got %q, %v; want %q", step.endpoint, got, err, step.want)
		}
	}
	// As the password, a rejected one is replaced.
	s := f.source(resolve(t, "credential", "workspace", "pghost", ownHost))
	bearer := s.bearer(sharedSource{f}, auth.Identity{Type: "x", Principal: "ada", Shared: true})
	if _, err := bearer.Refresh(deadline(t), credential.NewSecret("bearer")); err != nil || f.took() != "refresh" {
		t.Errorf("got %v", err)
	}
	if _, err := bearer.Refresh(deadline(t), credential.NewSecret("another")); err != nil || f.took() != "" {
		t.Errorf("a token that is not rejected: got %v", err)
	}
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
