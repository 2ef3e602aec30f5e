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
)

func apiOnly(t *testing.T) (*Lakebase, *http.Client) {
	t.Helper()
	l := begin(t, Options{NoPostgres: true})
	return l, client(t, l)
}

func TestTokenErrors(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	for name, id := range map[string][2]string{"wrong secret": {l.ClientID, newSecret()}, "wrong id": {newUUID(), l.ClientSecret}} {
		a, err := askToken(t, c, l, id[0], id[1])
		if err != nil || a.status != 401 || a.body["error"] != "invalid_client" || a.body["error_description"] != "Client authentication failed" || a.body["error_id"] == "" {
			t.Errorf("%s: %v %+v", name, err, a)
		}
	}
	l.Set(func(s *Settings) { s.SecretRevoked = true })
	if a, err := askToken(t, c, l, l.ClientID, l.ClientSecret); err != nil || a.status != 401 || a.body["error"] != "invalid_client" {
		t.Errorf("revoked: %v %+v", err, a)
	}
	l.Set(func(s *Settings) { s.SecretRevoked = false })
	if a, err := call(t, c, l, "POST", "/oidc/v1/token", "", ""); err != nil || a.status != 401 || a.body["error_description"] != "Missing client authentication" {
		t.Errorf("no Basic: %v %+v", err, a)
	}
	if a, err := askToken(t, c, l, l.ClientID, l.ClientSecret); err != nil || a.status != 200 {
		t.Errorf("the right ones: %v %+v", err, a)
	}
}

func TestCredentialErrors(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	good := mint(t, l, TokenSpec{Kind: WorkspaceToken})
	known := `{"endpoint":"` + l.Endpoint + `"`
	tests := []struct {
		name, bearer, body string
		set                func(*Settings)
		status             int
		message            string
	}{
		{"no bearer", "", known + "}", nil, 401, "Credential was not sent"},
		{"expired bearer", mint(t, l, TokenSpec{Kind: WorkspaceToken, Life: -time.Second}), known + "}", nil, 401, "expired"},
		{"foreign bearer", mint(t, l, TokenSpec{Kind: WorkspaceToken, Foreign: true}), known + "}", nil, 401, "Invalid Token"},
		{"database token as bearer", mint(t, l, TokenSpec{}), known + "}", nil, 401, "Invalid Token"},
		{"no endpoint", good, "{}", nil, 400, `Field 'endpoint' is required, expected non-default value (not "")!`},
		{"unknown endpoint", good, `{"endpoint":"projects/shop/branches/production/endpoints/none"}`, nil, 404, "endpoint id not found [TraceId: "},
		{"not JSON", good, "endpoint=x", nil, 400, "Invalid JSON"},
		{"ttl too short", good, known + `,"ttl":"299s"}`, nil, 400, "life must be between"},
		{"ttl too long", good, known + `,"ttl":"3601s"}`, nil, 400, "life must be between"},
		{"ttl no duration", good, known + `,"ttl":"15m"}`, nil, 400, "no duration"},
		{"no entitlement", good, known + "}", func(s *Settings) { s.NoWorkspaceAccess = true }, 403, "API is disabled for users without workspace-access entitlement"},
		{"shortest ttl", good, known + `,"ttl":"300s"}`, nil, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.set != nil {
				l.Set(tt.set)
				defer l.Set(func(s *Settings) { *s = Settings{} })
			}
			a, err := call(t, c, l, "POST", "/api/2.0/postgres/credentials", tt.bearer, tt.body)
			if err != nil || a.status != tt.status {
				t.Fatalf("%v %+v", err, a)
			}
			if message, _ := a.body["message"].(string); !strings.Contains(message, tt.message) {
				t.Errorf("message %q, want %q", message, tt.message)
			}
			if tt.status == 200 {
				at, err := time.Parse(time.RFC3339Nano, a.body["expire_time"].(string))
				if left := time.Until(at); err != nil || left < 299*time.Second || left > 300*time.Second {
					t.Errorf("expires in %v, %v", left, err)
				}
			}
		})
	}
}

