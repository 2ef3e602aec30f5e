package broker

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// Without a client id the keychain's person signs in, and is the user.
func TestAPersonSignsIn(t *testing.T) {
	w := newWays().signedIn(ada)
	b := w.broker(as(t))
	s, err := saved(t, b)
	if got := w.did(); err != nil || s.Target.User != ada || b.Config.Auth.Value != credential.AuthBrowser || got != "keychain refresh credential" {
		t.Fatalf("%v: user %q, %s", err, s.Target.User, got)
	}
	s, err = saved(t, w.broker(as(t)))
	if got := w.did(); err != nil || !s.Cached || s.Target.User != ada || got != "" {
		t.Errorf("the second run: %v: user %q, %s", err, s.Target.User, got)
	}
	// Another target needs another database token, but no other sign-in.
	w.target = "projects/p/branches/b/endpoints/other"
	_, err = saved(t, w.broker(as(t, "endpoint", w.target, "pghost", ownHost)))
	if got := w.did(); err != nil || got != "credential" {
		t.Errorf("another target: %v: %s", err, got)
	}
}

// Where the server gives a new refresh token, the old one is dead, and the new one
// is stored; where it gives none, the old one stays.
func TestARotatedRefreshTokenIsKept(t *testing.T) {
	w := newWays().signedIn(ada)
	w.rotates = true
	account := config.RefreshAccount("w.example", ada)
	b := w.broker(as(t))
	if _, err := saved(t, b); err != nil || w.stored[account] != "refresh-1" || w.refresh != "refresh-1" {
		t.Fatalf("%v: %q is stored, %q works", err, w.stored[account], w.refresh)
	}
	w.expire(b, b.Config.Key(), b.workspaceKey())
	w.rotates = false
	if _, err := saved(t, w.broker(as(t))); err != nil || w.stored[account] != "refresh-1" {
		t.Errorf("%v: %q is stored", err, w.stored[account])
	}
	w.expire(b, b.Config.Key(), b.workspaceKey())
	w.rotates, w.lost = true, true
	if _, err := saved(t, w.broker(as(t))); err != nil || len(w.said) != 1 || !strings.Contains(w.said[0], "could not be stored") {
		t.Errorf("%v: it says %q", err, w.said)
	}
}

// A refresh token that is refused may have been replaced in the meantime; else the
// login is over.
func TestARefusedRefreshToken(t *testing.T) {
	w := newWays().signedIn(ada)
	w.refresh = "another"
	account := config.RefreshAccount("w.example", ada)
	var over *SignedOutError
	if _, err := saved(t, w.broker(as(t))); !errors.As(err, &over) || over.User != ada {
		t.Errorf("%v", err)
	}
	if got := w.did(); got != "keychain refresh keychain" {
		t.Errorf("%s", got)
	}
	b := w.broker(as(t))
	b.Secrets = &changing{ways: w, account: account, next: "another"}
	if _, err := saved(t, b); err != nil {
		t.Errorf("after another's refresh: %v", err)
	}
}

// changing is a store in which another process replaces the token after the first look.
type changing struct {
	*ways
	account, next string
}

func (c *changing) Get(ctx context.Context, account string) (credential.Secret, error) {
	s, err := c.ways.Get(ctx, account)
	c.stored[c.account] = c.next
	return s, err
}

func TestWhichPerson(t *testing.T) {
	const bob = "bob@example.com"
	for name, c := range map[string]struct {
		people []string
		more   []string
		want   string // who signs in; empty: nobody
		user   string
		others int
	}{
		"one":                  {people: []string{ada}, want: ada, user: ada},
		"one, a group's role":  {people: []string{ada}, more: []string{"user", "analysts"}, want: ada, user: "analysts"},
		"two":                  {people: []string{ada, bob}, others: 2},
		"two, one chosen":      {people: []string{ada, bob}, more: []string{"user", bob}, want: bob, user: bob},
		"two, another's role":  {people: []string{ada, bob}, more: []string{"user", "analysts"}, others: 2},
		"nobody":               {},
		"a person, by --auth":  {people: []string{ada}, more: []string{"auth", credential.AuthBrowser}, want: ada, user: ada},
		"nobody, and --user":   {more: []string{"user", ada}},
		"a person elsewhere":   {people: nil, more: []string{"host", "x.example"}},
		"by --auth and --user": {people: []string{ada, bob}, more: []string{"auth", credential.AuthBrowser, "user", ada}, want: ada, user: ada},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWays().signedIn(c.people...)
			s, err := saved(t, w.broker(as(t, c.more...)))
			if c.want == "" {
				var none *NoPersonError
				if !errors.As(err, &none) || len(none.Others) != c.others {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || s.Target.User != c.user {
				t.Errorf("%v: user %q", err, s.Target.User)
			}
		})
	}
}

