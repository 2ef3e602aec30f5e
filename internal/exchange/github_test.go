package exchange

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

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
		t.Error("the token was sent over TLS that nobody vouches for")
	}
}
