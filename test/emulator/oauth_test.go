package emulator

import (
	"crypto/sha256"
	"crypto/tls"
	"net"
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
	mePath       = "/api/2.0/preview/scim/v2/Me"
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
	return change(url.Values{"response_type": {"code"}, "client_id": {"databricks-cli"}, "redirect_uri": {testRedirect}, "scope": {"offline_access all-apis"},
		"state": {"st&te"}, "code_challenge": {encode(sum[:])}, "code_challenge_method": {"S256"}}, changes...)
}

func codeForm(code string, changes ...string) url.Values {
	return change(url.Values{"grant_type": {"authorization_code"}, "client_id": {"databricks-cli"}, "code": {code},
		"redirect_uri": {testRedirect}, "code_verifier": {testVerifier}}, changes...)
}

func refreshForm(token string, changes ...string) url.Values {
	return change(url.Values{"grant_type": {"refresh_token"}, "client_id": {"databricks-cli"}, "refresh_token": {token}}, changes...)
}

func exchangeForm(l *workspace, token string, changes ...string) url.Values {
	return change(url.Values{"grant_type": {grantExchangeURN}, "subject_token_type": {jwtTokenType}, "subject_token": {token},
		"client_id": {l.ClientID}, "scope": {"all-apis"}}, changes...)
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
func wantError(t *testing.T, name string, a answer, code, description string) {
	t.Helper()
	if a.str("error") != code || !strings.Contains(a.str("error_description"), description) || (a.status == 200) != (code == "") {
		t.Errorf("%s: got %+v, want error %q, %q", name, a, code, description)
	}
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	wantError(t, "wrong secret", l.token(l.ClientID, newSecret()), "invalid_client", "Client authentication failed")
	wantError(t, "wrong id", l.token(newUUID(), l.ClientSecret), "invalid_client", "Client authentication failed")
	wantError(t, "no Basic", l.post(tokenPath, nil), "invalid_client", "Missing client authentication")
	wantError(t, "right", l.token(l.ClientID, l.ClientSecret), "", "")
	l.Set(func(s *Settings) { s.SecretRevoked = true })
	wantError(t, "revoked", l.token(l.ClientID, l.ClientSecret), "invalid_client", "")
	form := refreshForm(l.IssueRefresh(""))
	form["scope"] = []string{"all-apis", "all-apis"}
	wantError(t, "repeated parameter", l.post(tokenPath, form), "invalid_request", "The parameter scope is repeated")
}

// A user's whole flow: the page, its button, the code, the tokens, Postgres.
func TestUserLogin(t *testing.T) {
	t.Parallel()
	l := newWorkspace(t, Options{User: User{UserName: `o'"bob<b>@example.com`}})
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
	a := l.post(tokenPath, codeForm(to.Query().Get("code")))
	if a.status != 200 || a.str("refresh_token") == "" || a.body["expires_in"] != 3600.0 || a.body["scope"] != "offline_access all-apis" {
		t.Fatalf("token: got %+v", a)
	}
	user := l.as(a.str("access_token"))
	if me := user.get(mePath); me.body["userName"] != l.User {
		t.Errorf("Me: got %+v", me)
	}
	token := user.call("POST", credentialsPath, `{"endpoint":"`+l.Endpoint+`"}`).str("token")
	pg, err := connect(t.Context(), l.Lakebase, l.User, token, l.Database)
	if err != nil {
		t.Fatal(err)
	}
	closeNow(pg)
	_, err = connect(t.Context(), l.Lakebase, l.ClientID, token, l.Database)
	wantState(t, err, "28P01", "password authentication failed")
	if n := l.Counters(); n.Granted[GrantCode] != 1 || n.ByCall[CallAuthorize] != 2 || n.Refused[GrantCode] != 0 {
		t.Errorf("got counters %+v", n)
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
		"an untrusted host":   {authorizeForm("redirect_uri", "http://localhost:8020.evil.example"), 400, "not registered"},
		"a low port":          {authorizeForm("redirect_uri", "http://localhost:8019"), 400, "not registered"},
		"a high port":         {authorizeForm("redirect_uri", "http://localhost:8041"), 400, "not registered"},
		"a path":              {authorizeForm("redirect_uri", testRedirect+"/x"), 400, "not registered"},
		"twice":               {url.Values{"client_id": {"databricks-cli", "databricks-cli"}}, 400, "client_id is repeated"},
		"no code":             {authorizeForm("response_type", "token"), 302, "error=unsupported_response_type"},
		"no state":            {authorizeForm("state", ""), 302, "error=invalid_request"},
		"plain PKCE":          {authorizeForm("code_challenge_method", "plain"), 302, "error=invalid_request"},
		"no PKCE":             {authorizeForm("code_challenge", ""), 302, "error=invalid_request"},
		"no scope":            {authorizeForm("scope", "offline_access"), 302, "error=invalid_scope"},
		"denied":              {authorizeForm("approve", "0"), 302, "error=access_denied"},
		"granted, first port": {authorizeForm(), 302, "code="},
		"granted, last port":  {authorizeForm("redirect_uri", "http://localhost:8040"), 302, "http://localhost:8040?code="},
	} {
		if tt.request.Get("approve") == "" {
			tt.request.Set("approve", "1")
		}
		a := l.get("/oidc/v1/authorize?" + tt.request.Encode())
		to := a.header.Get("Location")
		if a.status != tt.status || !strings.Contains(to+a.text, tt.want) || tt.status == 400 && to != "" {
			t.Errorf("%s: got %+v, want status %d and %q", name, a, tt.status, tt.want)
		}
		if strings.Contains(to, "error=") && strings.Contains(to, "code=") || tt.status == 302 && name != "no state" && !strings.Contains(to, "state=st%26te") {
			t.Errorf("%s: redirected to %q", name, to)
		}
	}
	l.Set(func(s *Settings) { s.User = "eve@example.com" })
	path := "/oidc/v1/authorize?" + authorizeForm().Encode()
	if a := l.get(path); a.status != 403 {
		t.Errorf("unknown user: got %+v", a)
	}
	if err := l.AddUser(t.Context(), "eve@example.com"); err != nil {
		t.Fatal(err)
	}
	if a := l.get(path); a.status != 200 || !strings.Contains(a.text, "eve@example.com") {
		t.Errorf("another user: got %+v", a)
	}
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
		"another redirect": {[]string{"redirect_uri", "http://localhost:8021"}, "invalid_grant", "redirect_uri"},
		"another client":   {[]string{"client_id", "x"}, "invalid_client", "Client authentication"},
		"a secret":         {[]string{"client_secret", "x"}, "invalid_client", "Client authentication"},
		"right":            {nil, "", ""},
	} {
		wantError(t, name, l.post(tokenPath, codeForm(l.newCode(), tt.changes...)), tt.code, tt.description)
	}
	spent := l.newCode()
	l.post(tokenPath, codeForm(spent, "code_verifier", testVerifier+"x"))
	wantError(t, "after a wrong verifier", l.post(tokenPath, codeForm(spent)), "invalid_grant", "")
	twice := codeForm(l.newCode())
	first := l.post(tokenPath, twice)
	wantError(t, "the second time", l.post(tokenPath, twice), "invalid_grant", "used before")
	wantError(t, "its refresh token", l.post(tokenPath, refreshForm(first.str("refresh_token"))), "invalid_request", "")
	late := l.newCode()
	l.Set(func(s *Settings) { s.ClockSkew = defaultCodeLife + time.Second })
	wantError(t, "late", l.post(tokenPath, codeForm(late)), "invalid_grant", "expired")
	if a := l.post(tokenPath, codeForm(l.newCode("scope", "all-apis"))); a.status != 200 || a.body["refresh_token"] != nil {
		t.Errorf("without offline_access: got %+v", a)
	}
}