// Who gives a bearer and no name is asked for by the workspace, once.
func TestABearerWithoutAName(t *testing.T) {
	for way, want := range map[string]string{credential.AuthPAT: "credential me", credential.AuthCLI: "cli credential me"} {
		w := newWays()
		more := []string{"auth", way, "DATABRICKS_TOKEN", "bearer"}
		if way == credential.AuthCLI {
			more = more[:2]
		}
		s, err := saved(t, w.broker(as(t, more...)))
		got := w.did()
		if err != nil || s.Target.User != ada || got != want && got != strings.Replace(want, "credential me", "me credential", 1) {
			t.Errorf("%s: %v: user %q, %s", way, err, s.Target.User, got)
		}
		s, err = saved(t, w.broker(as(t, more...)))
		if got := w.did(); err != nil || s.Target.User != ada || got != "" {
			t.Errorf("%s, again: %v: user %q, %s", way, err, s.Target.User, got)
		}
		s, err = saved(t, w.broker(as(t, append(more, "user", "analysts", "cache", "off")...)))
		if got := w.did(); err != nil || s.Target.User != "analysts" || strings.Contains(got, "me") {
			t.Errorf("%s with --user: %v: user %q, %s", way, err, s.Target.User, got)
		}
		w.me = "two\nlines"
		var bad *config.Error
		if _, err := saved(t, w.broker(as(t, append(more, "endpoint", endpointID, "pghost", ownHost, "ttl", "30m")...))); !errors.As(err, &bad) || !strings.Contains(bad.Error(), "user name") {
			t.Errorf("%s, a bad name: %v", way, err)
		}
	}
}

// A token that is another one than the cached token was made with does not use it.
func TestAnotherPATIsAnotherWay(t *testing.T) {
	w := newWays()
	_, err := saved(t, w.broker(as(t, "DATABRICKS_TOKEN", "bearer")))
	if err != nil {
		t.Fatal(err)
	}
	w.did()
	if _, err := saved(t, w.broker(as(t, "DATABRICKS_TOKEN", "stolen"))); err == nil || !strings.Contains(w.did(), "credential") {
		t.Errorf("%v", err)
	}
}

func TestAWorkloadSignsIn(t *testing.T) {
	workload := []string{"DATABRICKS_HOST", "https://dbc-1.cloud.databricks.com", "PGHOST", ownHost, "wait", "never"}
	w := newWays()
	_, err := saved(t, w.broker(resolve(t, append(workload, "DATABRICKS_OIDC_TOKEN", "workload")...)))
	if got := w.did(); err != nil || got != "federation credential" {
		t.Errorf("%v: %s", err, got)
	}
	// A file is read for each exchange.
	w = newWays()
	b := w.broker(resolve(t, append(workload, "DATABRICKS_OIDC_TOKEN_FILEPATH", "/token")...))
	first, err := saved(t, b)
	if got := w.did(); err != nil || got != "workload: federation credential" {
		t.Errorf("%v: %s", err, got)
	}
	if _, err := b.Renew(t.Context(), first.Token.Value); err != nil || w.did() != "workload: federation credential" {
		t.Errorf("renewed: %v", err)
	}
	// A refusal tells what the token says of itself.
	w = newWays()
	w.subject = "another"
	jwt := "e30." + "eyJpc3MiOiJodHRwczovL2kiLCJzdWIiOiJzIiwiYXVkIjpbImEiLCJiIl19" + ".x"
	var fed *FederationError
	_, err = saved(t, w.broker(resolve(t, append(workload, "DATABRICKS_OIDC_TOKEN", jwt)...)))
	if !errors.As(err, &fed) || fed.Claims != (Claims{Issuer: "https://i", Subject: "s", Audience: "a b"}) {
		t.Errorf("%v", err)
	}
}

