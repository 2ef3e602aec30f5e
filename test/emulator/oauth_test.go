package emulator

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	testVerifier = "a-verifier-of-forty-three-characters-0123456789"
	testRedirect = "http://localhost:8020"
)

// change sets NAME, VALUE pairs; an empty value removes the name.
func change(v url.Values, changes ...string) url.Values {
	for i := 0; i < len(changes); i += 2 {
		if v.Del(changes[i]); changes[i+1] != "" {
			v.Set(changes[i], changes[i+1])
		}
	}
	return v
}

// authorizeForm returns a right authorization request with changes, as the next ones do.
func authorizeForm(changes ...string) url.Values {
	sum := sha256.Sum256([]byte(testVerifier))
	return change(url.Values{"response_type": {"code"}, "client_id": {"databricks-cli"}, "redirect_uri": {testRedirect},
		"scope": {"offline_access all-apis"},
		"state": {"st&te"}, "code_challenge": {encode(sum[:])}, "code_challenge_method": {"S256"}}, changes...)
}

func codeForm(code string, changes ...string) url.Values {
	return change(url.Values{"grant_type": {"authorization_code"}, "client_id": {"databricks-cli"}, "code": {code},
		"redirect_uri": {testRedirect}, "code_verifier": {testVerifier}}, changes...)
}

func refreshForm(token string, changes ...string) url.Values {
	return change(url.Values{"grant_type": {"refresh_token"}, "client_id": {"databricks-cli"}, "refresh_token": {token}}, changes...)
}

// newCode returns a code that the user has approved.
func (w *workspace) newCode(changes ...string) string {
	w.t.Helper()
	a := w.get("/oidc/v1/authorize?" + authorizeForm(append(changes, "approve", "1")...).Encode())
	to, ok := strings.CutPrefix(a.header.Get("Location"), testRedirect+"?")
	back, err := url.ParseQuery(to)
	if a.status != http.StatusFound || !ok || err != nil || back.Get("state") != "st&te" {
		w.t.Fatalf("authorize: got %+v", a)
	}
	return back.Get("code")
}

// wantError checks an OAuth error; code "" means success.
func (w *workspace) wantError(name string, form url.Values, code, description string) answer {
	w.t.Helper()
	a := w.post(tokenPath, form)
	if a.str("error") != code || !strings.Contains(a.str("error_description"), description) || (a.status == 200) != (code == "") {
		w.t.Errorf("%s: got %+v, want error %q, %q", name, a, code, description)
	}
	return a
}

// An error that must not be sent to the redirect URI is a page; any other is a
// redirect.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{NoPostgres: true, UserName: `o'"bob<b>@example.com`})
	page := l.get("/oidc/v1/authorize?" + authorizeForm().Encode()).text
	if !strings.Contains(page, "o&#39;&#34;bob&lt;b&gt;@example.com") || !strings.Contains(page, `name="approve" value="1"`) {
		t.Errorf("got page %s", page)
	}
	for name, tt := range map[string]struct {
		request url.Values
		status  int
		want    string
	}{
		"another client":      {authorizeForm("client_id", "x"), 400, "client is unknown"},
		"no redirect":         {authorizeForm("redirect_uri", ""), 400, "not registered"},
		"a low port":          {authorizeForm("redirect_uri", "http://localhost:8019"), 400, "not registered"},
		"a path":              {authorizeForm("redirect_uri", testRedirect+"/x"), 400, "not registered"},
		"repeated parameter":  {url.Values{"scope": {"all-apis", "all-apis"}}, 400, "scope is repeated"},
		"no state":            {authorizeForm("state", ""), 302, "error=invalid_request"},
		"plain PKCE":          {authorizeForm("code_challenge_method", "plain"), 302, "error=invalid_request"},
		"no scope":            {authorizeForm("scope", "offline_access"), 302, "error=invalid_scope"},
		"denied":              {authorizeForm("approve", "0"), 302, "error=access_denied"},
		"granted, first port": {authorizeForm(), 302, "code="},
	} {
		if tt.request.Get("approve") == "" {
			tt.request.Set("approve", "1")
		}
		a := l.get("/oidc/v1/authorize?" + tt.request.Encode())
		to := a.header.Get("Location")
		if a.status != tt.status || !strings.Contains(to+a.text, tt.want) || tt.status == 400 && to != "" {
			t.Errorf("%s: got %+v, want status %d and %q", name, a, tt.status, tt.want)
		}
		if strings.Contains(to, "error=") && strings.Contains(to, "code=") || tt.status == 302 && name != "no state" &&
			!strings.Contains(to, "state=st%26te") {
			t.Errorf("%s: redirected to %q", name, to)
		}
	}
	l.Set(func(s *Settings) { s.User = "eve@example.com" })
	path := "/oidc/v1/authorize?" + authorizeForm().Encode()
	l.get(path).want(t, "unknown user", 403, "")
	if err := l.AddUser(t.Context(), "eve@example.com"); err != nil {
		t.Fatal(err)
	}
	l.get(path).want(t, "another user", 200, "eve@example.com")
}

func TestCode(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	for name, tt := range map[string]struct {
		changes           []string
		code, description string
	}{
		"unknown":          {[]string{"code", "x"}, "invalid_grant", "unknown"},
		"another verifier": {[]string{"code_verifier", testVerifier + "x"}, "invalid_grant", "code_verifier"},
		"no verifier":      {[]string{"code_verifier", ""}, "invalid_grant", "code_verifier"},
		"another client":   {[]string{"client_id", "x"}, "invalid_client", "Client authentication"},
		"right":            {nil, "", ""},
	} {
		l.wantError(name, codeForm(l.newCode(), tt.changes...), tt.code, tt.description)
	}
	spent := l.newCode()
	l.post(tokenPath, codeForm(spent, "code_verifier", testVerifier+"x"))
	l.wantError("after a wrong verifier", codeForm(spent), "invalid_grant", "")
	twice := codeForm(l.newCode())
	first := l.wantError("first", twice, "", "")
	l.wantError("the second time", twice, "invalid_grant", "used before")
	l.wantError("its refresh token", refreshForm(first.str("refresh_token")), "invalid_request", "")
	if a := l.wantError("without offline_access", codeForm(l.newCode("scope", "all-apis")), "", ""); a.body["refresh_token"] != nil {
		t.Errorf("without offline_access: got %+v", a)
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	token := l.IssueRefresh("")
	l.wantError("unknown", refreshForm("x"), "invalid_request", "Refresh token is invalid")
	l.wantError("another client", refreshForm(token, "client_id", "x"), "invalid_client", "")
	l.Set(func(s *Settings) { s.ClockSkew = defaultRefreshLife + time.Minute })
	l.wantError("expired", refreshForm(token), "invalid_request", "Refresh token is invalid")
	if !slices.Contains(l.EverySecret(), token) {
		t.Error("EverySecret lacks the token")
	}
	l.Set(func(s *Settings) { *s = Settings{RefreshRotates: true} })
	first := l.IssueRefresh("")
	second := l.wantError("first", refreshForm(first), "", "").str("refresh_token")
	l.wantError("the old token", refreshForm(first), "invalid_request", "")
	third := l.wantError("second", refreshForm(second), "", "").str("refresh_token")
	if second == "" || second == first || third == "" {
		t.Errorf("rotated to %q and %q", second, third)
	}
	l.Set(func(s *Settings) { s.RefreshReuseRevokes = true })
	other := l.IssueRefresh("")
	l.wantError("the old token again", refreshForm(second), "invalid_request", "")
	l.wantError("its family", refreshForm(third), "invalid_request", "")
	l.wantError("another login", refreshForm(other), "", "")
}
