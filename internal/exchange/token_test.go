package exchange

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// ours is our clock when the request is sent; theirs is half an hour ahead.
var (
	ours   = time.Date(2026, 8, 1, 12, 0, 0, 123, time.FixedZone("", 7200))
	theirs = ours.Truncate(time.Second).Add(30 * time.Minute).UTC()
)

func stamp(t time.Time) string { return `"` + t.UTC().Format(time.RFC3339Nano) + `"` }

func TestDatabaseTokenLife(t *testing.T) {
	claims := `{"iat":1000,"exp":1900}`
	for _, tc := range []struct {
		name   string
		date   time.Time
		expire string
		claims string
		want   time.Duration // 0: refused
	}{
		{"their clock ahead", theirs, stamp(theirs.Add(50 * time.Minute)), "", 50 * time.Minute},
		{"their clock behind", theirs.Add(-5 * time.Hour), stamp(theirs.Add(-4*time.Hour - 15*time.Minute)), "", 45 * time.Minute},
		{"milliseconds", theirs, stamp(theirs.Add(10*time.Minute + 500*time.Millisecond)), "", 10*time.Minute + 500*time.Millisecond},
		{"microseconds", theirs, stamp(theirs.Add(10*time.Minute + time.Microsecond)), "", 10*time.Minute + time.Microsecond},
		{"nanoseconds", theirs, stamp(theirs.Add(10*time.Minute + 1)), "", 10*time.Minute + 1},
		{"an offset", theirs, `"` + theirs.Add(20*time.Minute).In(time.FixedZone("", -3600)).Format(time.RFC3339) + `"`, "", 20 * time.Minute},
		{"more than an hour", theirs, stamp(theirs.Add(24 * time.Hour)), "", time.Hour},
		{"the year 9999", theirs, `"9999-12-31T23:59:59Z"`, "", time.Hour},
		{"no Date", time.Time{}, stamp(ours.Add(40 * time.Minute)), "", 40 * time.Minute},
		{"no Date, our clock too far ahead", time.Time{}, stamp(ours.Add(-time.Minute)), "", defaultLifetime},
		{"passed by their clock", theirs, stamp(theirs.Add(-time.Second)), "", 0},
		{"at their clock", theirs, stamp(theirs), "", 0},
		{"missing, claims", theirs, `null`, claims, 15 * time.Minute},
		{"missing, claims of a day", theirs, `null`, `{"iat":1000,"exp":87400}`, time.Hour},
		{"missing, claims of nothing", theirs, `null`, `{"iat":1000,"exp":1000}`, defaultLifetime},
		{"missing, claims that go back", theirs, `null`, `{"iat":1000,"exp":10}`, defaultLifetime},
		{"missing, no iat", theirs, `null`, `{"exp":1900}`, defaultLifetime},
		{"missing, claims of the wrong type", theirs, `null`, `{"iat":"a","exp":[]}`, defaultLifetime},
		{"missing", theirs, `null`, "", defaultLifetime},
		{"not a time", theirs, `"tomorrow"`, "", defaultLifetime},
		{"a number", theirs, `1785600000`, "", defaultLifetime},
	} {
		t.Run(tc.name, func(t *testing.T) {
			value := "opaque"
			if tc.claims != "" {
				value = jwt(tc.claims)
			}
			w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
				rw.Header()["Date"] = nil
				if !tc.date.IsZero() {
					rw.Header().Set("Date", tc.date.UTC().Format(http.TimeFormat))
				}
				says(200, fmt.Sprintf(`{"token":%q,"expire_time":%s}`, value, tc.expire))(rw, r)
			})
			c := w.client(t, func(o *Options) { o.Now = func() time.Time { return ours } })
			token, err := c.DatabaseCredential(soon(t), bearer, endpointName, 0)
			if tc.want == 0 {
				wants(t, err, KindBadReply, false)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkTimes(t, token, tc.want)
		})
	}
}

func checkTimes(t *testing.T, token credential.Token, life time.Duration) {
	t.Helper()
	if !token.MintedAt.Equal(ours) || token.MintedAt.Location() != time.UTC || token.ExpiresAt.Location() != time.UTC {
		t.Errorf("minted at %v, expires at %v, want %v in UTC", token.MintedAt, token.ExpiresAt, ours)
	}
	if got := token.ExpiresAt.Sub(ours); got != life {
		t.Errorf("life = %v, want %v", got, life)
	}
	if !token.Fresh(ours, time.Minute) {
		t.Error("not fresh when minted")
	}
}

