package exchange

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const accountID = "7f2d9c1e-5b34-4c0a-9a51-0c6f3b8e2d11"

// documents answers with the two documents; {host} in them is the server's own.
func documents(config, server string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		own := func(s string) string { return strings.ReplaceAll(s, "{host}", "https://"+r.Host) }
		switch {
		case r.URL.Path == configDocument:
			says(200, own(config))(rw, r)
		case strings.HasSuffix(r.URL.Path, serverDocument):
			says(200, own(strings.ReplaceAll(server, "{path}", strings.TrimSuffix(r.URL.Path, serverDocument))))(rw, r)
		case strings.HasSuffix(r.URL.Path, "/token"):
			says(200, tokenReply("at"))(rw, r)
		default:
			says(404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"no"}`)(rw, r)
		}
	}
}

const serverOwn = `{"authorization_endpoint":"{host}{path}/v1/authorize","token_endpoint":"{host}{path}/v1/token"}`

func configOf(host, kind string) string {
	return fmt.Sprintf(`{"oidc_endpoint":%q,"account_id":%q,"workspace_id":7405606120045173,"host_type":%q,"token_federation_default_oidc_audiences":["{host}/oidc/v1/token"]}`, host, accountID, kind)
}

func TestDiscover(t *testing.T) {
	perAccount := "/oidc/accounts/" + accountID
	for _, tc := range []struct {
		name, config, path, kind string
		change                   func(*Options)
	}{
		{name: "workspace", config: configOf("{host}/oidc", "workspace"), path: "/oidc", kind: "workspace"},
		{name: "unified", config: configOf("{host}/oidc/accounts/{account_id}", "UNIFIED_HOST"), path: perAccount, kind: "unified"},
		{name: "account", config: configOf("{host}/oidc/accounts/{account_id}/", "account"), path: perAccount, kind: "account"},
		{name: "no endpoint", config: configOf("", "workspace"), path: "/oidc", kind: "workspace"},
		{name: "no endpoint of an account", config: configOf("", "account"), path: perAccount, kind: "account"},
		{name: "an account of one's own", config: configOf("{host}/oidc/accounts/{account_id}", "unified"), path: perAccount, kind: "unified",
			change: func(o *Options) { o.AccountID = strings.ToUpper(accountID) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.change == nil {
				tc.change = func(*Options) {}
			} else {
				tc.path = "/oidc/accounts/" + strings.ToUpper(accountID)
			}
			w := newWorkspace(t, false, documents(tc.config, serverOwn))
			c := w.client(t, tc.change)
			d, err := c.Discover(soon(t))
			if err != nil {
				t.Fatal(err)
			}
			want := Discovery{TokenEndpoint: w.URL + tc.path + "/v1/token", AuthorizationEndpoint: w.URL + tc.path + "/v1/authorize",
				Audiences: []string{w.URL + "/oidc/v1/token"}, AccountID: strings.TrimPrefix(strings.TrimPrefix(tc.path, "/oidc"), "/accounts/"),
				WorkspaceID: "7405606120045173", HostType: tc.kind}
			if want.AccountID == "" {
				want.AccountID = accountID
			}
			if diff := cmp.Diff(want, d); diff != "" {
				t.Error(diff)
			}
			for i, r := range w.seen {
				if _, ok := r.Header["Authorization"]; ok || r.Method != "GET" || w.bodies[i] != "" {
					t.Errorf("%s %s was asked with %v", r.Method, r.URL, r.Header)
				}
			}
			c.SetEndpoints(d)
			if _, err := c.RefreshedToken(soon(t), refreshSecret); err != nil || w.seen[2].URL.Path != tc.path+"/v1/token" {
				t.Errorf("%v, at %s", err, w.seen[2].URL)
			}
			if a := c.AuthorizeURL("s", "c", redirectURI); !strings.HasPrefix(a, want.AuthorizationEndpoint+"?") {
				t.Error(a)
			}
		})
	}
}

func TestSetEndpoints(t *testing.T) {
	w := newWorkspace(t, false, documents("", ""))
	c := w.client(t)
	c.SetEndpoints(Discovery{TokenEndpoint: w.URL + "/x/token", WorkspaceID: "77"})
	_ = calls[CallWorkspaceToken](soon(t), c)
	_ = calls[CallFederation](soon(t), c)
	_ = calls[CallCode](soon(t), c)
	_ = calls[CallMe](soon(t), c)
	for i, path := range []string{"/x/token", "/x/token", "/x/token", "/api/2.0/preview/scim/v2/Me"} {
		if w.seen[i].URL.Path != path || (path == "/api/2.0/preview/scim/v2/Me") != (w.seen[i].Header.Get("X-Databricks-Workspace-Id") == "77") {
			t.Errorf("request %d: %s %v", i, w.seen[i].URL, w.seen[i].Header)
		}
	}
	own := w.client(t, func(o *Options) { o.WorkspaceID = "1" })
	own.SetEndpoints(Discovery{WorkspaceID: "77", TokenEndpoint: "https://untrusted.example/oidc/v1/token", AuthorizationEndpoint: "http://" + w.Listener.Addr().String() + "/a"})
	_ = calls[CallMe](soon(t), own)
	_ = calls[CallRefresh](soon(t), own)
	if r := w.seen[4]; r.Header.Get("X-Databricks-Workspace-Id") != "1" {
		t.Errorf("the workspace id is %v", r.Header)
	}
	if w.seen[5].URL.Path != "/oidc/v1/token" || !strings.HasPrefix(own.AuthorizeURL("s", "c", redirectURI), w.URL+"/oidc/v1/authorize?") {
		t.Error("an untrusted host's endpoint is used")
	}
}

func TestDiscover_ForeignHost(t *testing.T) {
	untrusted := newWorkspace(t, false, documents(configOf("{host}/oidc", "workspace"), serverOwn))
	w := newWorkspace(t, false, nil)
	host := strings.TrimPrefix(w.URL, "https://")
	for _, at := range []string{untrusted.URL + "/oidc", "http://" + host + "/oidc", "https://127.0.0.1/oidc", "https://user@" + host + "/oidc",
		"https://evil.example/oidc", "//" + host + "/oidc", "https://127.0.0.1.evil.example" + host[strings.IndexByte(host, ':'):] + "/oidc", "/oidc", "ftp://" + host} {
		for name, handle := range map[string]http.HandlerFunc{
			"oidc_endpoint":          documents(configOf(at, "workspace"), serverOwn),
			"token_endpoint":         documents(configOf("{host}/oidc", "workspace"), fmt.Sprintf(`{"token_endpoint":%q}`, at)),
			"authorization_endpoint": documents(configOf("{host}/oidc", "workspace"), fmt.Sprintf(`{"token_endpoint":"{host}/t","authorization_endpoint":%q}`, at)),
		} {
			w.Config.Handler = handle
			_, err := w.client(t).Discover(soon(t))
			if e := wants(t, err, KindForeignHost, false); !strings.HasPrefix(e.Message, name+" is at ") || e.Call != CallDiscovery || e.NoDocument() {
				t.Errorf("%s at %s: %v", name, at, e)
			}
		}
	}
	for _, at := range []string{"{host}/oidc?x=y", "{host}/oidc#x", "{host}/a%2fb", "{host}/../x", "{host}//x", "https:oidc", "{host}:x/", "{host}.evil.example/oidc", "{host}/a b"} {
		w.Config.Handler = documents(configOf(at, "workspace"), serverOwn)
		_, err := w.client(t).Discover(soon(t))
		wants(t, err, KindBadReply, false)
	}
	w.Config.Handler = documents(configOf("{host}/oidc", "workspace"), serverOwn)
	_, err := w.client(t, func(o *Options) { o.AccountID = "another" }).Discover(soon(t))
	wants(t, err, KindForeignHost, false)
	if n := untrusted.connections.Load(); n != 0 {
		t.Errorf("the untrusted host was called %d times", n)
	}
	if _, err := w.client(t).Discover(soon(t)); err != nil {
		t.Errorf("its own: %v", err)
	}
}

func TestNoDocument(t *testing.T) {
	first := func(h http.HandlerFunc) http.HandlerFunc { return h }
	second := func(h http.HandlerFunc) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == configDocument {
				documents(configOf("{host}/oidc", "workspace"), "")(rw, r)
				return
			}
			h(rw, r)
		}
	}
	for _, tc := range []struct {
		name   string
		handle http.HandlerFunc
		kind   Kind
		none   bool
	}{
		{"404", says(404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"no"}`), KindRefused, true},
		{"404, a page", says(404, `<html><title>Not found</title>`), KindNotJSON, true},
		{"a login page", says(200, `<html><title>Sign in</title>`), KindNotJSON, true},
		{"on to the login page", says(303, ``, "Location", "/login.html"), KindRedirect, true},
		{"401", says(401, `{"error_code":"UNAUTHENTICATED"}`), KindRefused, true},
		{"403", says(403, `{}`), KindPermissionDenied, true},
		{"429", says(429, `{}`), KindRateLimited, false},
		{"503", says(503, ``), KindUnavailable, false},
		{"500", says(500, ``), KindServerError, false},
		{"lost", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, KindBroken, false},
	} {
		for _, which := range []func(http.HandlerFunc) http.HandlerFunc{first, second} {
			w := newWorkspace(t, false, which(tc.handle))
			_, err := w.client(t).Discover(soon(t))
			e := wants(t, err, tc.kind, tc.kind == KindRateLimited || tc.kind == KindUnavailable || tc.kind == KindBroken)
			if e.NoDocument() != tc.none {
				t.Errorf("%s: no document is %v: %v", tc.name, e.NoDocument(), e)
			}
		}
	}
	w := newWorkspace(t, false, says(404, `{}`))
	if e := wants(t, calls[CallMe](soon(t), w.client(t)), KindRefused, false); e.NoDocument() {
		t.Error("a 404 to another call is no document")
	}
	w = newWorkspace(t, false, documents(`{"oidc_endpoint":"{host}/oidc/accounts/{account_id}"}`, serverOwn))
	_, err := w.client(t).Discover(soon(t))
	wants(t, err, KindBadReply, false)
	w = newWorkspace(t, false, documents(configOf("{host}/oidc", ""), `{}`))
	_, err = w.client(t).Discover(soon(t))
	wants(t, err, KindBadReply, false)
}

