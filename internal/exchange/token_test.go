package exchange

import (
	"errors"
	"fmt"
	"maps"
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

func atOurs(o *Options) { o.now = func() time.Time { return ours } }

func stamp(t time.Time) string { return `"` + t.UTC().Format(time.RFC3339Nano) + `"` }

func TestDatabaseTokenLife(t *testing.T) {
	for _, tc := range []struct {
		name   string
		date   time.Time
		expire string
		want   time.Duration // 0: refused
	}{
		{"their clock ahead", theirs, stamp(theirs.Add(50 * time.Minute)), 50 * time.Minute},
		{"their clock behind", theirs.Add(-5 * time.Hour), stamp(theirs.Add(-4*time.Hour - 15*time.Minute)), 45 * time.Minute},
		{"an offset", theirs, `"` + theirs.Add(20*time.Minute).In(time.FixedZone("", -3600)).Format(time.RFC3339) + `"`, 20 * time.Minute},
		{"more than an hour", theirs, stamp(theirs.Add(24 * time.Hour)), time.Hour},
		{"no Date", time.Time{}, stamp(ours.Add(40 * time.Minute)), 40 * time.Minute},
		{"passed by their clock", theirs, stamp(theirs.Add(-time.Second)), 0},
		{"missing", theirs, `null`, defaultLifetime},
		{"not a time", theirs, `"tomorrow"`, defaultLifetime},
		{"a number", theirs, `1785600000`, defaultLifetime},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
				rw.Header()["Date"] = nil
				if !tc.date.IsZero() {
					rw.Header().Set("Date", tc.date.UTC().Format(http.TimeFormat))
				}
				says(200, `{"token":"opaque","expire_time":`+tc.expire+`}`)(rw, r)
			})
			token, err := w.client(t, atOurs).DatabaseCredential(t.Context(), bearer, endpointName, 0)
			if tc.want == 0 {
				wants(t, err, KindBadReply, false)
			} else if err != nil {
				t.Fatal(err)
			} else {
				checkTimes(t, token, tc.want)
			}
		})
	}
}

func checkTimes(t *testing.T, token credential.Token, life time.Duration) {
	t.Helper()
	if !token.MintedAt.Equal(ours) || token.MintedAt.Location() != time.UTC || token.ExpiresAt.Location() != time.UTC {
		t.Errorf("got minted at %v, expires at %v, want %v in UTC", token.MintedAt, token.ExpiresAt, ours)
	}
	if got := token.ExpiresAt.Sub(ours); got != life {
		t.Errorf("got a life of %v, want %v", got, life)
	}
}

func TestWorkspaceTokenLife(t *testing.T) {
	for field, want := range map[string]time.Duration{
		`3600`: time.Hour, `"1800"`: 30 * time.Minute, `86400`: time.Hour, `99999999999999999999`: time.Hour,
		`0`: defaultLifetime, `-60`: defaultLifetime, `"soon"`: defaultLifetime, `null`: defaultLifetime, `[3600]`: defaultLifetime,
	} {
		w := serve(t, 200, `{"access_token":"opaque","expires_in":`+field+`}`)
		token, err := w.client(t, atOurs).WorkspaceToken(t.Context(), clientID, credential.NewSecret(clientSecret))
		if err != nil {
			t.Errorf("%s: got %v", field, err)
		}
		checkTimes(t, token, want)
	}
}

func TestGrants(t *testing.T) {
	w := serve(t, 200, `{"access_token":"at","token_type":"Bearer","refresh_token":"next","expires_in":"1800"}`)
	c := w.client(t, atOurs, func(o *Options) { o.WorkspaceID = "1234" })
	grant, err := c.RefreshedToken(t.Context(), refreshSecret)
	if err != nil || grant.Token.Value.Reveal() != "at" || grant.Refresh.Reveal() != "next" {
		t.Errorf("got %q and %q, %v", grant.Token.Value.Reveal(), grant.Refresh.Reveal(), err)
	}
	checkTimes(t, grant.Token, 30*time.Minute)
	code, federation := calls[CallCode](t.Context(), c), calls[CallFederation](t.Context(), c)
	if err := errors.Join(code, federation, second(c.FederatedToken(t.Context(), "", subjectSecret))); err != nil {
		t.Error(err)
	}
	exchanged := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
		"subject_token": {subjectSecret.Reveal()}, "scope": {"all-apis"}}
	named := maps.Clone(exchanged)
	named.Set("client_id", clientID)
	for i, want := range []url.Values{
		{"grant_type": {"refresh_token"}, "client_id": {"databricks-cli"}, "refresh_token": {refreshSecret.Reveal()}},
		{"grant_type": {"authorization_code"}, "client_id": {"databricks-cli"}, "code": {codeSecret.Reveal()},
			"redirect_uri": {redirectURI}, "code_verifier": {verifierSecret.Reveal()}},
		named, exchanged,
	} {
		got, err := url.ParseQuery(w.bodies[i])
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("request %d: %v\n%s", i, err, diff)
		}
		r := w.seen[i]
		if r.Header.Get("Authorization") != "" || r.Method != "POST" || r.URL.String() != "/oidc/v1/token" || r.Header.Get("X-Databricks-Workspace-Id") != "" {
			t.Errorf("request %d: got %s %s %v", i, r.Method, r.URL, r.Header)
		}
	}
}

