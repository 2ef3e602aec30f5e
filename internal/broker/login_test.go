package broker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// page is a workspace's part in a login by browser.
type page struct {
	*ways
	grant exchange.Grant
	err   error
}

func (p *page) AuthorizeURL(state, challenge, redirectURI string) string {
	return "https://w.example/authorize?" + strings.Join([]string{state, challenge, redirectURI}, "&")
}

func (p *page) CodeToken(_ context.Context, code, verifier credential.Secret, redirectURI string) (exchange.Grant, error) {
	p.note("code")
	if code.Reveal() != "code" || verifier.Reveal() != "verifier" || redirectURI != "uri" {
		return exchange.Grant{}, errors.New("not what was given")
	}
	return p.grant, p.err
}

func (p *page) arriving(t *testing.T, more ...string) *Broker {
	t.Helper()
	b := p.broker(as(t, append(more, "auth", credential.AuthBrowser)...))
	b.Browser = p
	return b
}

func newPage() *page {
	return &page{ways: newWays(), grant: exchange.Grant{Token: aToken("bearer"), Refresh: credential.NewSecret("refresh-0")}}
}

func arrive(t *testing.T, b *Broker) (string, error) {
	t.Helper()
	return b.Arrive(t.Context(), credential.NewSecret("code"), credential.NewSecret("verifier"), "uri")
}

// Who arrives has a database token by the access token at hand, and what is stored
// serves the next runs.
func TestAPersonArrives(t *testing.T) {
	p := newPage()
	b := p.arriving(t)
	person, err := arrive(t, b)
	if got := p.did(); err != nil || person != ada || got != "code me" {
		t.Fatalf("%v: %q, %s", err, person, got)
	}
	e, err := b.Mint(t.Context(), credential.Secret{})
	if got := p.did(); err != nil || got != "credential" {
		t.Fatalf("%v: %s", err, got)
	}
	err = b.Settle(t.Context(), func(_ context.Context, account string, refresh credential.Secret) error {
		p.stored[account] = refresh.Reveal()
		return nil
	})
	if err != nil || p.stored[config.RefreshAccount("w.example", ada)] != "refresh-0" {
		t.Fatalf("%v: %v", err, p.stored)
	}
	b.Cache.Save(t.Context(), b.Config.Key(), e)
	s, err := saved(t, p.broker(as(t)))
	if got := p.did(); err != nil || !s.Cached || s.Target.User != ada || got != "" {
		t.Errorf("the next run: %v: %q, %s", err, s.Target.User, got)
	}
	p.target = "projects/p/branches/b/endpoints/other"
	_, err = saved(t, p.broker(as(t, "endpoint", p.target, "pghost", ownHost)))
	if got := p.did(); err != nil || got != "credential" {
		t.Errorf("another target: %v: %s", err, got)
	}
}

func TestNobodyArrives(t *testing.T) {
	refused := refusal("code", exchange.KindCodeRefused)
	for name, c := range map[string]struct {
		spoil func(*page)
		says  string
		did   string
	}{
		"code refused":     {func(p *page) { p.err = refused }, "authorization code rejected", "code"},
		"no refresh token": {func(p *page) { p.grant.Refresh = credential.Secret{} }, "no refresh token", "code"},
		"no user name":     {func(p *page) { p.me = "two\nlines" }, "user name", "code me"},
		"bearer refused":   {func(p *page) { p.grant.Token = aToken("another") }, "not the bearer", "code me"},
	} {
		p := newPage()
		c.spoil(p)
		b := p.arriving(t)
		_, err := arrive(t, b)
		if got := p.did(); err == nil || !strings.Contains(err.Error(), c.says) || got != c.did {
			t.Errorf("%s: %v, %s", name, err, got)
		}
	}
	p, lost := newPage(), errors.New("lost")
	b := p.arriving(t)
	if _, err := arrive(t, b); err != nil {
		t.Fatal(err)
	}
	if err := b.Settle(t.Context(), func(context.Context, string, credential.Secret) error { return lost }); !errors.Is(err, lost) {
		t.Errorf("%v", err)
	}
	if _, hit := b.Cache.Lookup(t.Context(), b.workspaceKey()); hit {
		t.Error("the access token is kept though the login is not")
	}
}

// The host is always asked where people sign in; one without a document has the
// usual page, and one that names a stranger's has none.
func TestWhereToAuthorize(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"named":       {nil, true},
		"no document": {&exchange.Error{Call: exchange.CallDiscovery, Kind: exchange.KindRefused, Status: 404}, true},
		"a stranger":  {&exchange.Error{Call: exchange.CallDiscovery, Kind: exchange.KindForeignHost}, false},
		"not reached": {&exchange.Error{Call: exchange.CallDiscovery, Kind: exchange.KindCertificate}, false},
	} {
		p := newPage()
		p.docErr = c.err
		address, err := p.arriving(t).Authorize(t.Context(), "s", "c", "uri")
		if (err == nil) != c.want || c.want != (address == "https://w.example/authorize?s&c&uri") || p.did() != "discover" || p.adopted != (c.err == nil) {
			t.Errorf("%s: %v, %q", name, err, address)
		}
	}
}

// One lock for all that a refresh token is wanted for, and one for each person.
func TestRefreshLock(t *testing.T) {
	names := []string{RefreshLock(config.RefreshAccount("w.example", ada)), RefreshLock(config.RefreshAccount("w.example", "bob@example.com")), RefreshLock(config.RefreshAccount("x.example", ada))}
	if len(slices.Compact(slices.Sorted(slices.Values(names)))) != 3 || strings.Contains(strings.Join(names, ""), "ada") {
		t.Error(names)
	}
}
