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

// What is no refresh token is as good as none: the access token is there, and
// the old one may still work.
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

// Whatever was sent or received is in no error: of this call, or of a later one.
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
