package emulator

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// secretsURL is the path of the first principal's secrets.
func secretsURL(t *testing.T, c *http.Client, l *Lakebase, bearer string) string {
	t.Helper()
	a, err := call(t, c, l, "GET", "/api/2.0/preview/scim/v2/Me", bearer, "")
	id, _ := a.body["id"].(string)
	if err != nil || id == "" || id == l.ClientID {
		t.Fatalf("Me: %v %+v", err, a)
	}
	return secretsPrefix + id + secretsSuffix
}

func TestSecretsLiveAndEnd(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	bearer := mint(t, l, TokenSpec{Kind: WorkspaceToken})
	path := secretsURL(t, c, l, bearer)
	a, err := call(t, c, l, "POST", path, bearer, `{"lifetime":"7776000s"}`)
	value, _ := a.body["secret"].(string)
	if err != nil || a.status != 200 || !strings.HasPrefix(value, "dose") || a.body["status"] != "ACTIVE" || a.body["secret_hash"] == "" {
		t.Fatalf("create: %v %+v", err, a)
	}
	created, _ := time.Parse(time.RFC3339Nano, a.body["create_time"].(string))
	expires, _ := time.Parse(time.RFC3339Nano, a.body["expire_time"].(string))
	if expires.Sub(created) != 90*24*time.Hour {
		t.Errorf("it lives for %s", expires.Sub(created))
	}
	for _, s := range []string{l.ClientSecret, value} {
		if got, err := askToken(t, c, l, l.ClientID, s); err != nil || got.status != 200 {
			t.Errorf("both sign in: %v %+v", err, got)
		}
	}
	// Shown once.
	for _, token := range []string{"", "?page_token=1", "?page_size=10"} {
		if got, err := call(t, c, l, "GET", path+token, bearer, ""); err != nil || got.status != 200 || strings.Contains(got.text, value) || got.body["secrets"] == nil {
			t.Errorf("list%s: %v %+v", token, err, got)
		}
	}
	first := l.Secrets()[0].ID
	if got, err := call(t, c, l, "DELETE", path+"/"+first, bearer, ""); err != nil || got.status != 200 {
		t.Errorf("delete: %v %+v", err, got)
	}
	if got, err := askToken(t, c, l, l.ClientID, l.ClientSecret); err != nil || got.status != 401 {
		t.Errorf("a deleted one: %v %+v", err, got)
	}
	if got, err := call(t, c, l, "DELETE", path+"/"+first, bearer, ""); err != nil || got.status != 404 {
		t.Errorf("deleted twice: %v %+v", err, got)
	}
	l.Set(func(s *Settings) { s.ClockSkew = 91 * 24 * time.Hour })
	if got, err := askToken(t, c, l, l.ClientID, value); err != nil || got.status != 401 {
		t.Errorf("an expired one: %v %+v", err, got)
	}
}

func TestSecretsHaveBounds(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	bearer := mint(t, l, TokenSpec{Kind: WorkspaceToken})
	path := secretsURL(t, c, l, bearer)
	for name, body := range map[string]string{"no unit": `{"lifetime":"90"}`, "too long": `{"lifetime":"63072001s"}`, "zero": `{"lifetime":"0s"}`, "not JSON": `x`} {
		if a, err := call(t, c, l, "POST", path, bearer, body); err != nil || a.status != 400 {
			t.Errorf("%s: %v %+v", name, err, a)
		}
	}
	for range 4 {
		if a, err := call(t, c, l, "POST", path, bearer, ""); err != nil || a.status != 200 {
			t.Fatalf("%v %+v", err, a)
		}
	}
	if a, err := call(t, c, l, "POST", path, bearer, ""); err != nil || a.status != 400 || a.body["error_code"] != "RESOURCE_LIMIT_EXCEEDED" || len(l.Secrets()) != 5 {
		t.Errorf("the sixth: %v %+v", err, a)
	}
	seen, token, pages := 0, "", 0
	for pages < 9 {
		a, err := call(t, c, l, "GET", path+"?page_token="+token, bearer, "")
		if err != nil || a.status != 200 {
			t.Fatalf("%v %+v", err, a)
		}
		list, _ := a.body["secrets"].([]any)
		seen, pages = seen+len(list), pages+1
		if token, _ = a.body["next_page_token"].(string); token == "" {
			break
		}
	}
	if seen != 5 || pages != 3 {
		t.Errorf("%d secrets on %d pages", seen, pages)
	}
	if a, err := call(t, c, l, "GET", secretsPrefix+"42"+secretsSuffix, bearer, ""); err != nil || a.status != 404 {
		t.Errorf("somebody else's: %v %+v", err, a)
	}
	l.Set(func(s *Settings) { s.SecretsDenied = true })
	if a, err := call(t, c, l, "GET", path, bearer, ""); err != nil || a.status != 403 {
		t.Errorf("denied: %v %+v", err, a)
	}
	l.Set(func(s *Settings) { s.SecretsDenied, s.SecretDelay = false, time.Hour })
	if err := l.DeleteSecret(l.Secrets()[4].ID); err != nil {
		t.Fatal(err)
	}
	late, err := l.AddSecret()
	if err != nil || !l.SignsIn(late.Value) {
		t.Errorf("one from elsewhere: %v", err)
	}
	if err := l.DeleteSecret(late.ID); err != nil {
		t.Fatal(err)
	}
	a, err := call(t, c, l, "POST", path, bearer, "")
	if value, _ := a.body["secret"].(string); err != nil || l.SignsIn(value) {
		t.Errorf("it signs in before its time: %v", err)
	}
}