func TestPAT(t *testing.T) {
	t.Parallel()
	l := newWorkspace(t, Options{})
	before, pat := len(l.EverySecret()), l.PAT()
	if before != 1 || !regexp.MustCompile(`^dapi[0-9a-f]{32}$`).MatchString(pat) || l.PAT() != pat {
		t.Errorf("got %q after %d secrets", pat, before)
	}
	if a := l.as(pat).get(mePath); a.status != 200 || a.body["userName"] != defaultUser {
		t.Errorf("got %+v", a)
	}
	_, err := connect(t.Context(), l.Lakebase, l.User, pat, l.Database)
	wantState(t, err, "XX000", "not a valid JWT encoding")
	wantInvalid := func(pat string) {
		t.Helper()
		if a := l.as(pat).get(mePath); a.status != 403 || a.body["message"] != "Invalid access token." {
			t.Errorf("got %+v", a)
		}
	}
	wantInvalid("dapi00000000000000000000000000000000")
	l.Set(func(s *Settings) { s.PATRevoked = true })
	wantInvalid(pat)
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	token := l.IssueRefresh("")
	refresh := func(token string, changes ...string) answer {
		t.Helper()
		return l.post(tokenPath, refreshForm(token, changes...))
	}
	for range 2 {
		a := refresh(token)
		if who, err := l.sign.verify(a.str("access_token"), WorkspaceToken, time.Now()); err != nil || who.Subject != l.User || who.ClientID != "databricks-cli" || a.body["refresh_token"] != nil {
			t.Errorf("got %+v, %v", a, err)
		}
	}
	wantError(t, "unknown", refresh("x"), "invalid_request", "Refresh token is invalid")
	wantError(t, "another client", refresh(token, "client_id", "x"), "invalid_client", "")
	l.Set(func(s *Settings) { s.ClockSkew = defaultRefreshLife + time.Minute })
	wantError(t, "expired", refresh(token), "invalid_request", "Refresh token is invalid")
	l.Set(func(s *Settings) { s.ClockSkew, s.RefreshRevoked = 0, true })
	wantError(t, "revoked", refresh(token), "invalid_request", "Refresh token is invalid")
	l.Set(func(s *Settings) { s.RefreshInvalidGrant = true })
	wantError(t, "revoked", refresh(token), "invalid_grant", "")
	if n := l.Counters(); n.Granted[GrantRefresh] != 2 || n.Refused[GrantRefresh] != 5 {
		t.Errorf("got counters %+v", n)
	}
	if l.IssueRefresh("unknown@example.com") != "" || !slices.Contains(l.EverySecret(), token) {
		t.Error("a token of an unknown user, or one that EverySecret lacks")
	}
}

