package emulator

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

func exchangeForm(l *Lakebase, token string, changes ...string) url.Values {
	return change(url.Values{"grant_type": {grantExchangeURN}, "subject_token_type": {jwtTokenType}, "subject_token": {token},
		"client_id": {l.ClientID}, "scope": {"all-apis"}}, changes...)
}

func workload(t *testing.T, l *Lakebase, spec WorkloadSpec) string {
	t.Helper()
	token, err := l.MintWorkload(spec)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A workload comes in by the policy of its service principal, and no other way.
func TestFederationPolicy(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	other := newUUID()
	l.AddPrincipalWithoutRole(other, newSecret())
	right := l.IssueWorkload("", "", 0)
	for name, tt := range map[string]struct {
		token   string
		changes []string
		code    string
		why     string
	}{
		"right":              {right, nil, "", ""},
		"by its words":       {l.IssueWorkload(WorkloadSubject, l.WorkspaceURL()+"/oidc/v1/token", time.Minute), nil, "", ""},
		"account's policy":   {l.IssueWorkload(l.User, "", 0), []string{"client_id", ""}, "", ""},
		"no such user":       {right, []string{"client_id", ""}, "invalid_grant", "no user of the account"},
		"another audience":   {l.IssueWorkload("", "https://w.example", 0), nil, "invalid_grant", "audience does not match"},
		"another subject":    {l.IssueWorkload("repo:x/y:ref:refs/heads/main", "", 0), nil, "invalid_grant", "subject does not match"},
		"another issuer":     {workload(t, l, WorkloadSpec{Issuer: "https://other.example"}), nil, "invalid_grant", "issuer does not match"},
		"expired":            {l.IssueWorkload("", "", -time.Second), nil, "invalid_grant", "has expired"},
		"another key":        {workload(t, l, WorkloadSpec{Foreign: true}), nil, "invalid_grant", "signature does not verify"},
		"the workspace's":    {mint(t, l, TokenSpec{Kind: WorkspaceToken}), nil, "invalid_grant", "signature does not verify"},
		"no JWT":             {"x", nil, "invalid_grant", "not a JWT"},
		"none":               {"", nil, "invalid_request", "subject_token is missing"},
		"no type":            {right, []string{"subject_token_type", ""}, "invalid_request", "subject_token_type is not"},
		"another scope":      {right, []string{"scope", "sql"}, "invalid_scope", "scope is invalid"},
		"a stranger's id":    {right, []string{"client_id", newUUID()}, "invalid_client", "No federation policy"},
		"another's id":       {right, []string{"client_id", other}, "invalid_client", "No federation policy"},
		"a user's as id":     {right, []string{"client_id", l.User}, "invalid_client", "No federation policy"},
		"the right one last": {right, nil, "", ""},
	} {
		a := postForm(t, c, l.WorkspaceURL()+"/oidc/v1/token", exchangeForm(l, tt.token, tt.changes...))
		code, _ := a.body["error"].(string)
		why, _ := a.body["error_description"].(string)
		if code != tt.code || !strings.Contains(why, tt.why) || (a.status == 200) != (tt.code == "") {
			t.Errorf("%s: %+v", name, a)
		}
		if tt.code != "" {
			continue
		}
		want := l.ClientID
		if name == "account's policy" {
			want = l.User
		}
		if who, err := l.sign.verify(a.body["access_token"].(string), WorkspaceToken, time.Now()); err != nil || who.Subject != want || a.body["refresh_token"] != nil {
			t.Errorf("%s: %v %+v", name, err, who)
		}
	}
	if n := l.Counters(); n.Granted[GrantExchange] != 4 || n.Refused[GrantExchange] != 14 {
		t.Errorf("%+v", n)
	}
	l.Set(func(s *Settings) { s.Audience, s.Subject = "https://w.example", "job" })
	for token, want := range map[string]int{right: 400, l.IssueWorkload("job", "https://w.example", 0): 200, l.IssueWorkload("", "", 0): 200} {
		if a := postForm(t, c, l.WorkspaceURL()+"/oidc/v1/token", exchangeForm(l, token)); a.status != want {
			t.Errorf("by the settings, want %d: %+v", want, a)
		}
	}
}

// The Actions service is not there before it is asked for, and gives tokens that
// the policy admits to who has the job's own.
func TestActions(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	if l.actions.server != nil {
		t.Error("it listens already")
	}
	at, bearer := l.ActionsURL(), l.ActionsToken()
	if at != l.ActionsURL() || bearer != l.ActionsToken() || !strings.HasPrefix(at, "https://localhost:") || strings.HasPrefix(at, l.WorkspaceURL()) {
		t.Fatalf("%q", at)
	}
	get := func(url, bearer string) answer {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+bearer)
		a, err := do(c, r)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	audience := "&audience=" + url.QueryEscape(l.WorkspaceURL()+"/oidc/v1/token")
	a := get(at+audience, bearer)
	token, _ := a.body["value"].(string)
	if a.status != 200 {
		t.Fatalf("%+v", a)
	}
	if a := postForm(t, c, l.WorkspaceURL()+"/oidc/v1/token", exchangeForm(l, token)); a.status != 200 {
		t.Errorf("exchange: %+v", a)
	}
	base, _, _ := strings.Cut(at, "?")
	for name, tt := range map[string]struct {
		url, bearer string
		status      int
	}{
		"another bearer": {at + audience, bearer + "x", 401}, "no bearer": {at + audience, "", 401},
		"no version": {base + "?" + audience[1:], bearer, 400}, "two audiences": {at + audience + audience, bearer, 400},
		"another path": {base + "x", bearer, 404}, "no audience": {at, bearer, 200},
	} {
		if a := get(tt.url, tt.bearer); a.status != tt.status {
			t.Errorf("%s: %+v", name, a)
		}
	}
	l.Set(func(s *Settings) { s.Faults = []Fault{Answer(CallActions, 1, 503, "")} })
	if a := get(at+audience, bearer); a.status != 503 {
		t.Errorf("a fault: %+v", a)
	}
	if n := l.Counters().ByCall; n[CallActions] != 7 || n[CallOther] != 1 {
		t.Errorf("%+v", n)
	}
}

func TestActionsEnds(t *testing.T) {
	t.Parallel()
	l, _ := apiOnly(t)
	at, err := url.Parse(l.ActionsURL())
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(l.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	open, err := tls.Dial("tcp", at.Host, &tls.Config{RootCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.DialTimeout("tcp", at.Host, time.Second); err == nil {
		c.Close()
		t.Error("it listens after Close")
	}
	if again, late := l.ActionsURL(), begin(t, Options{NoPostgres: true}); again != at.String() || late.Close() != nil || late.ActionsURL() != "" {
		t.Errorf("after Close it is %q", again)
	}
}