func TestAudience(t *testing.T) {
	const host = "https://dbc-1.cloud.databricks.com"
	token := host + "/oidc/v1/token"
	for _, tc := range []struct {
		name string
		d    Discovery
		want string // empty: an untrusted host's
	}{
		{"nothing known", Discovery{}, token},
		{"its token endpoint", Discovery{TokenEndpoint: host + "/oidc/accounts/x/v1/token"}, host + "/oidc/accounts/x/v1/token"},
		{"an untrusted host's token endpoint", Discovery{TokenEndpoint: "https://evil.example/token"}, token},
		{"named", Discovery{Audiences: []string{token}}, token},
		{"the host itself", Discovery{Audiences: []string{host + ":443"}}, host + ":443"},
		{"the account", Discovery{Audiences: []string{accountID}, AccountID: accountID}, accountID},
		{"another account", Discovery{Audiences: []string{accountID}, AccountID: "9" + accountID[1:]}, ""},
		{"no account's id", Discovery{Audiences: []string{"sts.amazonaws.com"}, AccountID: "sts.amazonaws.com"}, ""},
		{"another host", Discovery{Audiences: []string{"https://dbc-2.cloud.databricks.com/oidc/v1/token"}}, ""},
		{"no TLS", Discovery{Audiences: []string{"http://dbc-1.cloud.databricks.com/oidc/v1/token"}}, ""},
		{"one of several", Discovery{Audiences: []string{"sts.amazonaws.com", token}}, token},
		{"an account's host", Discovery{HostType: "account", AccountID: accountID, TokenEndpoint: token}, accountID},
		{"an account's host of another form", Discovery{HostType: "account", AccountID: "sts.amazonaws.com", TokenEndpoint: token}, token},
	} {
		c, err := New(Options{Host: host})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Audience(tc.d)
		if tc.want == "" {
			if e := wants(t, err, KindForeignHost, false); !strings.Contains(e.Message, tc.d.Audiences[0]) {
				t.Errorf("%s: %v", tc.name, e)
			}
		} else if err != nil || got != tc.want {
			t.Errorf("%s: %q, %v", tc.name, got, err)
		}
	}
	if _, err := New(Options{Host: host, AccountID: "a/b"}); err == nil || !strings.Contains(err.Error(), "account ID") {
		t.Errorf("an account id that leaves its place: %v", err)
	}
}