func TestResources(t *testing.T) {
	t.Parallel()
	second := "projects/shop/branches/dev/endpoints/primary"
	l := begin(t, Options{NoPostgres: true, Endpoints: []string{Endpoint, second}})
	c := client(t, l)
	bearer := mint(t, l, TokenSpec{Kind: WorkspaceToken})
	get := func(path string) answer {
		t.Helper()
		a, err := call(t, c, l, "GET", "/api/2.0/"+path, bearer, "")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for path, key := range map[string]string{"postgres/projects": "projects", "postgres/projects/shop/branches": "branches", "postgres/projects/shop/branches/dev/endpoints": "endpoints"} {
		want := map[string]int{"projects": 1, "branches": 2, "endpoints": 1}[key]
		if a := get(path); a.status != 200 || len(a.body[key].([]any)) != want {
			t.Errorf("%s: %+v, want %d %s", path, a, want, key)
		}
	}
	for _, path := range []string{"projects/none", "projects/shop/branches/none", "projects/none/branches", "projects/shop/x/y", Endpoint + "/more/still"} {
		if a := get("postgres/" + path); a.status != 404 || a.body["error_code"] != "NOT_FOUND" {
			t.Errorf("%s: %+v, want 404", path, a)
		}
	}
	status := func() map[string]any { return get("postgres/" + second).body["status"].(map[string]any) }
	if s := status(); s["disabled"] != false || s["current_state"] != "ACTIVE" || s["hosts"].(map[string]any)["host"] != "localhost" {
		t.Errorf("%+v", s)
	}
	l.Set(func(s *Settings) { s.EndpointDisabled, s.EndpointHost = true, "ep-x.database.example.com" })
	if s := status(); s["disabled"] != true || s["hosts"].(map[string]any)["host"] != "ep-x.database.example.com" {
		t.Errorf("%+v", s)
	}
	if a := get("preview/scim/v2/Me"); a.body["userName"] != l.ClientID {
		t.Errorf("%+v", a)
	}
	config, err := call(t, c, l, "GET", "/.well-known/databricks-config", "", "")
	if err != nil || config.body["oidc_endpoint"] != l.WorkspaceURL()+"/oidc" {
		t.Errorf("%v %+v", err, config)
	}
	meta, err := call(t, c, l, "GET", "/oidc/.well-known/oauth-authorization-server", "", "")
	if err != nil || meta.body["token_endpoint"] != l.WorkspaceURL()+"/oidc/v1/token" {
		t.Errorf("%v %+v", err, meta)
	}
}

// Faults are used up in order, by the call that they name.
func TestFaults(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	token := func() (answer, error) { return askToken(t, c, l, l.ClientID, l.ClientSecret) }
	l.Set(func(s *Settings) {
		s.Faults = []Fault{Answer(CallCredentials, 1, 500, ""), Answer(CallToken, 2, 429, "7"), {Call: CallToken, Drop: true},
			{Call: CallToken, Truncate: true}, {Call: CallToken, Echo: true, Status: 500}, {Call: CallToken, Slow: 300 * time.Millisecond}}
	})
	for range 2 {
		if a, err := token(); err != nil || a.status != 429 || a.header.Get("Retry-After") != "7" || a.body["error_code"] != "REQUEST_LIMIT_EXCEEDED" {
			t.Errorf("429: %v %+v", err, a)
		}
	}
	if a, err := token(); err == nil {
		t.Errorf("dropped: %+v", a)
	}
	if a, err := token(); err == nil || a.status != 200 {
		t.Errorf("truncated: %v %+v", err, a)
	}
	if a, err := token(); err != nil || a.status != 500 || !strings.Contains(a.text, l.ClientSecret) || !strings.Contains(a.text, "Basic ") {
		t.Errorf("echo: %v %+v", err, a)
	}
	at := time.Now()
	if a, err := token(); err != nil || a.status != 200 || a.body["access_token"] == nil || time.Since(at) < 300*time.Millisecond {
		t.Errorf("slow: %v after %v", err, time.Since(at))
	}
	if a, err := token(); err != nil || a.status != 200 {
		t.Errorf("after the faults: %v %+v", err, a)
	}
	if left := l.Settings().Faults; len(left) != 1 || left[0].Call != CallCredentials {
		t.Errorf("left %+v", left)
	}
	var seen []int
	for _, q := range l.Requests() {
		seen = append(seen, q.Status)
	}
	if want := []int{429, 429, 0, 200, 500, 200, 200}; !slices.Equal(seen, want) {
		t.Errorf("recorded %v, want %v", seen, want)
	}
	l.Set(func(s *Settings) { s.Faults = []Fault{Redirect(AnyCall, 307, "https://stranger.example/")} })
	for range 2 {
		if a, err := token(); err != nil || a.status != 307 || a.header.Get("Location") != "https://stranger.example/" {
			t.Errorf("redirect: %v %+v", err, a)
		}
	}
	l.Set(func(s *Settings) { s.Faults = []Fault{HTML(CallToken)} })
	if a, err := token(); err != nil || a.status != 200 || !strings.HasPrefix(a.text, "<!doctype html>") {
		t.Errorf("HTML: %v %+v", err, a)
	}
}

func TestSpoiledFields(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	for field, want := range map[Field]any{Normal: 3600.0, Missing: nil, String: "3600", Zero: 0.0, Negative: -3600.0} {
		l.Set(func(s *Settings) { s.ExpiresIn = field })
		if a, err := askToken(t, c, l, l.ClientID, l.ClientSecret); err != nil || a.body["expires_in"] != want || a.body["access_token"] == nil {
			t.Errorf("%q: %v %+v", field, err, a)
		}
	}
	l.Set(func(s *Settings) { s.ExpireTime, s.ClockSkew = Missing, -2*time.Hour })
	a, err := call(t, c, l, "POST", "/api/2.0/postgres/credentials", mint(t, l, TokenSpec{Kind: WorkspaceToken}), `{"endpoint":"`+l.Endpoint+`"}`)
	if err != nil || a.body["token"] == nil || a.body["expire_time"] != nil {
		t.Errorf("%v %+v", err, a)
	}
	date, err := http.ParseTime(a.header.Get("Date"))
	if off := time.Since(date); err != nil || off < 119*time.Minute || off > 121*time.Minute {
		t.Errorf("Date is %v behind, %v", off, err)
	}
}

// Latency is added to each request, connect latency to each connection.
func TestLatency(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	l.Set(func(s *Settings) { s.Latency, s.ConnectLatency = 50*time.Millisecond, 100*time.Millisecond })
	for i, want := range []time.Duration{150 * time.Millisecond, 50 * time.Millisecond} {
		at := time.Now()
		if a, err := askToken(t, c, l, l.ClientID, l.ClientSecret); err != nil || a.status != 200 || time.Since(at) < want {
			t.Errorf("request %d: got %+v, %v after %v, want at least %v", i+1, a, err, time.Since(at), want)
		}
	}
	if n := l.Counters(); n.Connections != 1 || n.Handshakes != 1 || n.Requests != 2 {
		t.Errorf("got counters %+v", n)
	}
}

// Close does not wait for a slow answer.
func TestClose_DuringRequest(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	l.Set(func(s *Settings) { s.Latency = time.Hour })
	failed := make(chan error, 1)
	go func() {
		_, err := askToken(t, c, l, l.ClientID, l.ClientSecret)
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
	l, _ := apiOnly(t)
	if c, err := net.DialTimeout("tcp", "127.0.0.1:"+l.PGPort(), time.Second); err == nil {
		c.Close()
		t.Error("something listens on PGPort")
	}
	if err := l.Suspend(t.Context()); !errors.Is(err, errNoCompute) {
		t.Errorf("Suspend: %v", err)
	}
}

// A reply that is compressed without having been asked for says so.
func TestFaultGzipAndPad(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	l.Set(func(s *Settings) { s.Faults = []Fault{{Call: CallToken, Gzip: 2, Pad: 3}} })
	a, err := askToken(t, c, l, l.ClientID, l.ClientSecret)
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("%v %+v", err, a)
	}
	// Go's client undoes what it thinks that it asked for, once.
	z, err := gzip.NewReader(strings.NewReader(a.text))
	if err != nil {
		t.Fatalf("%v: %q", err, a.text)
	}
	text, err := io.ReadAll(z)
	if err != nil || !strings.HasPrefix(string(text), "{") || !strings.HasSuffix(string(text), "}   ") {
		t.Errorf("%v: %q", err, text)
	}
}