// With rotation, one of several concurrent uses of a token succeeds.
func TestRefresh_Rotates(t *testing.T) {
	t.Parallel()
	l := newWorkspace(t, Options{NoPostgres: true, Settings: Settings{RefreshRotates: true}})
	refresh := func(token string) answer { return l.post(tokenPath, refreshForm(token)) }
	token := l.IssueRefresh("")
	var done sync.WaitGroup
	for range 50 {
		done.Go(func() { refresh(token) })
	}
	done.Wait()
	if n := l.Counters(); n.Granted[GrantRefresh] != 1 || n.Refused[GrantRefresh] != 49 {
		t.Errorf("got counters %+v", n)
	}
	first := l.IssueRefresh("")
	second := refresh(first).str("refresh_token")
	wantError(t, "the old token", refresh(first), "invalid_request", "")
	third := refresh(second).str("refresh_token")
	if second == "" || second == first || third == "" {
		t.Errorf("rotated to %q and %q", second, third)
	}
	l.Set(func(s *Settings) { s.RefreshReuseRevokes = true })
	other := l.IssueRefresh("")
	wantError(t, "the old token again", refresh(second), "invalid_request", "")
	wantError(t, "its family", refresh(third), "invalid_request", "")
	wantError(t, "another login", refresh(other), "", "")
}

