package emulator

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCredentials(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{NoPostgres: true, Instances: []string{"shop", "other"}})
	known, instance := `{"endpoint":"`+l.Endpoint+`"`, "/api/2.0/database/credentials"
	for _, tt := range []struct {
		bearer, path, body string
		status             int
		message            string
	}{
		{l.MintToken(TokenSpec{}), credentialsPath, known + "}", 401, "Invalid Token"},
		{l.MintToken(TokenSpec{Kind: WorkspaceToken, Foreign: true}), credentialsPath, known + "}", 401, "Invalid Token"},
		{l.MintToken(TokenSpec{Kind: WorkspaceToken, Life: -time.Second}), credentialsPath, known + "}", 401, "expired"},
		{l.bearer, credentialsPath, "{}", 400, "Field 'endpoint' is required, expected non-default value"},
		{l.bearer, credentialsPath, `{"endpoint":"projects/shop/branches/production/endpoints/none"}`, 404, "endpoint id not found [TraceId: "},
		{l.bearer, credentialsPath, "endpoint=x", 400, "Invalid JSON"},
		{l.bearer, credentialsPath, known + `,"ttl":"299s"}`, 400, "must be between 5m0s and 1h0m0s"},
		{l.bearer, credentialsPath, known + `,"ttl":"15m"}`, 400, "must be between 5m0s and 1h0m0s"},
		{l.bearer, credentialsPath, known + `,"ttl":"300s"}`, 200, "expire_time"},
		{l.bearer, instance, `{"instance_names":["shop","none"]}`, 404, "Database instance 'none' not found"},
		{l.bearer, instance, `{"instance_names":["shop"]}`, 200, "expiration_time"},
	} {
		l.as(tt.bearer).call("POST", tt.path, tt.body).want(t, tt.body, tt.status, tt.message)
	}
	l.get(instance).want(t, "GET", 404, "No API found")
	l.Set(func(s *Settings) { s.NoWorkspaceAccess = true })
	l.call("POST", credentialsPath, known+"}").want(t, "no entitlement", 403, "API is disabled for users without workspace-access entitlement")
}

