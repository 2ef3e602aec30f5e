package auth

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// If the server returns a new refresh token, it replaces the stored one.
func TestBrowser_RotatedRefreshToken(t *testing.T) {
	f := newFake().login(ada)
	account := config.RefreshAccount("w.example", ada)
	if _, err := token(t, f.chain(resolveUser(t))); err != nil || f.took() != "lock get refresh" {
		t.Fatal(err)
	}
	f.rotates = true
	if _, err := token(t, f.chain(resolveUser(t))); err != nil || f.took() != "lock get refresh replace" || f.stored[account] != f.refresh {
		t.Errorf("got %v: %q is stored, %q works", err, f.stored[account], f.refresh)
	}
	// It is stored even if the caller has gone meanwhile.
	ctx, cancel := context.WithCancel(t.Context())
	f.fail["refresh"] = func(context.Context, int) error { cancel(); return nil }
	f.fail["replace"] = func(ctx context.Context, _ int) error { return ctx.Err() }
	if err := refreshed(ctx, f.chain(resolveUser(t))); err != nil || f.took() != "lock read refresh replace" || f.stored[account] != f.refresh {
		t.Errorf("got %v: %q is stored, %q works", err, f.stored[account], f.refresh)
	}
	f.refuse("replace", errors.New("no room"))
	if _, err := token(t, f.chain(resolveUser(t))); err != nil || len(f.notes) != 1 || !strings.Contains(f.notes[0], "could not be stored") {
		t.Errorf("got %v, notes %q", err, f.notes)
	}
}

func TestBrowser_RefusedRefreshToken(t *testing.T) {
	f := newFake().login(ada)
	f.refresh = "another"
	_, err := token(t, f.chain(resolveUser(t)))
	if login, ok := errors.AsType[*NoLoginError](err); !ok || !login.Expired() || login.User != ada || f.took() != "lock get refresh get" {
		t.Errorf("got %v", err)
	}
	// Another process replaces the refresh token after the first read.
	f.fail["refresh"] = func(context.Context, int) error {
		f.login(ada)
		f.stored[config.RefreshAccount("w.example", ada)] = f.refresh
		return nil
	}
	if _, err := token(t, f.chain(resolveUser(t))); err != nil || f.took() != "lock get refresh get refresh" {
		t.Errorf("after a refresh by another process: got %v", err)
	}
}

func TestBrowser_SelectUser(t *testing.T) {
	const bob = "bob@example.com"
	for name, c := range map[string]struct {
		users  []string
		more   []string
		want   string // who signs in; empty: no one
		others int
	}{
		"one, and a role":        {users: []string{ada}, more: []string{"user", "analysts"}, want: ada},
		"two":                    {users: []string{ada, bob}, others: 2},
		"two, one named":         {users: []string{ada, bob}, more: []string{"user", bob}, want: bob},
		"two, and a role":        {users: []string{ada, bob}, more: []string{"user", "analysts"}, others: 2},
		"none":                   {},
		"none at another host":   {users: []string{ada}, more: []string{"host", "x.example"}},
		"two, --auth and --user": {users: []string{ada, bob}, more: []string{"auth", AuthBrowser, "user", ada}, want: ada},
	} {
		id, err := token(t, newFake().login(c.users...).chain(resolveUser(t, c.more...)))
		var none *NoLoginError
		if c.want == "" && (!errors.As(err, &none) || len(none.Others) != c.others) || c.want != "" && (err != nil || id.Principal != c.want) {
			t.Errorf("%s: got %q, %v; want %q", name, id.Principal, err, c.want)
		}
	}
	f, locked := newFake().login(ada), errors.New("locked")
	f.refuse("accounts", locked)
	if _, err := token(t, f.chain(resolveUser(t))); !errors.As(err, new(*NoLoginError)) || !errors.Is(err, locked) || errors.Is(err, ErrNotConfigured) {
		t.Errorf("locked: got %v", err)
	}
}

func TestBrowser_Check(t *testing.T) {
	f := newFake().login(ada)
	f.refuse("get", errors.New("locked"))
	if err := check(t, f.chain(resolveUser(t))); !errors.As(err, new(*NoLoginError)) {
		t.Errorf("got %v", err)
	}
	one, other := RefreshLock(config.RefreshAccount("w.example", ada)), RefreshLock(config.RefreshAccount("x.example", ada))
	if one == other || strings.Contains(one, "ada") {
		t.Errorf("got the locks %q and %q", one, other)
	}
}

// The host is always asked where users sign in. One without a document has the usual
// page; one that names a foreign host has none.
func TestLogin_AuthorizeURL(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"named":        {nil, true},
		"no document":  {&exchange.Error{Call: exchange.CallDiscovery, Kind: exchange.KindRefused, Status: 404}, true},
		"foreign host": {&exchange.Error{Call: exchange.CallDiscovery, Kind: exchange.KindForeignHost}, false},
		"unreachable":  {&exchange.Error{Call: exchange.CallDiscovery, Kind: exchange.KindCertificate}, false},
	} {
		f := newFake()
		f.refuse("discover", c.err)
		l := NewLogin(resolveUser(t), f, f)
		got, err := l.AuthorizeURL(t.Context(), "uri")
		if (err == nil) != c.want || c.want != (got == "https://w.example/authorize?"+l.State+"&"+challenge(l.verifier)+"&uri") {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestLogin_Exchange(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*fake)
		want  string // of the error
		calls string
	}{
		"good":             {func(*fake) {}, "", "code:c me"},
		"refused":          {func(f *fake) { f.refuse("code", refusal(exchange.CallCode, exchange.KindCodeRefused)) }, "invalid_grant", "code:c"},
		"no refresh token": {func(f *fake) { f.code.Refresh = credential.Secret{} }, "no refresh token", "code:c"},
		"bad user name":    {func(f *fake) { f.user = "two\nlines" }, "user name", "code:c me"},
	} {
		f, conf := newFake(), resolveUser(t)
		f.code = exchange.Grant{Token: newToken("bearer"), Refresh: credential.NewSecret("refresh-1")}
		c.spoil(f)
		got, err := NewLogin(conf, f, f).Exchange(t.Context(), credential.NewSecret("c"), "uri")
		if calls := f.took(); calls != c.calls || (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v: %s", name, err, calls)
		}
		if err != nil {
			continue
		}
		id, err := token(t, got.Chain(conf))
		if err != nil || id.Principal != ada || id.User != ada || id.Type != AuthBrowser || got.Refresh.Reveal() != "refresh-1" || f.took() != "" {
			t.Errorf("got %+v, %+v, %v", got, id, err)
		}
	}
}
