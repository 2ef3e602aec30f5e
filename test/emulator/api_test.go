package emulator

import (
	"compress/gzip"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCredentials(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	known := `{"endpoint":"` + l.Endpoint + `"`
	token := func(spec TokenSpec) string { return mint(t, l.Lakebase, spec) }
	for _, tt := range []struct {
		name, bearer, body string
		status             int
		message            string
	}{
		{"no bearer", "", known + "}", 401, "Credential was not sent"},
		{"expired bearer", token(TokenSpec{Kind: WorkspaceToken, Life: -time.Second}), known + "}", 401, "expired"},
		{"foreign bearer", token(TokenSpec{Kind: WorkspaceToken, Foreign: true}), known + "}", 401, "Invalid Token"},
		{"database token as bearer", token(TokenSpec{}), known + "}", 401, "Invalid Token"},
		{"no endpoint", l.bearer, "{}", 400, `Field 'endpoint' is required, expected non-default value (not "")!`},
		{"unknown endpoint", l.bearer, `{"endpoint":"projects/shop/branches/production/endpoints/none"}`, 404, "endpoint id not found [TraceId: "},
		{"not JSON", l.bearer, "endpoint=x", 400, "Invalid JSON"},
		{"ttl too short", l.bearer, known + `,"ttl":"299s"}`, 400, "life must be between"},
		{"ttl too long", l.bearer, known + `,"ttl":"3601s"}`, 400, "life must be between"},
		{"ttl no duration", l.bearer, known + `,"ttl":"15m"}`, 400, "no duration"},
		{"shortest ttl", l.bearer, known + `,"ttl":"300s"}`, 200, ""},
	} {
		a := l.as(tt.bearer).call("POST", credentialsPath, tt.body)
		if a.status != tt.status || !strings.Contains(a.str("message"), tt.message) {
			t.Errorf("%s: got %+v, want status %d and %q", tt.name, a, tt.status, tt.message)
		}
		if tt.status == 200 {
			at, err := time.Parse(time.RFC3339Nano, a.str("expire_time"))
			if left := time.Until(at); err != nil || left < 200*time.Second || left > 300*time.Second {
				t.Errorf("%s: expires in %v, %v", tt.name, left, err)
			}
		}
	}
	l.Set(func(s *Settings) { s.NoWorkspaceAccess = true })
	if a := l.call("POST", credentialsPath, known+"}"); a.status != 403 || !strings.Contains(a.text, "API is disabled for users without workspace-access entitlement") {
		t.Errorf("no entitlement: got %+v", a)
	}
}

// Faults are used up in order, by the call that they name.
func TestFaults(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	token := func() (answer, error) { return l.tryToken(l.ClientID, l.ClientSecret) }
	l.Set(func(s *Settings) {
		s.Faults = []Fault{Answer(CallCredentials, 1, 500, ""), Answer(CallToken, 2, 429, "7"), {Call: CallToken, Drop: true},
			{Call: CallToken, Truncate: true}, {Call: CallToken, Echo: true, Status: 500}, {Call: CallToken, Slow: 50 * time.Millisecond}}
	})
	for range 2 {
		if a, err := token(); err != nil || a.status != 429 || a.header.Get("Retry-After") != "7" || a.body["error_code"] != "REQUEST_LIMIT_EXCEEDED" {
			t.Errorf("429: got %+v, %v", a, err)
		}
	}
	if a, err := token(); err == nil {
		t.Errorf("dropped: got %+v", a)
	}
	if a, err := token(); err == nil || a.status != 200 {
		t.Errorf("truncated: got %+v, %v", a, err)
	}
	if a, err := token(); err != nil || a.status != 500 || !strings.Contains(a.text, l.ClientSecret) || !strings.Contains(a.text, "Basic ") {
		t.Errorf("echo: got %+v, %v", a, err)
	}
	at := time.Now()
	if a, err := token(); err != nil || a.str("access_token") == "" || time.Since(at) < 50*time.Millisecond {
		t.Errorf("slow: got %+v, %v after %v", a, err, time.Since(at))
	}
	if a, err := token(); err != nil || a.status != 200 {
		t.Errorf("after the faults: got %+v, %v", a, err)
	}
	if left := l.Settings().Faults; len(left) != 1 || left[0].Call != CallCredentials {
		t.Errorf("got %+v left", left)
	}
	var seen []int
	for _, q := range l.Requests() {
		seen = append(seen, q.Status)
	}
	if want := []int{429, 429, 0, 200, 500, 200, 200}; !slices.Equal(seen, want) {
		t.Errorf("recorded %v, want %v", seen, want)
	}
	l.Set(func(s *Settings) { s.Faults = []Fault{Redirect(AnyCall, 307, "https://other.example/")} })
	for range 2 {
		if a, err := token(); err != nil || a.status != 307 || a.header.Get("Location") != "https://other.example/" {
			t.Errorf("redirect: got %+v, %v", a, err)
		}
	}
	l.Set(func(s *Settings) { s.Faults = []Fault{HTML(CallToken)} })
	if a, err := token(); err != nil || a.status != 200 || !strings.HasPrefix(a.text, "<!doctype html>") {
		t.Errorf("HTML: got %+v, %v", a, err)
	}
	// Go's client undoes once what it thinks that it asked for.
	l.Set(func(s *Settings) { s.Faults = []Fault{{Call: CallToken, Gzip: 2, Pad: 3}} })
	a, err := token()
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(strings.NewReader(a.text))
	if err != nil {
		t.Fatalf("%v: %q", err, a.text)
	}
	if text, err := io.ReadAll(z); err != nil || !strings.HasPrefix(string(text), "{") || !strings.HasSuffix(string(text), "}   ") {
		t.Errorf("gzip: got %q, %v", text, err)
	}
}

func TestSpoiledFields(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	for field, want := range map[Field]any{Normal: 3600.0, Missing: nil, String: "3600", Zero: 0.0, Negative: -3600.0} {
		l.Set(func(s *Settings) { s.ExpiresIn = field })
		if a := l.token(l.ClientID, l.ClientSecret); a.body["expires_in"] != want || a.str("access_token") == "" {
			t.Errorf("%q: got %+v", field, a)
		}
	}
	l.Set(func(s *Settings) { s.ExpireTime, s.ClockSkew = Missing, -2*time.Hour })
	a := l.call("POST", credentialsPath, `{"endpoint":"`+l.Endpoint+`"}`)
	if a.str("token") == "" || a.body["expire_time"] != nil {
		t.Errorf("got %+v", a)
	}
	date, err := http.ParseTime(a.header.Get("Date"))
	if off := time.Since(date); err != nil || off < 119*time.Minute || off > 125*time.Minute {
		t.Errorf("Date is %v behind, %v", off, err)
	}
}

// Latency is added to each request, connect latency to each connection.
func TestLatency(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	l.Set(func(s *Settings) { s.Latency, s.ConnectLatency = 50*time.Millisecond, 100*time.Millisecond })
	for i, want := range []time.Duration{150 * time.Millisecond, 50 * time.Millisecond} {
		at := time.Now()
		if a := l.token(l.ClientID, l.ClientSecret); a.status != 200 || time.Since(at) < want {
			t.Errorf("request %d: got %+v after %v, want at least %v", i+1, a, time.Since(at), want)
		}
	}
	if n := l.Counters(); n.Connections != 1 || n.Handshakes != 1 || n.Requests != 2 {
		t.Errorf("got counters %+v", n)
	}
}

// Close does not wait for a slow answer.
func TestClose_DuringRequest(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	l.Set(func(s *Settings) { s.Latency = time.Hour })
	failed := make(chan error, 1)
	go func() {
		_, err := l.tryToken(l.ClientID, l.ClientSecret)
		failed <- err
	}()
	waitFor(t, "the connection", func() bool { return l.Counters().Handshakes == 1 })
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-failed; err == nil {
		t.Error("the request was answered")
	}
}

func TestNoPostgres(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	if c, err := net.Dial("tcp", "127.0.0.1:"+l.PGPort()); err == nil {
		c.Close()
		t.Error("something listens on PGPort")
	}
	if err := l.Suspend(t.Context()); !errors.Is(err, errNoCompute) {
		t.Errorf("Suspend: got %v", err)
	}
}

// On a unified host, only the account's endpoints work; elsewhere, only the workspace's.
func TestDiscovery_Unified(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	own, account := l.WorkspaceURL()+"/oidc", l.WorkspaceURL()+"/oidc/accounts/"+accountID
	isLoginPage := func(a answer) bool { return a.status == 200 && strings.HasPrefix(a.text, "<!doctype html>") }
	check := func(base string, works bool) {
		t.Helper()
		if a := l.post(base+"/v1/token", refreshForm(l.IssueRefresh(""))); isLoginPage(a) == works || (a.str("access_token") != "") != works {
			t.Errorf("token endpoint of %s: got %+v, want it to work: %v", base, a, works)
		}
		if a := l.get(strings.TrimPrefix(base, l.WorkspaceURL()) + "/v1/authorize?" + authorizeForm("approve", "1").Encode()); isLoginPage(a) == works {
			t.Errorf("authorization endpoint of %s: got %+v, want it to work: %v", base, a, works)
		}
	}
	check(own, true)
	check(account, false)
	if a := l.get(configPath); a.body["host_type"] != "workspace" || a.body["workspace_id"] != workspaceID || a.body["oidc_endpoint"] != own {
		t.Errorf("got %+v", a)
	}
	if a := l.get("/oidc" + serverPath); a.body["token_endpoint"] != own+"/v1/token" {
		t.Errorf("got %+v", a)
	}
	l.Set(func(s *Settings) { s.Unified = true })
	check(own, false)
	check(l.WorkspaceURL()+"/oidc/accounts/other", false)
	check(account, true)
	if a := l.get(configPath); a.body["host_type"] != "unified" || a.body["workspace_id"] != nil || a.body["oidc_endpoint"] != account || a.body["account_id"] != accountID {
		t.Errorf("got %+v", a)
	}
	if a := l.get("/oidc/accounts/" + accountID + serverPath); a.body["token_endpoint"] != account+"/v1/token" || a.body["authorization_endpoint"] != account+"/v1/authorize" {
		t.Errorf("got %+v", a)
	}
	if a := l.post(account+"/v1/token", exchangeForm(l, l.IssueWorkload("", account+"/v1/token", 0))); a.status != 200 {
		t.Errorf("the audience follows: got %+v", a)
	}
	l.Set(func(s *Settings) { s.AccountPlaceholder = true })
	if a := l.get(configPath); a.body["oidc_endpoint"] != l.WorkspaceURL()+"/oidc/accounts/{account_id}" {
		t.Errorf("got %+v", a)
	}
}

func TestDiscovery_ForeignEndpoints(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	const audiences = "token_federation_default_oidc_audiences"
	wantAudiences := func(want any) {
		t.Helper()
		if diff := cmp.Diff(want, l.get(configPath).body[audiences]); diff != "" {
			t.Errorf("audiences (-want +got):\n%s", diff)
		}
	}
	wantAudiences([]any{l.WorkspaceURL() + "/oidc/v1/token"})
	l.Set(func(s *Settings) {
		s.ForeignOIDCEndpoint, s.ForeignTokenEndpoint, s.ForeignAuthorizationEndpoint = "https://o.example", "https://t.example", "https://a.example"
		s.Audiences = []string{"one", "two"}
	})
	wantAudiences([]any{"one", "two"})
	server := l.get("/oidc" + serverPath)
	if o := l.get(configPath).str("oidc_endpoint"); o != "https://o.example" || server.str("token_endpoint") != "https://t.example" || server.str("authorization_endpoint") != "https://a.example" {
		t.Errorf("got %s, %+v", o, server)
	}
	l.Set(func(s *Settings) { s.Audiences = []string{} })
	wantAudiences(nil)
}

// roundTripper adds a header.
type roundTripper struct {
	http.RoundTripper
	name, value string
}

func (h roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(h.name, h.value)
	return h.RoundTripper.RoundTrip(r)
}

func TestWorkspaceHeader(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	l.Set(func(s *Settings) { s.WorkspaceHeader = true })
	transport := l.http.Transport
	for id, status := range map[string]int{workspaceID: 200, "1": 400} {
		l.http.Transport = roundTripper{transport, "X-Databricks-Workspace-Id", id}
		if a := l.get("/api/2.0/preview/scim/v2/Me"); a.status != status {
			t.Errorf("%s: got %+v, want %d", id, a, status)
		}
	}
}
