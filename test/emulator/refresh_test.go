package emulator

import (
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

func refreshForm(token string, changes ...string) url.Values {
	return change(url.Values{"grant_type": {"refresh_token"}, "client_id": {"databricks-cli"}, "refresh_token": {token}}, changes...)
}

// refreshing starts an emulator and gives what asks it for a refresh.
func refreshing(t *testing.T, s Settings) (*Lakebase, func(token string, changes ...string) answer) {
	t.Helper()
	l := begin(t, Options{NoPostgres: true, Settings: s})
	c := client(t, l)
	return l, func(token string, changes ...string) answer {
		t.Helper()
		return postForm(t, c, l.WorkspaceURL()+"/oidc/v1/token", refreshForm(token, changes...))
	}
}

func wantRefused(t *testing.T, what string, a answer) {
	t.Helper()
	if a.status != 401 || a.body["error"] != "invalid_request" || a.body["error_description"] != "Refresh token is invalid" {
		t.Errorf("%s: %+v", what, a)
	}
}

func TestRefreshStays(t *testing.T) {
	t.Parallel()
	l, renew := refreshing(t, Settings{})
	token := l.IssueRefresh("")
	for range 2 {
		a := renew(token)
		bearer, _ := a.body["access_token"].(string)
		if who, err := l.sign.verify(bearer, WorkspaceToken, time.Now()); err != nil || who.Subject != l.User || who.ClientID != "databricks-cli" || a.body["refresh_token"] != nil {
			t.Errorf("%v %+v", err, a)
		}
	}
	wantRefused(t, "an unknown one", renew("x"))
	if a := renew(token, "client_id", "x"); a.status != 401 || a.body["error"] != "invalid_client" {
		t.Errorf("another client: %+v", a)
	}
	l.Set(func(s *Settings) { s.RefreshRevoked = true })
	wantRefused(t, "revoked", renew(token))
	l.Set(func(s *Settings) { s.RefreshInvalidGrant = true })
	if a := renew(token); a.status != 400 || a.body["error"] != "invalid_grant" {
		t.Errorf("revoked: %+v", a)
	}
	if n := l.Counters(); n.Granted[GrantRefresh] != 2 || n.Refused[GrantRefresh] != 4 {
		t.Errorf("%+v", n)
	}
	if l.IssueRefresh("nobody@example.com") != "" || !slices.Contains(l.EverySecret(), token) {
		t.Error("a token of nobody, or one that no one remembers")
	}
}

func TestRefreshRotates(t *testing.T) {
	t.Parallel()
	l, renew := refreshing(t, Settings{RefreshRotates: true})
	first := l.IssueRefresh("")
	second, _ := renew(first).body["refresh_token"].(string)
	if second == "" || second == first {
		t.Fatalf("rotated to %q", second)
	}
	wantRefused(t, "the old one", renew(first))
	third, _ := renew(second).body["refresh_token"].(string)
	if third == "" {
		t.Error("the new one is dead")
	}
	l.Set(func(s *Settings) { s.RefreshReuseRevokes = true })
	other := l.IssueRefresh("")
	wantRefused(t, "the old one again", renew(second))
	wantRefused(t, "its family", renew(third))
	if a := renew(other); a.status != 200 {
		t.Errorf("another sign-in: %+v", a)
	}
}

func TestRefreshEnds(t *testing.T) {
	t.Parallel()
	l, renew := refreshing(t, Settings{RefreshLife: time.Hour})
	token := l.IssueRefresh("")
	l.Set(func(s *Settings) { s.ClockSkew = 59 * time.Minute })
	if a := renew(token); a.status != 200 {
		t.Errorf("before its end: %+v", a)
	}
	l.Set(func(s *Settings) { s.ClockSkew = 61 * time.Minute })
	wantRefused(t, "after its end", renew(token))
}

// Of many who use one token at once, one alone comes through where it rotates.
func TestRefreshOnce(t *testing.T) {
	t.Parallel()
	l, renew := refreshing(t, Settings{RefreshRotates: true})
	token := l.IssueRefresh("")
	var done sync.WaitGroup
	for range 50 {
		done.Go(func() { renew(token) })
	}
	done.Wait()
	if n := l.Counters(); n.Granted[GrantRefresh] != 1 || n.Refused[GrantRefresh] != 49 {
		t.Errorf("%+v", n)
	}
}

// A parameter that is repeated is refused, whatever the grant.
func TestRepeatedParameter(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	form := refreshForm(l.IssueRefresh(""))
	url := l.WorkspaceURL() + "/oidc/v1/token"
	if a := postForm(t, c, url, form); a.status != http.StatusOK {
		t.Errorf("once: %+v", a)
	}
	form["scope"] = []string{"all-apis", "all-apis"}
	if a := postForm(t, c, url, form); a.status != 400 || a.body["error_description"] != "The parameter scope is repeated" {
		t.Errorf("twice: %+v", a)
	}
}
