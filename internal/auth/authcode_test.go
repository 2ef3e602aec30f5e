package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func TestNewLogin(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		l := NewLogin()
		verifier := l.Verifier.Reveal()
		if !regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).MatchString(verifier) || !regexp.MustCompile(`^[A-Z2-7]{26}$`).MatchString(l.State) {
			t.Fatalf("verifier %q, state %q", verifier, l.State)
		}
		sum := sha256.Sum256([]byte(verifier))
		if l.Challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
			t.Fatalf("challenge %q", l.Challenge)
		}
		if seen[verifier] || seen[l.State] {
			t.Fatal("a value came twice")
		}
		seen[verifier], seen[l.State] = true, true
		if text := fmt.Sprintf("%v %+v %#v", l, l, l); strings.Contains(text, verifier) {
			t.Fatalf("it prints its verifier: %s", text)
		}
	}
}

// The example of RFC 7636, appendix B.
func TestChallenge(t *testing.T) {
	if got := challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"); got != "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" {
		t.Errorf("challenge %q", got)
	}
}

func TestParsePasted(t *testing.T) {
	l := NewLogin()
	right := "code=" + code + "&state=" + l.State
	for _, good := range []string{
		"http://localhost:8020/?" + right, "http://localhost:8020?" + right, "HTTP://LocalHost:8020/?" + right, "localhost:8031/?" + right,
		"http://127.0.0.1:8020/?" + right, "http://[::1]:8020/?" + right, "http://localhost/?" + right,
		"?" + right, "/?" + right, right, "state=" + l.State + "&code=" + code,
		"  \"http://localhost:8020/?" + right + "\"\r\n", "<http://localhost:8020/?" + right + ">",
		"http://localhost:8020/?" + right + "&iss=https%3A%2F%2Fdbc-1", "http://localhost:8020/?" + right + "#", "http://localhost:8020/?" + right + "#_=_",
		code, " " + code + "\n",
	} {
		if r, err := l.ParsePasted(good); err != nil || r.Code.Reveal() != code {
			t.Errorf("%q: %q, %v", good, r.Code.Reveal(), err)
		}
	}
	other := NewLogin()
	for text, want := range map[string]error{
		"": ErrNotRedirect, "  ": ErrNotRedirect, "yes": ErrNotRedirect, "two words": ErrNotRedirect, "a\x00bcdefghijk": ErrNotRedirect, "ünüsüäl-code": ErrNotRedirect,
		"https://dbc-1.cloud.databricks.com/oidc/v1/authorize?" + right: ErrNotRedirect,
		"https://localhost:8020/?" + right:                              ErrNotRedirect,
		"http://localhost.evil.example/?" + right:                       ErrNotRedirect,
		"http://evil.example/?" + right:                                 ErrNotRedirect,
		"http://localhost@evil.example/?" + right:                       ErrNotRedirect,
		"http://user@localhost:8020/?" + right:                          ErrNotRedirect,
		"http://localhost:8020/callback?" + right:                       ErrNotRedirect,
		"http://localhost:8020/":                                        ErrNotRedirect,
		"http://localhost:8020/?":                                       ErrNotRedirect,
		"http://localhost:8020/?state=" + l.State:                       ErrNotRedirect,
		"http://localhost:8020/?code=&state=" + l.State:                 ErrNotRedirect,
		"http://localhost:8020/?code=a%20b&state=" + l.State:            ErrNotRedirect,
		"http://localhost:8020/?code=a%zz&state=" + l.State:             ErrNotRedirect,
		"http://localhost:8020/?" + right + "&code=another":             ErrNotRedirect,
		"http://localhost:8020/?" + right + "&state=" + l.State:         ErrNotRedirect,
		"http://localhost:8020/?code=" + code:                           ErrState,
		"http://localhost:8020/?code=" + code + "&state=":               ErrState,
		"http://localhost:8020/?code=" + code + "&state=" + other.State: ErrState,
		"code=" + code + "&state=" + strings.ToLower(l.State):           ErrState,
		"http://localhost:8020/?error=access_denied&state=x":            ErrState,
		strings.Repeat("a", maxPasted+1):                                ErrNotRedirect,
		"?code=" + strings.Repeat("a", maxCode+1) + "&state=" + l.State: ErrNotRedirect,
	} {
		if r, err := l.ParsePasted(text); !errors.Is(err, want) || !r.Code.IsZero() {
			t.Errorf("%.80q: %v, want %v", text, err, want)
		}
	}
	_, err := l.ParsePasted("http://localhost:8020/?error=access_denied&error_description=The+user%0Asaid+no&state=" + l.State)
	var denied *DeniedError
	if !errors.As(err, &denied) || *denied != (DeniedError{"access_denied", "The user said no"}) || err.Error() != "the workspace refused the login: access_denied: The user said no" {
		t.Errorf("%v", err)
	}
	if e := (&DeniedError{Code: "server_error"}).Error(); e != "the workspace refused the login: server_error" {
		t.Error(e)
	}
	// A login that was never made has no state, and so has nobody's redirect.
	if _, err := (Login{}).ParsePasted("?code=" + code + "&state="); !errors.Is(err, ErrState) {
		t.Errorf("no state: %v", err)
	}
}

func TestDeniedTextsAreBounded(t *testing.T) {
	l := NewLogin()
	_, err := l.ParsePasted("?state=" + l.State + "&error=" + strings.Repeat("e", 900) + "&error_description=" + strings.Repeat("%C3%BC", 400) + "%ff")
	var denied *DeniedError
	if !errors.As(err, &denied) || len(denied.Code) != sanitize.MaxLine || len(denied.Description) > sanitize.MaxLine || strings.ToValidUTF8(denied.Description, "?") != denied.Description {
		t.Errorf("%v", err)
	}
}