func TestWorkspaceTokenLife(t *testing.T) {
	for field, want := range map[string]time.Duration{
		`,"expires_in":3600`:   time.Hour,
		`,"expires_in":"1800"`: 30 * time.Minute,
		`,"expires_in":900.5`:  15*time.Minute + 500*time.Millisecond,
		`,"expires_in":7200`:   time.Hour, `,"expires_in":86400`: time.Hour, `,"expires_in":86401`: defaultLifetime, `,"expires_in":1e300`: defaultLifetime,
		`,"expires_in":1e999`: defaultLifetime, `,"expires_in":0`: defaultLifetime, `,"expires_in":0.5`: defaultLifetime,
		`,"expires_in":-60`: defaultLifetime, `,"expires_in":"NaN"`: defaultLifetime, `,"expires_in":"Inf"`: defaultLifetime,
		`,"expires_in":"soon"`: defaultLifetime, `,"expires_in":null`: defaultLifetime, `,"expires_in":[3600]`: defaultLifetime,
		`,"expires_in":{"s":1}`: defaultLifetime, ``: defaultLifetime,
	} {
		t.Run(field, func(t *testing.T) {
			w := newWorkspace(t, false, says(200, `{"access_token":"opaque"`+field+`}`))
			c := w.client(t, func(o *Options) { o.Now = func() time.Time { return ours } })
			token, err := c.WorkspaceToken(soon(t), clientID, credential.NewSecret(clientSecret))
			if err != nil {
				t.Fatal(err)
			}
			checkTimes(t, token, want)
		})
	}
	w := newWorkspace(t, false, says(200, `{"access_token":"`+jwt(`{"iat":1000,"exp":2200}`)+`"}`))
	c := w.client(t, func(o *Options) { o.Now = func() time.Time { return ours } })
	token, err := c.WorkspaceToken(soon(t), clientID, credential.NewSecret(clientSecret))
	if err != nil {
		t.Fatal(err)
	}
	checkTimes(t, token, 20*time.Minute)
}

func TestMintedAtHasNoMonotonicClock(t *testing.T) {
	w := newWorkspace(t, false, lakebase)
	token, err := w.client(t).DatabaseCredential(soon(t), bearer, endpointName, 0)
	if err != nil {
		t.Fatal(err)
	}
	if token.MintedAt != token.MintedAt.Round(0) || token.ExpiresAt != token.ExpiresAt.Round(0) {
		t.Errorf("a monotonic reading is left: %v", token.MintedAt)
	}
}

const redirectURI = "http://localhost:8021"

var (
	refreshSecret  = credential.NewSecret("refresh/first+0123456789==")
	codeSecret     = credential.NewSecret("code-0123456789-abcdefgh")
	verifierSecret = credential.NewSecret("verifier-0123456789-abcdefghijklmnopqrstuv")
	subjectSecret  = credential.NewSecret(jwt(`{"iss":"https://ci.example","sub":"repo:x"}`))
)

func TestGrants(t *testing.T) {
	w := newWorkspace(t, false, says(200, `{"access_token":"at","token_type":"Bearer","refresh_token":"next","expires_in":"1800"}`))
	c := w.client(t, func(o *Options) { o.WorkspaceID, o.Now = "1234", func() time.Time { return ours } })
	one, err := c.RefreshedToken(soon(t), refreshSecret)
	if err != nil {
		t.Fatal(err)
	}
	two, err := c.CodeToken(soon(t), codeSecret, verifierSecret, redirectURI)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []Grant{one, two} {
		checkTimes(t, g.Token, 30*time.Minute)
		if g.Token.Value.Reveal() != "at" || g.Refresh.Reveal() != "next" {
			t.Errorf("grant of %q and %q", g.Token.Value.Reveal(), g.Refresh.Reveal())
		}
	}
	for _, id := range []string{clientID, ""} {
		token, err := c.FederatedToken(soon(t), id, subjectSecret)
		if err != nil || token.Value.Reveal() != "at" {
			t.Fatal(err)
		}
	}
	federation := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
		"subject_token": {subjectSecret.Reveal()}, "scope": {"all-apis"}}
	named := url.Values{"client_id": {clientID}}
	for k, v := range federation {
		named[k] = v
	}
	for i, want := range []url.Values{
		{"grant_type": {"refresh_token"}, "client_id": {"databricks-cli"}, "refresh_token": {refreshSecret.Reveal()}},
		{"grant_type": {"authorization_code"}, "client_id": {"databricks-cli"}, "code": {codeSecret.Reveal()}, "redirect_uri": {redirectURI}, "code_verifier": {verifierSecret.Reveal()}},
		named, federation,
	} {
		got, err := url.ParseQuery(w.bodies[i])
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("request %d: %v\n%s", i, err, diff)
		}
		r := w.seen[i]
		if _, ok := r.Header["Authorization"]; ok || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.Method != "POST" || r.URL.String() != "/oidc/v1/token" || r.Header.Get("X-Databricks-Workspace-Id") != "" {
			t.Errorf("request %d: %s %s %v", i, r.Method, r.URL, r.Header)
		}
	}
}