// Each grant but that of a code, which has its own scope, asks for the configured one.
func TestGrants_Scope(t *testing.T) {
	w := serve(t, 200, `{"access_token":"at"}`)
	c := w.client(t, atOurs, func(o *Options) { o.Scope = "postgres sql" })
	for _, call := range []Call{CallWorkspaceToken, CallRefresh, CallFederation} {
		if err := calls[call](t.Context(), c); err != nil {
			t.Error(err)
		}
	}
	got := strings.Join(append(w.bodies, c.AuthorizeURL("s", "c", redirectURI)), " ")
	if strings.Count(got, "scope=postgres+sql") != 2 || strings.Count(got, "scope=offline_access+postgres+sql") != 2 || strings.Contains(got, allAPIs) {
		t.Errorf("got %s", got)
	}
}

func TestAuthorizeURL(t *testing.T) {
	c, err := New(Options{Host: "https://dbc-1.cloud.databricks.com:8443"})
	if err != nil {
		t.Fatal(err)
	}
	want := "https://dbc-1.cloud.databricks.com:8443/oidc/v1/authorize?client_id=databricks-cli&code_challenge=challenge&code_challenge_method=S256" +
		"&redirect_uri=http%3A%2F%2Flocalhost%3A8021&response_type=code&scope=offline_access+all-apis&state=st%26te"
	if got := c.AuthorizeURL("st&te", "challenge", redirectURI); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// An invalid refresh token is ignored: the access token is valid, and the old refresh
// token may still work.
func TestGrant_InvalidRefreshToken(t *testing.T) {
	long := `"` + strings.Repeat("x", maxToken+1) + `"`
	for field, want := range map[string]string{`null`: "", `[7]`: "", `"a b"`: "", long: "", `"a/b+c="`: "a/b+c="} {
		g, err := serve(t, 200, `{"access_token":"at","refresh_token":`+field+`}`).client(t).RefreshedToken(t.Context(), refreshSecret)
		if err != nil || g.Refresh.Reveal() != want || g.Token.Value.Reveal() != "at" {
			t.Errorf("%.40s: got %q, %v", field, g.Refresh.Reveal(), err)
		}
	}
}

// No error of this or a later call contains a secret that was sent or received.
func TestGrant_SecretsAreRedacted(t *testing.T) {
	for call, sent := range map[Call][]credential.Secret{
		CallRefresh: {refreshSecret}, CallCode: {codeSecret, verifierSecret}, CallFederation: {subjectSecret}, CallGitHub: {bearer},
	} {
		for _, s := range sent {
			for _, echo := range []string{s.Reveal(), url.QueryEscape(s.Reveal())} {
				hides(t, serve(t, 400, fmt.Sprintf(`{"error":"x","error_description":"you sent %s here"}`, echo)).try(t, call), echo)
			}
		}
	}
	const refresh, id, secret = "refresh-9876543210", "id-token-5555566666", "dose-very-new-secret"
	const grant = `"refresh_token":"` + refresh + `","id_token":"` + id + `"`
	for body, call := range map[string]Call{
		`{"access_token":"access-0123456789",` + grant + `}`:                    CallRefresh,
		`{"access_token":"access-0123456789","token_type":"mac",` + grant + `}`: CallRefresh, // an error
		`{"access_token":7,` + grant + `}`:                                      CallRefresh,
		`{"id":"s-1","secret":"` + secret + `"}`:                                CallCreateSecret,
	} {
		w := serve(t, 200, body)
		c, values := w.client(t), []string{refresh, id}
		if call == CallCreateSecret {
			values = []string{secret}
		}
		_ = calls[call](t.Context(), c)
		w.handle = says(400, `{"message":"you sent `+strings.Join(values, " and ")+`"}`)
		for _, value := range values {
			hides(t, calls[CallMe](t.Context(), c), value)
		}
	}
	hides(t, serve(t, 400, `{"refresh_token":"`+refresh+`","message":"you sent for `+refresh+`"}`).try(t, CallRefresh), refresh)
}

func TestGitHubToken(t *testing.T) {
	w := serve(t, 200, `{"count":1,"value":"`+subjectSecret.Reveal()+`"}`)
	c := w.client(t, func(o *Options) { o.WorkspaceID = "1" })
	for path, want := range map[string]string{
		"/a%2Fb/idtoken?api-version=2.0": "/a%2Fb/idtoken?api-version=2.0&audience=https%3A%2F%2Fdbc-1",
		"/idtoken?audience=another":      "/idtoken?audience=https%3A%2F%2Fdbc-1",
	} {
		if got, err := c.GitHubToken(t.Context(), w.URL+path, bearer, "https://dbc-1"); err != nil || !got.Equal(subjectSecret) {
			t.Fatalf("%s: %v", path, err)
		}
		r := w.seen[len(w.seen)-1]
		if r.RequestURI != want || r.Method != "GET" || r.Header.Get("Authorization") != "Bearer "+bearer.Reveal() || r.Header.Get("X-Databricks-Workspace-Id") != "" {
			t.Errorf("got %s %s %v", r.Method, r.RequestURI, r.Header)
		}
	}
	sent := len(w.seen)
	for _, u := range []string{"", strings.Replace(w.URL, "https:", "http:", 1), "https:///idtoken", "https:idtoken", "https://user:hunter22@x", "https://hunter22:x"} {
		_, err := c.GitHubToken(t.Context(), u, bearer, "aud")
		if e := wants(t, err, KindRefused, false); !e.NotSent || e.Call != CallGitHub || !strings.Contains(e.Message, "the host is not https://") || strings.Contains(e.Error(), "hunter22") {
			t.Errorf("got %+v", e)
		}
	}
	_, err := w.client(t, func(o *Options) { o.LoadRoots = nil }).GitHubToken(t.Context(), w.URL, bearer, "aud") // without its certificate
	if wants(t, err, KindCertificate, false); len(w.seen) != sent {
		t.Errorf("%d requests were sent", len(w.seen)-sent)
	}
}