func TestServerTime(t *testing.T) {
	const took = 4 * time.Second
	for name, tc := range map[string]struct {
		status int
		ahead  time.Duration
	}{
		"ahead":                     {200, 10 * time.Minute},
		"behind":                    {200, -10 * time.Minute},
		"a host without a document": {404, 10 * time.Minute},
		"a redirect":                {302, -time.Hour},
		"a server in trouble":       {503, 0},
	} {
		t.Run(name, func(t *testing.T) {
			// The fake clock advances only by the request, which takes four seconds.
			now := ours
			w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
				date := now.Add(took / 2).Add(tc.ahead).UTC()
				now = now.Add(took)
				says(tc.status, `{}`, "Date", date.Format(http.TimeFormat), "Location", "https://untrusted.example/")(rw, r)
			})
			c := w.client(t, func(o *Options) { o.Now = func() time.Time { return now } })
			skew, err := c.ServerTime(soon(t))
			if err != nil || (skew-tc.ahead).Abs() > time.Second {
				t.Errorf("skew is %v, %v", skew, err)
			}
			if r := w.seen[0]; r.URL.Path != configDocument || r.Header.Get("Authorization") != "" || len(w.seen) != 1 {
				t.Errorf("%s %v", r.URL, r.Header)
			}
		})
	}
	real := newWorkspace(t, true, says(404, `{}`))
	begun := time.Now()
	skew, err := real.client(t).ServerTime(soon(t))
	if took := time.Since(begun); err != nil || skew.Abs() > took/2+time.Second { // a date has whole seconds
		t.Errorf("of the same machine: %v after %v, %v", skew, took, err)
	}
}

func TestServerTime_Errors(t *testing.T) {
	w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header()["Date"] = nil
		says(200, `{}`)(rw, r)
	})
	_, err := w.client(t).ServerTime(soon(t))
	if e := wants(t, err, KindBadReply, false); e.Call != CallClock {
		t.Errorf("%+v", e)
	}
	lost := newWorkspace(t, false, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err = lost.client(t).ServerTime(soon(t))
	wants(t, err, KindBroken, true)
}
