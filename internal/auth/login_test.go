package auth

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func TestNewLogin(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		l := newLogin()
		verifier := l.verifier.Reveal()
		if !regexp.MustCompile(`^[A-Z2-7]{52}$`).MatchString(verifier) || !regexp.MustCompile(`^[A-Z2-7]{26}$`).MatchString(l.State) {
			t.Fatalf("got verifier %q, state %q", verifier, l.State)
		}
		if seen[verifier] || seen[l.State] {
			t.Fatal("a value came twice")
		}
		seen[verifier], seen[l.State] = true, true
		if text := fmt.Sprintf("%v %+v %#v", l, l, l); strings.Contains(text, verifier) {
			t.Fatalf("it prints its verifier: %s", text)
		}
	}
	// The example of RFC 7636, appendix B.
	if got := challenge(credential.NewSecret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")); got != "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" {
		t.Errorf("got the challenge %q", got)
	}
}

func TestParsePasted(t *testing.T) {
	l := newLogin()
	right := "code=" + code + "&state=" + l.State
	for _, good := range []string{
		"http://localhost:8020/?" + right, "http://localhost:8020?" + right, "HTTP://LocalHost:8020/?" + right, "localhost:8031/?" + right,
		"http://127.0.0.1:8020/?" + right, "http://[::1]:8020/?" + right, "http://localhost/?" + right,
		"  \"http://localhost:8020/?" + right + "\"\r\n", "<http://localhost:8020/?" + right + ">",
		"http://localhost:8020/?" + right + "&iss=https%3A%2F%2Fdbc-1", "http://localhost:8020/?" + right + "#", "http://localhost:8020/?" + right + "#_=_",
	} {
		if r, err := l.ParsePasted(good); err != nil || r.Reveal() != code {
			t.Errorf("%q: %q, %v", good, r.Reveal(), err)
		}
	}
	const own = "http://localhost:8020/"
	for _, text := range []string{"", "  ", "yes", "two words", "a\x00bcdefghijk", code, right, own, own + "?", own + "?state=" + l.State,
		"https://dbc-1.cloud.databricks.com/oidc/v1/authorize?" + right, "https://localhost:8020/?" + right, "http://localhost.evil.example/?" + right,
		"http://evil.example/?" + right, "http://localhost@evil.example/?" + right, "http://user@localhost:8020/?" + right, own + "callback?" + right,
		own + "?code=&state=" + l.State, own + "?code=a%zz&state=" + l.State, own + "?" + right + "&code=another", own + "?" + right + "&state=" + l.State,
		own + "?code=" + code, own + "?code=" + code + "&state=", own + "?code=" + code + "&state=" + newLogin().State,
		own + "?code=" + code + "&state=" + strings.ToLower(l.State), own + "?error=access_denied&state=x"} {
		if r, err := l.ParsePasted(text); !errors.Is(err, errNotRedirect) || !r.IsZero() {
			t.Errorf("%.80q: got %v, want %v", text, err, errNotRedirect)
		}
	}
	for query, want := range map[string]string{
		"error=access_denied&error_description=The+user%0Asaid+no": "access_denied: The user said no", "error=server_error": "server_error",
	} {
		_, err := l.ParsePasted("http://localhost:8020/?" + query + "&state=" + l.State)
		if want = "the workspace refused the login: " + want; !errors.As(err, new(*DeniedError)) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	var denied *DeniedError
	_, err := l.ParsePasted(own + "?state=" + l.State + "&error=" + strings.Repeat("e", 900) + "&error_description=" + strings.Repeat("%C3%BC", 400) + "%ff")
	if !errors.As(err, &denied) || len(denied.Code) != sanitize.MaxLine || len(denied.Description) > sanitize.MaxLine {
		t.Errorf("got unbounded texts: %v", err)
	}
	// A login that was never made has no state, so no redirect matches it.
	if _, err := (&Login{}).ParsePasted(own + "?code=" + code + "&state="); !errors.Is(err, errNotRedirect) {
		t.Errorf("no state: %v", err)
	}
}
