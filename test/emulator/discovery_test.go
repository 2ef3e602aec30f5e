package emulator

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnified(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	account := l.WorkspaceURL() + "/oidc/accounts/" + accountID
	get := func(path string) answer {
		t.Helper()
		a, err := call(t, c, l, "GET", path, "", "")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	renew := func(base string) answer {
		t.Helper()
		return postForm(t, c, base+"/v1/token", refreshForm(l.IssueRefresh("")))
	}
	login := func(a answer) bool { return a.status == 200 && strings.HasPrefix(a.text, "<!doctype html>") }
	if a := renew(l.WorkspaceURL() + "/oidc"); a.body["access_token"] == nil {
		t.Errorf("a workspace's: %+v", a)
	}
	if a := renew(account); !login(a) {
		t.Errorf("an account's at a workspace: %+v", a)
	}
	if a := get(configPath); a.body["host_type"] != "workspace" || a.body["workspace_id"] != workspaceID || a.body["oidc_endpoint"] != l.WorkspaceURL()+"/oidc" {
		t.Errorf("%+v", a)
	}
	l.Set(func(s *Settings) { s.Unified = true })
	if a := get(configPath); a.body["host_type"] != "unified" || a.body["workspace_id"] != nil || a.body["oidc_endpoint"] != account || a.body["account_id"] != accountID {
		t.Errorf("%+v", a)
	}
	if a := get("/oidc/accounts/" + accountID + serverPath); a.body["token_endpoint"] != account+"/v1/token" || a.body["authorization_endpoint"] != account+"/v1/authorize" {
		t.Errorf("%+v", a)
	}
	if a := renew(account); a.body["access_token"] == nil {
		t.Errorf("an account's: %+v", a)
	}
	for _, base := range []string{l.WorkspaceURL() + "/oidc", l.WorkspaceURL() + "/oidc/accounts/other"} {
		if a := renew(base); !login(a) {
			t.Errorf("%s: %+v", base, a)
		}
	}
	if !login(get("/oidc"+serverPath)) || !login(get("/oidc/v1/authorize?"+asking().Encode())) || login(get("/oidc/accounts/"+accountID+"/v1/authorize?"+asking("approve", "1").Encode())) {
		t.Error("the workspace's paths on a unified host")
	}
	if a := postForm(t, c, account+"/v1/token", exchangeForm(l, l.IssueWorkload("", account+"/v1/token", 0))); a.status != 200 {
		t.Errorf("the audience follows: %+v", a)
	}
	l.Set(func(s *Settings) { s.AccountPlaceholder = true })
	if a := get(configPath); a.body["oidc_endpoint"] != l.WorkspaceURL()+"/oidc/accounts/{account_id}" {
		t.Errorf("%+v", a)
	}
}

func TestDiscoveryOfStrangers(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	field := func(path, name string) any {
		t.Helper()
		a, err := call(t, c, l, "GET", path, "", "")
		if err != nil || a.status != 200 {
			t.Fatalf("%v %+v", err, a)
		}
		return a.body[name]
	}
	const audiences = "token_federation_default_oidc_audiences"
	if diff := cmp.Diff([]any{l.WorkspaceURL() + "/oidc/v1/token"}, field(configPath, audiences)); diff != "" {
		t.Error(diff)
	}
	l.Set(func(s *Settings) {
		s.ForeignOIDCEndpoint, s.ForeignTokenEndpoint, s.ForeignAuthorizationEndpoint = "https://o.example", "https://t.example", "https://a.example"
		s.Audiences = []string{"one", "two"}
	})
	if diff := cmp.Diff([]any{"one", "two"}, field(configPath, audiences)); diff != "" {
		t.Error(diff)
	}
	if o, at, a := field(configPath, "oidc_endpoint"), field("/oidc"+serverPath, "token_endpoint"), field("/oidc"+serverPath, "authorization_endpoint"); o != "https://o.example" || at != "https://t.example" || a != "https://a.example" {
		t.Errorf("%v, %v, %v", o, at, a)
	}
	l.Set(func(s *Settings) { s.Audiences = []string{} })
	if got := field(configPath, audiences); got != nil {
		t.Errorf("%v", got)
	}
}

func TestWorkspaceHeader(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	l.Set(func(s *Settings) { s.WorkspaceHeader = true })
	bearer := mint(t, l, TokenSpec{Kind: WorkspaceToken})
	c.Transport = withHeader{c.Transport, "X-Databricks-Workspace-Id", workspaceID}
	if a, err := call(t, c, l, "GET", "/api/2.0/preview/scim/v2/Me", bearer, ""); err != nil || a.status != 200 {
		t.Errorf("%v %+v", err, a)
	}
	c.Transport = withHeader{c.Transport, "X-Databricks-Workspace-Id", "1"}
	if a, err := call(t, c, l, "GET", "/api/2.0/preview/scim/v2/Me", bearer, ""); err != nil || a.status != 400 || !strings.Contains(a.text, "X-Databricks-Workspace-Id") {
		t.Errorf("%v %+v", err, a)
	}
}