func TestAuthorizeURL(t *testing.T) {
	c, err := New(Options{Host: "https://dbc-1.cloud.databricks.com:8443"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(c.AuthorizeURL("st&te", "challenge", redirectURI))
	if err != nil || u.Scheme != "https" || u.Host != "dbc-1.cloud.databricks.com:8443" || u.Path != "/oidc/v1/authorize" {
		t.Fatalf("%v, %v", u, err)
	}
	want := url.Values{"response_type": {"code"}, "client_id": {"databricks-cli"}, "redirect_uri": {redirectURI}, "scope": {"offline_access all-apis"},
		"state": {"st&te"}, "code_challenge": {"challenge"}, "code_challenge_method": {"S256"}}
	if diff := cmp.Diff(want, u.Query()); diff != "" {
		t.Error(diff)
	}
}

// An invalid refresh token is ignored: the access token is valid, and the old refresh
// token may still work.
func TestGrant_InvalidRefreshToken(t *testing.T) {
	for field, want := range map[string]string{
		``: "", `,"refresh_token":null`: "", `,"refresh_token":""`: "", `,"refresh_token":[7]`: "", `,"refresh_token":["a"]`: "",
		`,"refresh_token":"a b"`: "", `,"refresh_token":"a\nb"`: "", `,"refresh_token":"ü"`: "", `,"refresh_token":"a/b+c="`: "a/b+c=",
		`,"refresh_token":"` + strings.Repeat("x", maxToken+1) + `"`: "",
	} {
		w := newWorkspace(t, false, says(200, `{"access_token":"at"`+field+`}`))
		g, err := w.client(t).RefreshedToken(soon(t), refreshSecret)
		if err != nil || g.Refresh.Reveal() != want || g.Refresh.IsZero() != (want == "") || g.Token.Value.Reveal() != "at" {
			t.Errorf("%.40s: %q, %v", field, g.Refresh.Reveal(), err)
		}
	}
}

// No error of this or a later call contains a secret that was sent or received.
func TestGrant_SecretsAreRedacted(t *testing.T) {
	for call, sent := range map[Call][]credential.Secret{
		CallRefresh: {refreshSecret}, CallCode: {codeSecret, verifierSecret}, CallFederation: {subjectSecret},
	} {
		for _, s := range sent {
			for _, echo := range []string{s.Reveal(), url.QueryEscape(s.Reveal())} {
				w := newWorkspace(t, false, says(400, fmt.Sprintf(`{"error":"x","error_description":"you sent %s here"}`, echo)))
				hides(t, calls[call](soon(t), w.client(t)), echo)
			}
		}
	}
	for name, body := range map[string]string{
		"used":     `{"access_token":"access-0123456789","refresh_token":"refresh-9876543210","id_token":"id-token-5555566666"}`,
		"refused":  `{"access_token":"access-0123456789","refresh_token":"refresh-9876543210","id_token":"id-token-5555566666","token_type":"mac"}`,
		"no token": `{"access_token":7,"refresh_token":"refresh-9876543210","id_token":"id-token-5555566666"}`,
	} {
		w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/token") {
				says(200, body)(rw, r)
				return
			}
			says(400, `{"message":"you sent refresh-9876543210 and id-token-5555566666"}`)(rw, r)
		})
		c := w.client(t)
		if _, err := c.RefreshedToken(soon(t), refreshSecret); (err == nil) != (name == "used") {
			t.Fatalf("%s: %v", name, err)
		}
		_, err := c.Me(soon(t), bearer)
		hides(t, err, "refresh-9876543210")
		hides(t, err, "id-token-5555566666")
	}
	w := newWorkspace(t, false, says(400, `{"refresh_token":"refresh-9876543210","message":"you sent for refresh-9876543210"}`))
	hides(t, calls[CallRefresh](soon(t), w.client(t)), "refresh-9876543210")
}

