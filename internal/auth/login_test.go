package auth

import (
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// The host is always asked where users sign in. One without a document has the usual
// page; one that names a foreign host has none.
func TestAuthorizeURL(t *testing.T) {
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
		f.docErr = c.err
		got, err := AuthorizeURL(t.Context(), resolveUser(t), f, f, Login{State: "s", Challenge: "c"}, "uri")
		if (err == nil) != c.want || c.want != (got == "https://w.example/authorize?s&c&uri") {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestExchangeCode(t *testing.T) {
	grant := exchange.Grant{Token: newToken("bearer"), Refresh: credential.NewSecret("refresh-1")}
	for name, c := range map[string]struct {
		spoil func(*fake)
		want  string // of the error
		calls string
	}{
		"good":             {func(*fake) {}, "", "code:c me"},
		"refused":          {func(f *fake) { f.codeErr = refusal(exchange.CallCode, exchange.KindCodeRefused) }, "invalid_grant", "code:c"},
		"no refresh token": {func(f *fake) { f.code.Refresh = credential.Secret{} }, "no refresh token", "code:c"},
		"bad user name":    {func(f *fake) { f.user = "two\nlines" }, "user name", "code:c me"},
	} {
		f := newFake()
		f.code = grant
		c.spoil(f)
		conf := resolveUser(t)
		got, err := ExchangeCode(t.Context(), conf, f, f, NewLogin(), credential.NewSecret("c"), "uri")
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