// GitHub's token is taken where the keychain has nothing, and not by strangers.
func TestGitHubIsTheLastWay(t *testing.T) {
	job := []string{"DATABRICKS_HOST", "https://dbc-1.cloud.databricks.com", "PGHOST", ownHost, "wait", "never",
		"ACTIONS_ID_TOKEN_REQUEST_URL", "https://github.example/token?x=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request"}
	w := newWays()
	w.doc.AccountID = "7"
	b := w.broker(resolve(t, job...))
	_, err := saved(t, b)
	if got := w.did(); err != nil || got != "keychain discover workload:audience of 7 federation credential" || b.Config.Auth.Value != credential.AuthGitHubOIDC {
		t.Errorf("%v: %s", err, got)
	}
	w = newWays()
	w.doc.AccountID = "7"
	b = w.broker(resolve(t, job...))
	ask, tries := b.WorkloadToken, 0
	b.WorkloadToken = func(ctx context.Context, audience string) (credential.Secret, error) {
		if tries++; tries == 1 {
			return credential.Secret{}, &exchange.Error{Call: exchange.CallGitHub, Kind: exchange.KindUnavailable, Status: 503}
		}
		return ask(ctx, audience)
	}
	if _, err := saved(t, b); err != nil || tries != 2 {
		t.Errorf("GitHub fails once: %v after %d tries", err, tries)
	}
	w = newWays()
	_, err = saved(t, w.broker(resolve(t, append(job, "audience", "mine")...)))
	if got := w.did(); err != nil || got != "keychain workload:mine federation credential" {
		t.Errorf("with an audience: %v: %s", err, got)
	}
	w = newWays()
	w.stored[config.SecretAccount("dbc-1.cloud.databricks.com", client)] = secretText
	_, err = saved(t, w.broker(resolve(t, job...)))
	if got := w.did(); err != nil || got != "keychain sign-in credential" {
		t.Errorf("with a secret: %v: %s", err, got)
	}
	w = newWays()
	var none *NoSecretError
	_, err = saved(t, w.broker(resolve(t, append(job, "DATABRICKS_HOST", "stranger.example")...)))
	if got := w.did(); !errors.As(err, &none) || got != "keychain" {
		t.Errorf("a stranger: %v: %s", err, got)
	}
	w = newWays()
	_, err = saved(t, w.broker(resolve(t, append(job, "host", "stranger.example", "auth", credential.AuthGitHubOIDC)...)))
	if got := w.did(); err != nil || !strings.Contains(got, "federation") {
		t.Errorf("a host by option: %v: %s", err, got)
	}
}

// An account's host is asked for its token endpoint first; a workspace's never,
// unless it answers like none.
func TestDiscovery(t *testing.T) {
	key := func(host string) []string {
		return []string{"DATABRICKS_HOST", host, "DATABRICKS_CLIENT_SECRET", secretText, "PGHOST", ownHost, "wait", "never"}
	}
	w := newWays()
	if _, err := saved(t, w.broker(resolve(t, key("w.example/?o=12")...))); err != nil || w.did() != "sign-in credential" {
		t.Errorf("a workspace: %v", err)
	}
	if _, err := saved(t, w.broker(resolve(t, key("accounts.example/?a=7f2d9c1e-5b34-4c0a-9a51-0c6f3b8e2d11")...))); err != nil || w.did() != "discover sign-in credential" || !w.adopted {
		t.Errorf("an account: %v", err)
	}
	w = newWays()
	w.token = func(n int) error {
		if n == 1 {
			return &exchange.Error{Kind: exchange.KindNotJSON, Status: 200}
		}
		return nil
	}
	w.doc.TokenEndpoint = "https://w.example/oidc/accounts/7/v1/token"
	if _, err := saved(t, w.broker(resolve(t, key("w.example")...))); err != nil || w.did() != "sign-in discover sign-in credential" {
		t.Errorf("a host with another token endpoint: %v", err)
	}
	w.counts = map[string]int{}
	w.doc.TokenEndpoint = "https://w.example/oidc/v1/token"
	var ex *exchange.Error
	if _, err := saved(t, w.broker(resolve(t, append(key("w.example"), "cache", "off", "ttl", "30m")...))); !errors.As(err, &ex) || ex.Kind != exchange.KindNotJSON || w.did() != "sign-in discover" {
		t.Errorf("a workspace that answers with HTML: %v", err)
	}
	w = newWays()
	w.docErr = &exchange.Error{Kind: exchange.KindForeignHost}
	if _, err := saved(t, w.broker(resolve(t, key("accounts.example")...))); !errors.As(err, &ex) || ex.Kind != exchange.KindForeignHost || w.did() != "discover" {
		t.Errorf("a stranger's token endpoint: %v", err)
	}
}