func TestGitHubToken(t *testing.T) {
	w := newWorkspace(t, false, says(200, `{"count":1,"value":"`+subjectSecret.Reveal()+`"}`))
	at := func(path string) GitHub {
		return GitHub{URL: w.URL + path, Token: bearer, Audience: "https://dbc-1.cloud.databricks.com/oidc/v1/token", Options: Options{LoadRoots: w.roots, UserAgent: "lakebase-exec/1.2"}}
	}
	for path, want := range map[string]string{
		"/a/idtoken?api-version=2.0":      "/a/idtoken?api-version=2.0&audience=https%3A%2F%2Fdbc-1.cloud.databricks.com%2Foidc%2Fv1%2Ftoken",
		"/a%2Fb/idtoken?api-version=2.0":  "/a%2Fb/idtoken?api-version=2.0&audience=https%3A%2F%2Fdbc-1.cloud.databricks.com%2Foidc%2Fv1%2Ftoken",
		"/idtoken":                        "/idtoken?audience=https%3A%2F%2Fdbc-1.cloud.databricks.com%2Foidc%2Fv1%2Ftoken",
		"/idtoken?audience=somebody+else": "/idtoken?audience=https%3A%2F%2Fdbc-1.cloud.databricks.com%2Foidc%2Fv1%2Ftoken",
	} {
		got, err := GitHubToken(soon(t), at(path))
		if err != nil || !got.Equal(subjectSecret) {
			t.Fatalf("%s: %v", path, err)
		}
		r := w.seen[len(w.seen)-1]
		if r.RequestURI != want || r.Method != "GET" || r.Header.Get("Authorization") != "Bearer "+bearer.Reveal() || r.UserAgent() != "lakebase-exec/1.2" {
			t.Errorf("%s %s %v", r.Method, r.RequestURI, r.Header)
		}
	}
	sent := len(w.seen)
	for _, tc := range []struct {
		change func(*GitHub)
		kind   Kind
		why    string
	}{
		{func(g *GitHub) { g.URL = "" }, KindRefused, "https://"},
		{func(g *GitHub) { g.URL = strings.Replace(g.URL, "https:", "http:", 1) }, KindRefused, "https://"},
		{func(g *GitHub) { g.URL = "https:///idtoken" }, KindRefused, "https://"},
		{func(g *GitHub) { g.URL = "https:idtoken" }, KindRefused, "plain"},
		{func(g *GitHub) { g.URL = strings.Replace(g.URL, "://", "://user:hunter22@", 1) }, KindRefused, "plain"},
		{func(g *GitHub) { g.URL += "#hunter22" }, KindRefused, "plain"},
		{func(g *GitHub) { g.URL += "?a=%zz" }, KindRefused, "plain"},
		{func(g *GitHub) { g.URL = "https://hunter22:x" }, KindRefused, "not a URL"},
		{func(g *GitHub) { g.Audience = "" }, KindRefused, "audience"},
		{func(g *GitHub) { g.Options.Proxy.HTTPSProxy = "ftp://u:hunter22@proxy" }, KindRefused, "proxy"},
		{func(g *GitHub) { g.Token = credential.Secret{} }, KindBearerRefused, "is empty"},
		{func(g *GitHub) { g.Token = credential.NewSecret("a\r\nX: y") }, KindBearerRefused, "characters"},
	} {
		g := at("/idtoken")
		tc.change(&g)
		_, err := GitHubToken(soon(t), g)
		if e := wants(t, err, tc.kind, false); !e.NotSent || e.Call != CallGitHub || !strings.Contains(e.Message, tc.why) || strings.Contains(e.Error(), "hunter22") {
			t.Errorf("%s: %+v", tc.why, e)
		}
	}
	if len(w.seen) != sent {
		t.Errorf("%d requests were sent", len(w.seen)-sent)
	}
}

func TestGitHubRefuses(t *testing.T) {
	w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
		says(403, fmt.Sprintf(`{"message":"you sent %s for value-0123456789","value":"value-0123456789"}`, r.Header.Get("Authorization")))(rw, r)
	})
	err := calls[CallGitHub](soon(t), w.client(t))
	hides(t, err, bearer.Reveal())
	hides(t, err, "value-0123456789")
	untrusted := newWorkspace(t, false, says(200, `{}`))
	_, err = GitHubToken(soon(t), GitHub{URL: untrusted.URL, Token: bearer, Audience: "a"})
	wants(t, err, KindCertificate, false)
	if len(untrusted.seen) != 0 {
		t.Error("the token was sent over TLS without a trusted certificate")
	}
}