// A workload signs in by the policy of its service principal only.
func TestFederation(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	workload := func(spec WorkloadSpec) string {
		token, err := l.MintWorkload(spec)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	other := newUUID()
	l.AddPrincipalWithoutRole(other, newSecret())
	right := l.IssueWorkload("", "", 0)
	for name, tt := range map[string]struct {
		token             string
		changes           []string
		code, description string
	}{
		"right":            {right, nil, "", ""},
		"all given":        {l.IssueWorkload(WorkloadSubject, l.WorkspaceURL()+"/oidc/v1/token", time.Minute), nil, "", ""},
		"account's policy": {l.IssueWorkload(l.User, "", 0), []string{"client_id", ""}, "", ""},
		"no such user":     {right, []string{"client_id", ""}, "invalid_grant", "no user of the account"},
		"another audience": {l.IssueWorkload("", "https://w.example", 0), nil, "invalid_grant", "audience does not match"},
		"another subject":  {l.IssueWorkload("repo:x/y:ref:refs/heads/main", "", 0), nil, "invalid_grant", "subject does not match"},
		"another issuer":   {workload(WorkloadSpec{Issuer: "https://other.example"}), nil, "invalid_grant", "issuer does not match"},
		"expired":          {l.IssueWorkload("", "", -time.Second), nil, "invalid_grant", "has expired"},
		"another key":      {workload(WorkloadSpec{Foreign: true}), nil, "invalid_grant", "signature does not verify"},
		"the workspace's":  {l.bearer, nil, "invalid_grant", "signature does not verify"},
		"no JWT":           {"x", nil, "invalid_grant", "not a JWT"},
		"none":             {"", nil, "invalid_request", "subject_token is missing"},
		"no type":          {right, []string{"subject_token_type", ""}, "invalid_request", "subject_token_type is not"},
		"another scope":    {right, []string{"scope", "sql"}, "invalid_scope", "scope is invalid"},
		"an unknown id":    {right, []string{"client_id", newUUID()}, "invalid_client", "No federation policy"},
		"another's id":     {right, []string{"client_id", other}, "invalid_client", "No federation policy"},
		"a user's as id":   {right, []string{"client_id", l.User}, "invalid_client", "No federation policy"},
	} {
		a := l.post(tokenPath, exchangeForm(l, tt.token, tt.changes...))
		wantError(t, name, a, tt.code, tt.description)
		if tt.code != "" {
			continue
		}
		want := l.ClientID
		if name == "account's policy" {
			want = l.User
		}
		if who, err := l.sign.verify(a.str("access_token"), WorkspaceToken, time.Now()); err != nil || who.Subject != want || a.body["refresh_token"] != nil {
			t.Errorf("%s: got subject %q, %v, want %q", name, who.Subject, err, want)
		}
	}
	if n := l.Counters(); n.Granted[GrantExchange] != 3 || n.Refused[GrantExchange] != 14 {
		t.Errorf("got counters %+v", n)
	}
	l.Set(func(s *Settings) { s.Audience, s.Subject = "https://w.example", "job" })
	for token, want := range map[string]int{right: 400, l.IssueWorkload("job", "https://w.example", 0): 200, l.IssueWorkload("", "", 0): 200} {
		if a := l.post(tokenPath, exchangeForm(l, token)); a.status != want {
			t.Errorf("by the settings: got %+v, want %d", a, want)
		}
	}
}

// The service for workload tokens starts when its URL is asked for, and stops with Close.
func TestGitHubActions(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	if l.actions.server != nil {
		t.Error("it listens already")
	}
	at, bearer := l.ActionsURL(), l.ActionsToken()
	if at != l.ActionsURL() || bearer != l.ActionsToken() || !strings.HasPrefix(at, "https://localhost:") || strings.HasPrefix(at, l.WorkspaceURL()) {
		t.Fatalf("got URL %q", at)
	}
	job := l.as(bearer)
	audience := "&audience=" + url.QueryEscape(l.WorkspaceURL()+"/oidc/v1/token")
	wantError(t, "exchange", l.post(tokenPath, exchangeForm(l, job.get(at+audience).str("value"))), "", "")
	base, _, _ := strings.Cut(at, "?")
	for name, tt := range map[string]struct {
		url, bearer string
		status      int
	}{
		"another bearer": {at + audience, bearer + "x", 401}, "no bearer": {at + audience, "", 401},
		"no version": {base + "?" + audience[1:], bearer, 400}, "two audiences": {at + audience + audience, bearer, 400},
		"another path": {base + "x", bearer, 404}, "no audience": {at, bearer, 200},
	} {
		if a := l.as(tt.bearer).get(tt.url); a.status != tt.status {
			t.Errorf("%s: got %+v, want %d", name, a, tt.status)
		}
	}
	l.Set(func(s *Settings) { s.Faults = []Fault{Answer(CallActions, 1, 503, "")} })
	if a := job.get(at + audience); a.status != 503 {
		t.Errorf("a fault: got %+v", a)
	}
	if n := l.Counters().ByCall; n[CallActions] != 7 || n[CallOther] != 1 {
		t.Errorf("got counters %+v", n)
	}
	parsed, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	open, err := tls.Dial("tcp", parsed.Host, &tls.Config{RootCAs: roots(t, l.Lakebase)})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", parsed.Host); err == nil {
		c.Close()
		t.Error("it listens after Close")
	}
	if again, late := l.ActionsURL(), begin(t, Options{NoPostgres: true}); again != at || late.Close() != nil || late.ActionsURL() != "" {
		t.Errorf("after Close: got URL %q", again)
	}
}

