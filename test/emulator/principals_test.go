package emulator

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	testVerifier = "a-verifier-of-forty-three-characters-0123456789"
	testRedirect = "http://localhost:8020"
)

// asking is a right authorization request; changes are NAME, VALUE pairs, and an
// empty value leaves the name out.
func asking(changes ...string) url.Values {
	sum := sha256.Sum256([]byte(testVerifier))
	v := url.Values{"response_type": {"code"}, "client_id": {"databricks-cli"}, "redirect_uri": {testRedirect}, "scope": {"offline_access all-apis"},
		"state": {"st&te"}, "code_challenge": {encode(sum[:])}, "code_challenge_method": {"S256"}}
	return change(v, changes...)
}

func change(v url.Values, changes ...string) url.Values {
	for i := 0; i < len(changes); i += 2 {
		if v.Del(changes[i]); changes[i+1] != "" {
			v.Set(changes[i], changes[i+1])
		}
	}
	return v
}

// postForm asks the token endpoint without a client secret.
func postForm(t *testing.T, c *http.Client, url string, form url.Values) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a, err := do(c, r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// approve is the user's consent, by a client without buttons.
func approve(t *testing.T, c *http.Client, l *Lakebase, request url.Values) url.Values {
	t.Helper()
	a, err := call(t, c, l, "GET", "/oidc/v1/authorize?"+change(request, "approve", "1").Encode(), "", "")
	if err != nil || a.status != http.StatusFound {
		t.Fatalf("authorize: %v %+v", err, a)
	}
	to, ok := strings.CutPrefix(a.header.Get("Location"), request.Get("redirect_uri")+"?")
	back, err := url.ParseQuery(to)
	if !ok || err != nil || back.Get("state") != request.Get("state") {
		t.Fatalf("sent to %q", a.header.Get("Location"))
	}
	return back
}

func codeForm(code string, changes ...string) url.Values {
	return change(url.Values{"grant_type": {"authorization_code"}, "client_id": {"databricks-cli"}, "code": {code},
		"redirect_uri": {testRedirect}, "code_verifier": {testVerifier}}, changes...)
}

// A user's whole flow: the page, its button, the code, the tokens, Postgres.
func TestPersonSignsIn(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{User: User{UserName: `o'"bob<b>@example.com`}})
	c := client(t, l)
	path := "/oidc/v1/authorize?" + asking().Encode()
	shown, err := call(t, c, l, "GET", path, "", "")
	if err != nil || shown.status != 200 || !strings.Contains(shown.text, "o&#39;&#34;bob&lt;b&gt;@example.com") {
		t.Fatalf("page: %v %+v", err, shown)
	}
	button := regexp.MustCompile(`<form method="post">\s*<button id="allow" name="(\w+)" value="(\w+)">`).FindStringSubmatch(shown.text)
	if button == nil {
		t.Fatalf("no button: %s", shown.text)
	}
	sent := postForm(t, c, l.WorkspaceURL()+path, url.Values{button[1]: {button[2]}})
	to, err := url.Parse(sent.header.Get("Location"))
	if err != nil || sent.status != http.StatusFound || to.Host != "localhost:8020" || to.Query().Get("state") != "st&te" {
		t.Fatalf("allowed: %v %+v", err, sent)
	}
	a := postForm(t, c, l.WorkspaceURL()+"/oidc/v1/token", codeForm(to.Query().Get("code")))
	bearer, _ := a.body["access_token"].(string)
	if a.status != 200 || a.body["refresh_token"] == "" || a.body["expires_in"] != 3600.0 || a.body["scope"] != "offline_access all-apis" {
		t.Fatalf("token: %+v", a)
	}
	if me, err := call(t, c, l, "GET", "/api/2.0/preview/scim/v2/Me", bearer, ""); err != nil || me.body["userName"] != l.User {
		t.Errorf("Me: %v %+v", err, me)
	}
	a, err = call(t, c, l, "POST", "/api/2.0/postgres/credentials", bearer, `{"endpoint":"`+l.Endpoint+`"}`)
	if err != nil || a.status != 200 {
		t.Fatalf("credentials: %v %+v", err, a)
	}
	pg, err := connect(t.Context(), l, l.User, a.body["token"].(string), l.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(pg)
	if got, err := ask(pg, "SELECT current_user"); err != nil || got != l.User {
		t.Errorf("current_user %q, %v", got, err)
	}
	_, err = connect(t.Context(), l, l.ClientID, a.body["token"].(string), l.Database)
	wantState(t, err, "28P01", "password authentication failed")
	if n := l.Counters(); n.Granted[GrantCode] != 1 || n.ByCall[CallAuthorize] != 2 || n.Refused[GrantCode] != 0 {
		t.Errorf("%+v", n)
	}
}

// What a client cannot be told is a page, the rest goes back to it.
func TestAuthorizeRefuses(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	for name, tt := range map[string]struct {
		request url.Values
		status  int
		want    string
	}{
		"another client":      {asking("client_id", "x"), 400, "client is unknown"},
		"no redirect":         {asking("redirect_uri", ""), 400, "not registered"},
		"a stranger":          {asking("redirect_uri", "http://localhost:8020.evil.example"), 400, "not registered"},
		"a low port":          {asking("redirect_uri", "http://localhost:8019"), 400, "not registered"},
		"a high port":         {asking("redirect_uri", "http://localhost:8041"), 400, "not registered"},
		"a path":              {asking("redirect_uri", testRedirect+"/x"), 400, "not registered"},
		"twice":               {url.Values{"client_id": {"databricks-cli", "databricks-cli"}}, 400, "client_id is repeated"},
		"no code":             {asking("response_type", "token"), 302, "error=unsupported_response_type"},
		"no state":            {asking("state", ""), 302, "error=invalid_request"},
		"plain PKCE":          {asking("code_challenge_method", "plain"), 302, "error=invalid_request"},
		"no PKCE":             {asking("code_challenge", ""), 302, "error=invalid_request"},
		"no scope":            {asking("scope", "offline_access"), 302, "error=invalid_scope"},
		"denied":              {asking("approve", "0"), 302, "error=access_denied"},
		"granted, first port": {asking("approve", "1"), 302, "code="},
		"granted, last port":  {asking("approve", "1", "redirect_uri", "http://localhost:8040"), 302, "http://localhost:8040?code="},
	} {
		if tt.request.Get("approve") == "" {
			tt.request.Set("approve", "1")
		}
		a, err := call(t, c, l, "GET", "/oidc/v1/authorize?"+tt.request.Encode(), "", "")
		to := a.header.Get("Location")
		if err != nil || a.status != tt.status || !strings.Contains(to+a.text, tt.want) || tt.status == 400 && to != "" {
			t.Errorf("%s: %v %+v", name, err, a)
		}
		if strings.Contains(to, "error=") && strings.Contains(to, "code=") || tt.status == 302 && name != "no state" && !strings.Contains(to, "state=st%26te") {
			t.Errorf("%s: sent to %q", name, to)
		}
	}
	l.Set(func(s *Settings) { s.User = "eve@example.com" })
	if a, err := call(t, c, l, "GET", "/oidc/v1/authorize?"+asking().Encode(), "", ""); err != nil || a.status != 403 {
		t.Errorf("nobody: %v %+v", err, a)
	}
	if err := l.AddUser(t.Context(), "eve@example.com"); err != nil {
		t.Fatal(err)
	}
	if a, err := call(t, c, l, "GET", "/oidc/v1/authorize?"+asking().Encode(), "", ""); err != nil || a.status != 200 || !strings.Contains(a.text, "eve@example.com") {
		t.Errorf("somebody else: %v %+v", err, a)
	}
}

func TestCodeIsChecked(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	url := l.WorkspaceURL() + "/oidc/v1/token"
	fresh := func() string { return approve(t, c, l, asking()).Get("code") }
	for name, tt := range map[string]struct {
		changes []string
		code    string
		why     string
	}{
		"unknown":          {[]string{"code", "x"}, "invalid_grant", "unknown"},
		"another verifier": {[]string{"code_verifier", testVerifier + "x"}, "invalid_grant", "code_verifier"},
		"no verifier":      {[]string{"code_verifier", ""}, "invalid_grant", "code_verifier"},
		"another redirect": {[]string{"redirect_uri", "http://localhost:8021"}, "invalid_grant", "redirect_uri"},
		"another client":   {[]string{"client_id", "x"}, "invalid_client", "Client authentication"},
		"a secret":         {[]string{"client_secret", "x"}, "invalid_client", "Client authentication"},
		"right":            {nil, "", ""},
	} {
		a := postForm(t, c, url, codeForm(fresh(), tt.changes...))
		got, _ := a.body["error"].(string)
		why, _ := a.body["error_description"].(string)
		if got != tt.code || !strings.Contains(why, tt.why) || (a.status == 200) != (tt.code == "") {
			t.Errorf("%s: %+v", name, a)
		}
	}
	burnt := fresh()
	postForm(t, c, url, codeForm(burnt, "code_verifier", testVerifier+"x"))
	if a := postForm(t, c, url, codeForm(burnt)); a.body["error"] != "invalid_grant" {
		t.Errorf("after a wrong verifier: %+v", a)
	}
	twice := codeForm(fresh())
	first := postForm(t, c, url, twice)
	if second := postForm(t, c, url, twice); first.status != 200 || second.body["error"] != "invalid_grant" || !strings.Contains(second.text, "used before") {
		t.Errorf("twice: %+v %+v", first, second)
	}
	if a := postForm(t, c, url, refreshForm(first.body["refresh_token"].(string))); a.status != 401 {
		t.Errorf("a code that came twice left its refresh token: %+v", a)
	}
	l.Set(func(s *Settings) { s.CodeLife = time.Millisecond })
	late := fresh()
	time.Sleep(10 * time.Millisecond)
	if a := postForm(t, c, url, codeForm(late)); !strings.Contains(a.text, "expired") {
		t.Errorf("late: %+v", a)
	}
	l.Set(func(s *Settings) { s.CodeLife = 0 })
	if a := postForm(t, c, url, codeForm(approve(t, c, l, asking("scope", "all-apis")).Get("code"))); a.status != 200 || a.body["refresh_token"] != nil {
		t.Errorf("without offline_access: %+v", a)
	}
}

func TestPAT(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	c := client(t, l)
	before, pat := len(l.EverySecret()), l.PAT()
	if before != 1 || !regexp.MustCompile(`^dapi[0-9a-f]{32}$`).MatchString(pat) || l.PAT() != pat {
		t.Errorf("%q of %d secrets", pat, before)
	}
	me := func(bearer string) answer {
		t.Helper()
		a, err := call(t, c, l, "GET", "/api/2.0/preview/scim/v2/Me", bearer, "")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := me(l.PAT()); a.status != 200 || a.body["userName"] != defaultUser {
		t.Errorf("%+v", a)
	}
	if a, err := call(t, c, l, "GET", secretsURL(t, c, l, l.PAT()), l.PAT(), ""); err != nil || a.status != 404 {
		t.Errorf("a user with a service principal's secrets: %v %+v", err, a)
	}
	_, err := connect(t.Context(), l, l.User, l.PAT(), l.Database)
	wantState(t, err, "XX000", "not a valid JWT encoding")
	if a := me("dapi00000000000000000000000000000000"); a.status != 403 || a.body["message"] != "Invalid access token." {
		t.Errorf("%+v", a)
	}
	l.Set(func(s *Settings) { s.PATRevoked = true })
	if a := me(l.PAT()); a.status != 403 || a.body["message"] != "Invalid access token." {
		t.Errorf("revoked: %+v", a)
	}
}
