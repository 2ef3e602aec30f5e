package emulator

import (
	"strings"
	"testing"
	"time"
)

func TestCredentials(t *testing.T) {
	t.Parallel()
	l := apiOnly(t)
	known := `{"endpoint":"` + l.Endpoint + `"`
	for _, tt := range []struct {
		bearer, body string
		status       int
		message      string
	}{
		{l.MintToken(TokenSpec{}), known + "}", 401, "Invalid Token"},
		{l.MintToken(TokenSpec{Kind: WorkspaceToken, Foreign: true}), known + "}", 401, "Invalid Token"},
		{l.MintToken(TokenSpec{Kind: WorkspaceToken, Life: -time.Second}), known + "}", 401, "expired"},
		{l.bearer, "{}", 400, "Field 'endpoint' is required, expected non-default value"},
		{l.bearer, "endpoint=x", 400, "Invalid JSON"},
		{l.bearer, known + `,"ttl":"15m"}`, 400, "must be between 5m0s and 1h0m0s"},
		{l.bearer, known + `,"ttl":"300s"}`, 200, "expire_time"},
	} {
		l.as(tt.bearer).call("POST", "/api/2.0/postgres/credentials", tt.body).want(t, tt.body, tt.status, tt.message)
	}
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
