package exchange

import (
	"errors"
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

func configOf(endpoint, kind string) string {
	return fmt.Sprintf(`{"oidc_endpoint":%q,"account_id":%q,"workspace_id":7405606120045173,"host_type":%q,
		"token_federation_default_oidc_audiences":["{host}/oidc/v1/token"]}`, endpoint, accountID, kind)
}

// What a host names is used by all later calls.
func TestDiscover(t *testing.T) {
	perAccount := "/oidc/accounts/" + accountID
	for _, tc := range []struct{ name, endpoint, kind, account, path string }{
		{"workspace", "{host}/oidc", "workspace", "", "/oidc"},
		{"unified", "{host}/oidc/accounts/{account_id}", "UNIFIED_HOST", "", perAccount},
		{"account", "{host}/oidc/accounts/{account_id}/", "account", "", perAccount},
		{"no endpoint", "", "workspace", "", "/oidc"},
		{"no endpoint of an account", "", "account", "", perAccount},
		{"a configured account", "{host}/oidc/accounts/{account_id}", "unified", strings.ToUpper(accountID), "/oidc/accounts/" + strings.ToUpper(accountID)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorkspace(t, false, documents(configOf(tc.endpoint, tc.kind), serverOwn))
			c := w.client(t, func(o *Options) { o.AccountID = tc.account })
			d, err := c.Discover(t.Context())
			want := Discovery{TokenEndpoint: w.URL + tc.path + "/v1/token", Audiences: []string{w.URL + "/oidc/v1/token"}, AccountID: accountID,
				HostType: strings.TrimSuffix(strings.ToLower(tc.kind), "_host")}
			if tc.account != "" {
				want.AccountID = tc.account
			}
			if diff := cmp.Diff(want, d); err != nil || diff != "" {
				t.Fatalf("%v\n%s", err, diff)
			}
			for _, r := range w.seen {
				if r.Header.Get("Authorization") != "" || r.Method != "GET" {
					t.Errorf("got %s %s with %v", r.Method, r.URL, r.Header)
				}
			}
			_, err = c.RefreshedToken(t.Context(), refreshSecret)
			_ = calls[CallMe](t.Context(), c)
			if err != nil || w.seen[2].URL.Path != tc.path+"/v1/token" || w.seen[3].Header.Get("X-Databricks-Workspace-Id") != "7405606120045173" {
				t.Errorf("got %v, at %s, %v", err, w.seen[2].URL, w.seen[3].Header)
			}
			if a := c.AuthorizeURL("s", "c", redirectURI); !strings.HasPrefix(a, w.URL+tc.path+"/v1/authorize?") {
				t.Error(a)
			}
		})
	}
	w := newWorkspace(t, false, documents(configOf("", ""), serverOwn))
	c := w.client(t, func(o *Options) { o.WorkspaceID = "1" })
	if _, err := c.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _ = calls[CallMe](t.Context(), c); w.seen[2].Header.Get("X-Databricks-Workspace-Id") != "1" {
		t.Errorf("the configured workspace ID is replaced: %v", w.seen[2].Header)
	}
}

func TestDiscover_ForeignHost(t *testing.T) {
	untrusted := newWorkspace(t, false, documents(configOf("{host}/oidc", "workspace"), serverOwn))
	w := newWorkspace(t, false, nil)
	discover := func(config, server string, kind Kind, change ...func(*Options)) *Error {
		t.Helper()
		w.handle = documents(config, server)
		c := w.client(t, change...)
		_, err := c.Discover(t.Context())
		if a := c.AuthorizeURL("s", "c", redirectURI); !strings.HasPrefix(a, w.URL+"/oidc/v1/authorize?") {
			t.Errorf("got %s after %v", a, err)
		}
		return wants(t, err, kind, false)
	}
	own := configOf("{host}/oidc", "workspace")
	host := strings.TrimPrefix(w.URL, "https://")
	for _, at := range []string{untrusted.URL + "/oidc", "http://" + host + "/oidc", "https://127.0.0.1/oidc", "https://user@" + host + "/oidc",
		"https://evil.example/oidc", "//" + host + "/oidc", "https://127.0.0.1.evil.example" + host[strings.IndexByte(host, ':'):] + "/oidc", "/oidc", "https:oidc", "ftp://" + host} {
		for name, e := range map[string]*Error{
			"oidc_endpoint":          discover(configOf(at, "workspace"), serverOwn, KindForeignHost),
			"token_endpoint":         discover(own, fmt.Sprintf(`{"token_endpoint":%q}`, at), KindForeignHost),
			"authorization_endpoint": discover(own, fmt.Sprintf(`{"token_endpoint":"{host}/t","authorization_endpoint":%q}`, at), KindForeignHost),
		} {
			if !strings.HasPrefix(e.Message, name+" is at ") || e.Call != CallDiscovery {
				t.Errorf("%s at %s: got %v", name, at, e)
			}
		}
	}
	for _, at := range []string{"{host}:x/", "{host}.evil.example/oidc"} {
		discover(configOf(at, "workspace"), serverOwn, KindBadReply)
	}
	discover(own, serverOwn, KindForeignHost, func(o *Options) { o.AccountID = "another" })
	discover(`{"oidc_endpoint":"{host}/oidc/accounts/{account_id}"}`, serverOwn, KindBadReply)
	discover(own, `{}`, KindBadReply)
	if n := untrusted.connections.Load(); n != 0 {
		t.Errorf("the untrusted host was called %d times", n)
	}
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
		{"named", Discovery{Audiences: []string{token}}, token},
		{"the host itself", Discovery{Audiences: []string{host + ":443"}}, host + ":443"},
		{"the account", Discovery{Audiences: []string{accountID}, AccountID: accountID}, accountID},
		{"another account", Discovery{Audiences: []string{accountID}, AccountID: "9" + accountID[1:]}, ""},
		{"no account's ID", Discovery{Audiences: []string{"sts.amazonaws.com"}, AccountID: "sts.amazonaws.com"}, ""},
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
				t.Errorf("%s: got %v", tc.name, e)
			}
		} else if err != nil || got != tc.want {
			t.Errorf("%s: got %q, %v; want %q", tc.name, got, err, tc.want)
		}
	}
}

func TestServerTime(t *testing.T) {
	const took = 4 * time.Second
	for status, ahead := range map[int]time.Duration{200: 10 * time.Minute, 404: -10 * time.Minute, 302: -time.Hour, 503: 0} {
		// The fake clock advances only by the request.
		now := ours
		w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
			date := now.Add(took / 2).Add(ahead).UTC()
			now = now.Add(took)
			says(status, `{}`, "Date", date.Format(http.TimeFormat), "Location", "https://untrusted.example/")(rw, r)
		})
		c := w.client(t, func(o *Options) { o.now = func() time.Time { return now } })
		skew, err := c.ServerTime(t.Context())
		if err != nil || (skew-ahead).Abs() > time.Second || len(w.seen) != 1 || w.seen[0].Header.Get("Authorization") != "" {
			t.Errorf("%d: got %v, %v; want %v", status, skew, err, ahead)
		}
	}
	w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header()["Date"] = nil
		says(200, `{}`)(rw, r)
	})
	if _, err := w.client(t).ServerTime(t.Context()); !errors.Is(err, ErrNoDate) {
		t.Errorf("got %v, want %v", err, ErrNoDate)
	}
}
