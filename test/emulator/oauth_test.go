package emulator

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
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

// The page shows who is signed in, and its button sends the code that gives the tokens.
func TestUserLogin(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{NoPostgres: true, UserName: `o'"bob<b>@example.com`})
	path := "/oidc/v1/authorize?" + authorizeForm().Encode()
	page := l.get(path)
	button := regexp.MustCompile(`<form method="post">\s*<button id="allow" name="(\w+)" value="(\w+)">`).FindStringSubmatch(page.text)
	if page.status != 200 || !strings.Contains(page.text, "o&#39;&#34;bob&lt;b&gt;@example.com") || button == nil {
		t.Fatalf("page: got %+v", page)
	}
	sent := l.post(path, url.Values{button[1]: {button[2]}})
	to, err := url.Parse(sent.header.Get("Location"))
	if err != nil || sent.status != http.StatusFound || to.Host != "localhost:8020" || to.Query().Get("state") != "st&te" {
		t.Fatalf("allowed: got %+v, %v", sent, err)
	}
	a := l.wantError("code", codeForm(to.Query().Get("code")), "", "")
	if a.str("refresh_token") == "" || a.body["expires_in"] != 3600.0 || a.body["scope"] != "offline_access all-apis" {
		t.Fatalf("token: got %+v", a)
	}
	if me := l.as(a.str("access_token")).get(mePath); me.body["userName"] != l.User {
		t.Errorf("Me: got %+v", me)
	}
	if pat := l.PAT(); !regexp.MustCompile(`^dapi[0-9a-f]{32}$`).MatchString(pat) || !slices.Contains(l.EverySecret(), pat) ||
		l.as(pat).get(mePath).body["userName"] != l.User {
		t.Errorf("got personal access token %q", pat)
	}
}

// An error that must not be sent to the redirect URI is a page; any other is a
// redirect.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
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
	late := l.newCode()
	l.Set(func(s *Settings) { s.ClockSkew = defaultCodeLife + time.Second })
	l.wantError("late", codeForm(late), "invalid_grant", "expired")
	if a := l.wantError("without offline_access", codeForm(l.newCode("scope", "all-apis")), "", ""); a.body["refresh_token"] != nil {
		t.Errorf("without offline_access: got %+v", a)
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	token := l.IssueRefresh("")
	for range 2 {
		a := l.wantError("right", refreshForm(token), "", "")
		if who, err := l.sign.verify(a.str("access_token"), WorkspaceToken, time.Now()); err != nil || who.Subject != l.User ||
			who.ClientID != "databricks-cli" || a.body["refresh_token"] != nil {
			t.Errorf("got %+v, %v", a, err)
		}
	}
	l.wantError("unknown", refreshForm("x"), "invalid_request", "Refresh token is invalid")
	l.wantError("another client", refreshForm(token, "client_id", "x"), "invalid_client", "")
	l.Set(func(s *Settings) { s.ClockSkew = defaultRefreshLife + time.Minute })
	l.wantError("expired", refreshForm(token), "invalid_request", "Refresh token is invalid")
	l.Set(func(s *Settings) { s.ClockSkew, s.RefreshRevoked, s.RefreshInvalidGrant = 0, true, true })
	l.wantError("revoked", refreshForm(token), "invalid_grant", "")
	if n := l.Counters(); n.Granted[GrantRefresh] != 2 || n.Refused[GrantRefresh] != 4 {
		t.Errorf("got counters %+v", n)
	}
	if l.IssueRefresh("unknown@example.com") != "" || !slices.Contains(l.EverySecret(), token) {
		t.Error("a token of an unknown user, or one that EverySecret lacks")
	}
}

// With rotation, one of several concurrent uses of a token succeeds.
func TestRefresh_Rotates(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{NoPostgres: true, Settings: Settings{RefreshRotates: true}})
	token := l.IssueRefresh("")
	var done sync.WaitGroup
	for range 50 {
		done.Go(func() { l.post(tokenPath, refreshForm(token)) })
	}
	done.Wait()
	if n := l.Counters(); n.Granted[GrantRefresh] != 1 || n.Refused[GrantRefresh] != 49 {
		t.Errorf("got counters %+v", n)
	}
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

// A workload signs in by the policy of its service principal only.
func TestFederation(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	exchange := func(token string, changes ...string) url.Values {
		return change(url.Values{"grant_type": {grantExchangeURN}, "subject_token_type": {jwtTokenType}, "subject_token": {token},
			"client_id": {l.ClientID}, "scope": {"all-apis"}}, changes...)
	}
	right := l.MintWorkload(WorkloadSpec{})
	for name, tt := range map[string]struct {
		token             string
		changes           []string
		code, description string
	}{
		"right":            {right, nil, "", ""},
		"account's policy": {l.MintWorkload(WorkloadSpec{Subject: l.User}), []string{"client_id", ""}, "", ""},
		"another audience": {l.MintWorkload(WorkloadSpec{Audience: "https://w.example"}), nil, "invalid_grant", "audience does not match"},
		"another subject":  {l.MintWorkload(WorkloadSpec{Subject: "repo:x/y:ref:refs/heads/main"}), nil, "invalid_grant", "subject does not match"},
		"another issuer":   {l.MintWorkload(WorkloadSpec{Issuer: "https://other.example"}), nil, "invalid_grant", "issuer does not match"},
		"expired":          {l.MintWorkload(WorkloadSpec{Life: -time.Second}), nil, "invalid_grant", "has expired"},
		"another key":      {l.MintWorkload(WorkloadSpec{Foreign: true}), nil, "invalid_grant", "signature does not verify"},
		"no JWT":           {"x", nil, "invalid_grant", "not a JWT"},
		"an unknown ID":    {right, []string{"client_id", newUUID()}, "invalid_client", "No federation policy"},
	} {
		a := l.wantError(name, exchange(tt.token, tt.changes...), tt.code, tt.description)
		want := l.ClientID
		if name == "account's policy" {
			want = l.User
		}
		if who, err := l.sign.verify(a.str("access_token"), WorkspaceToken, time.Now()); tt.code == "" &&
			(err != nil || who.Subject != want || a.body["refresh_token"] != nil) {
			t.Errorf("%s: got subject %q, %v, want %q", name, who.Subject, err, want)
		}
	}
	if n := l.Counters(); n.Granted[GrantExchange] != 2 || n.Refused[GrantExchange] != 7 {
		t.Errorf("got counters %+v", n)
	}
	l.Set(func(s *Settings) { s.Audience, s.Subject = "https://w.example", "job" })
	l.wantError("the default's", exchange(right), "invalid_grant", "")
	l.wantError("the setting's", exchange(l.MintWorkload(WorkloadSpec{})), "", "")
	l.Set(func(s *Settings) { s.Audience, s.Subject = "", "" })

	env, err := l.EnvFor(AuthGitHubOIDC, WorkloadSpec{})
	if err != nil {
		t.Fatal(err)
	}
	last := func(i int) string { _, v, _ := strings.Cut(env[len(env)-i], "="); return v }
	at, bearer := last(2), last(1)
	audience := "&audience=" + url.QueryEscape(l.WorkspaceURL()+tokenPath)
	l.wantError("a job's", exchange(l.as(bearer).get(at+audience).str("value")), "", "")
	l.as(bearer+"x").get(at+audience).want(t, "another bearer", 401, "")
	l.as(bearer).get(at+audience+audience).want(t, "two audiences", 400, "")
	l.as(bearer).get(strings.Replace(at, "api-version", "x", 1)).want(t, "no version", 400, "")
}