// secretsURL returns the path of the first principal's secrets.
func (w *workspace) secretsURL() string {
	w.t.Helper()
	a := w.get(mePath)
	if id := a.str("id"); id == "" || id == w.ClientID {
		w.t.Fatalf("Me: got %+v", a)
	}
	return secretsPrefix + a.str("id") + secretsSuffix
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	path := l.secretsURL()
	a := l.call("POST", path, `{"lifetime":"7776000s"}`)
	value := a.str("secret")
	if a.status != 200 || !strings.HasPrefix(value, "dose") || a.body["status"] != "ACTIVE" || a.body["secret_hash"] == "" {
		t.Fatalf("create: got %+v", a)
	}
	created, _ := time.Parse(time.RFC3339Nano, a.str("create_time"))
	expires, _ := time.Parse(time.RFC3339Nano, a.str("expire_time"))
	if expires.Sub(created) != 90*24*time.Hour {
		t.Errorf("got a life of %s", expires.Sub(created))
	}
	signsIn := func(secret string) bool { t.Helper(); return l.token(l.ClientID, secret).status == 200 }
	if !signsIn(l.ClientSecret) || !signsIn(value) {
		t.Error("not both secrets sign in")
	}
	for _, query := range []string{"", "?page_token=1", "?page_size=10"} { // it is shown once
		if a := l.get(path + query); a.status != 200 || strings.Contains(a.text, value) || a.body["secrets"] == nil {
			t.Errorf("list%s: got %+v", query, a)
		}
	}
	first := l.Secrets()[0].ID
	for _, status := range []int{200, 404} {
		if a := l.call("DELETE", path+"/"+first, ""); a.status != status {
			t.Errorf("delete: got %+v, want %d", a, status)
		}
	}
	if signsIn(l.ClientSecret) {
		t.Error("a deleted secret signs in")
	}
	l.Set(func(s *Settings) { s.ClockSkew = 91 * 24 * time.Hour })
	if signsIn(value) {
		t.Error("an expired secret signs in")
	}
}

func TestSecrets_Limits(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	path := l.secretsURL()
	for name, body := range map[string]string{"no unit": `{"lifetime":"90"}`, "too long": `{"lifetime":"63072001s"}`, "zero": `{"lifetime":"0s"}`, "not JSON": `x`} {
		if a := l.call("POST", path, body); a.status != 400 {
			t.Errorf("%s: got %+v", name, a)
		}
	}
	for range 4 {
		if a := l.call("POST", path, ""); a.status != 200 {
			t.Fatalf("got %+v", a)
		}
	}
	if a := l.call("POST", path, ""); a.status != 400 || a.body["error_code"] != "RESOURCE_LIMIT_EXCEEDED" || len(l.Secrets()) != 5 {
		t.Errorf("the sixth: got %+v", a)
	}
	seen, pages := 0, 0
	for token := ""; pages == 0 || token != ""; pages++ {
		a := l.get(path + "?page_token=" + token)
		list, _ := a.body["secrets"].([]any)
		seen, token = seen+len(list), a.str("next_page_token")
	}
	if seen != 5 || pages != 3 {
		t.Errorf("got %d secrets on %d pages, want 5 on 3", seen, pages)
	}
	if a := l.get(secretsPrefix + "42" + secretsSuffix); a.status != 404 {
		t.Errorf("another's: got %+v", a)
	}
	if a := l.as(l.PAT()).get(path); a.status != 404 {
		t.Errorf("a service principal's, by a user: got %+v", a)
	}
	l.Set(func(s *Settings) { s.SecretsDenied = true })
	if a := l.get(path); a.status != 403 {
		t.Errorf("denied: got %+v", a)
	}
	l.Set(func(s *Settings) { s.SecretsDenied, s.SecretDelay = false, time.Hour })
	if err := l.DeleteSecret(l.Secrets()[4].ID); err != nil {
		t.Fatal(err)
	}
	made, err := l.AddSecret()
	if err != nil || !l.SignsIn(made.Value) {
		t.Errorf("one made elsewhere: got %v", err)
	}
	if err := l.DeleteSecret(made.ID); err != nil {
		t.Fatal(err)
	}
	if l.SignsIn(l.call("POST", path, "").str("secret")) {
		t.Error("a new secret signs in before SecretDelay")
	}
}