// On a unified host, only the account's endpoints work; elsewhere, only the workspace's.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	const audiences = "token_federation_default_oidc_audiences"
	own, account := l.WorkspaceURL()+"/oidc", l.WorkspaceURL()+"/oidc/accounts/"+accountID
	check := func(base string, works bool) {
		t.Helper()
		if a := l.post(base+"/v1/token", refreshForm(l.IssueRefresh(""))); (a.str("access_token") != "") != works {
			t.Errorf("token endpoint of %s: got %+v, want it to work: %v", base, a, works)
		}
		a := l.get(strings.TrimPrefix(base, l.WorkspaceURL()) + "/v1/authorize?" + authorizeForm("approve", "1").Encode())
		if page := a.status == 200 && strings.HasPrefix(a.text, "<!doctype html>"); page == works {
			t.Errorf("authorization endpoint of %s: got %+v, want it to work: %v", base, a, works)
		}
	}
	config := func(want map[string]any) {
		t.Helper()
		got := l.get(configPath).body
		for name, value := range want {
			if diff := cmp.Diff(value, got[name]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
	check(own, true)
	check(account, false)
	config(map[string]any{"host_type": "workspace", "workspace_id": workspaceID, "oidc_endpoint": own, audiences: []any{own + "/v1/token"}})
	l.Set(func(s *Settings) { s.Unified = true })
	check(own, false)
	check(l.WorkspaceURL()+"/oidc/accounts/other", false)
	check(account, true)
	config(map[string]any{"host_type": "unified", "workspace_id": nil, "oidc_endpoint": account, "account_id": accountID,
		audiences: []any{account + "/v1/token"}})
	if a := l.get("/oidc/accounts/" + accountID + serverPath); a.body["token_endpoint"] != account+"/v1/token" ||
		a.body["authorization_endpoint"] != account+"/v1/authorize" {
		t.Errorf("got %+v", a)
	}
	l.Set(func(s *Settings) { s.AccountPlaceholder, s.Audiences = true, []string{"one", "two"} })
	config(map[string]any{"oidc_endpoint": l.WorkspaceURL() + "/oidc/accounts/{account_id}", audiences: []any{"one", "two"}})
	l.Set(func(s *Settings) {
		*s = Settings{ForeignOIDCEndpoint: "https://o.example", ForeignTokenEndpoint: "https://t.example",
			ForeignAuthorizationEndpoint: "https://a.example", Audiences: []string{}}
	})
	config(map[string]any{"oidc_endpoint": "https://o.example", audiences: nil})
	if a := l.get("/oidc" + serverPath); a.body["token_endpoint"] != "https://t.example" || a.body["authorization_endpoint"] != "https://a.example" {
		t.Errorf("got %+v", a)
	}
	l.Set(func(s *Settings) { *s = Settings{WorkspaceHeader: true} })
	for id, status := range map[string]int{workspaceID: 200, "1": 400} {
		l.send("GET", mePath, "", "", func(r *http.Request) {
			r.Header.Set("X-Databricks-Workspace-Id", id)
			r.Header.Set("Authorization", "Bearer "+l.bearer)
		}).want(t, "workspace "+id, status, "")
	}
}

func secretsOf(id string) string { return strings.Replace(secretsPath, "{principal}", id, 1) }

func TestSecrets(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	path := secretsOf(l.get(mePath).str("id"))
	a := l.call("POST", path, `{"lifetime":"7776000s"}`)
	value := a.str("secret")
	created, _ := time.Parse(time.RFC3339Nano, a.str("create_time"))
	expires, _ := time.Parse(time.RFC3339Nano, a.str("expire_time"))
	if a.status != 200 || !strings.HasPrefix(value, "dose") || expires.Sub(created) != 90*24*time.Hour {
		t.Fatalf("create: got %+v", a)
	}
	signsIn := func(secret string, status int) { t.Helper(); l.token(l.ClientID, secret).want(t, "token", status, "") }
	signsIn(l.ClientSecret, 200)
	signsIn(value, 200)
	if a := l.get(path); a.status != 200 || strings.Contains(a.text, value) || a.body["secrets"] == nil { // it is shown once
		t.Errorf("list: got %+v", a)
	}
	first := l.Secrets()[0].ID
	for _, status := range []int{200, 404} {
		l.call("DELETE", path+"/"+first, "").want(t, "delete", status, "")
	}
	signsIn(l.ClientSecret, 401)
	for range 4 {
		l.call("POST", path, "").want(t, "create", 200, "")
	}
	l.call("POST", path, "").want(t, "the sixth", 400, "RESOURCE_LIMIT_EXCEEDED")
	l.get(secretsOf("42")).want(t, "another's", 404, "")
	l.as(l.PAT()).get(path).want(t, "by the administrator", 200, "")
	l.as(l.MintToken(TokenSpec{Kind: WorkspaceToken, Subject: l.AddPrincipal()})).get(path).want(t, "by another one", 404, "")
	l.Set(func(s *Settings) { s.ClockSkew = 91 * 24 * time.Hour })
	signsIn(value, 401) // expired
}

func TestResources(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	const reader = "projects/lab/branches/main/endpoints/reader"
	for _, r := range []Resource{{Name: "projects/shop/branches/dev"}, {Name: "projects/lab/branches/main/endpoints/primary"},
		{Name: "projects/empty"},
		{Name: "projects/shop/branches/old", Archived: true}, {Name: reader, ReadOnly: true, Disabled: true}} {
		if err := l.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"", "shop", "projects/Shop", "projects/shop/branches", "projects/shop/endpoints/e",
		"projects/shop/branches/b/endpoints/e/x"} {
		if err := l.Put(Resource{Name: name}); err == nil {
			t.Errorf("%q was accepted", name)
		}
	}
	for name, want := range map[string]string{
		"projects/empty":             `"default_branch":""`,
		"projects/shop":              `"default_branch":"projects/shop/branches/production"`,
		"projects/shop/branches/old": `"current_state":"ARCHIVED","default":false`,
		"projects/lab/branches/main": `"current_state":"READY","default":true`,
		reader:                       `"endpoint_type":"ENDPOINT_TYPE_READ_ONLY","hosts":{"host":"127.0.0.1","read_only_pooled_host":"local-ro-pooler.localhost","read_write_pooled_host":"local-pooler.localhost"}`,
		Endpoint:                     `"disabled":false,"endpoint_type":"ENDPOINT_TYPE_READ_WRITE","hosts":{"host":"localhost","read_only_host":"127.0.0.1",`,
	} {
		a := l.get(resourcesPath + name)
		if a.want(t, name, 200, want); a.str("uid") != UID(name) {
			t.Errorf("%s: got uid %q", name, a.str("uid"))
		}
	}
	var branches []any
	l.Set(func(s *Settings) { s.PageSize, s.EndpointHost = 1, "ep-x.example" })
	for token := "x"; token != ""; {
		a := l.get(resourcesPath + "projects/shop/branches?page_size=2&page_token=" + strings.Trim(token, "x"))
		items, _ := a.body["branches"].([]any)
		branches, token = append(branches, items...), a.str("next_page_token")
	}
	if len(branches) != 3 {
		t.Errorf("got branches %v", branches)
	}
	l.get(resourcesPath+Endpoint).want(t, "the setting's host", 200, `"host":"ep-x.example"`)
	l.get(resourcesPath+"projects?page_token=x").want(t, "another list's token", 400, "INVALID_PARAMETER_VALUE")
	for _, path := range []string{"projects/none", "projects/none/branches", "projects/shop/x/y", "projects/" + UID("projects/shop")} {
		l.get(resourcesPath+path).want(t, path, 404, "NOT_FOUND")
	}
	if err := l.Remove("projects/lab"); err != nil || len(l.Resources()) != 6 || l.Remove("projects/lab") == nil {
		t.Errorf("got %v, %d left", err, len(l.Resources()))
	}
}
