package auth

import (
	"net/url"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// fixed is a login whose state a fuzzer can find.
var fixed = Login{State: "STATE2345672345672345672345", Challenge: "c"}

func FuzzParsePasted(f *testing.F) {
	for _, s := range []string{
		"", code, "http://localhost:8020/?code=" + code + "&state=" + fixed.State, "?error=access_denied&state=" + fixed.State, "code=a&state=",
		"http://localhost@evil/?code=a&state=" + fixed.State, "\"<localhost:8020?state=" + fixed.State + "&code=%41bcdefghij#>", "?state=%53TATE", "http://[::1]:1/?x", "?;", "?%zz",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := fixed.ParsePasted(text)
		if err != nil {
			if !r.Code.IsZero() {
				t.Fatal("an error with a code")
			}
			if e := err.Error(); strings.ContainsAny(e, "\r\n") || len(e) > 3*sanitize.MaxLine {
				t.Fatalf("the error %q", e)
			}
			return
		}
		got := r.Code.Reveal()
		if !isCode(got) {
			t.Fatalf("code %q", got)
		}
		bare := strings.Trim(strings.TrimSpace(text), `"'<>`) == got
		if !bare && !holds(text, fixed.State) {
			t.Fatalf("%q gives a code without the state", text)
		}
	})
}

// holds looks for the state in text, percent-encoded or not.
func holds(text, state string) bool {
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("?&=# \r\n\t\"'<>", r) }) {
		if plain, err := url.QueryUnescape(part); err == nil && plain == state {
			return true
		}
	}
	return false
}

func FuzzJudge(f *testing.F) {
	head := "GET /?code=" + code + "&state=" + fixed.State
	for _, s := range []string{
		head + " HTTP/1.1\r\nHost: localhost:8020\r\n\r\n", head + " HTTP/1.0\nHost: localhost:8020\n\n", "GET /?error=x&state=" + fixed.State + " HTTP/1.1\r\nHost: LOCALHOST:8020\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: localhost:8020\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET http://localhost:8020/ HTTP/1.1\r\n\r\n",
		head + " HTTP/1.1\r\nHost: evil.example\r\nHost: localhost:8020\r\n\r\n", "\x16\x03\x01", "", "GET * HTTP/1.1\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, status := fixed.judge(strings.NewReader(string(raw)), 8020)
		text := string(raw)
		switch {
		case status == 200:
			if a.denied != nil || !isCode(a.redirect.Code.Reveal()) {
				t.Fatalf("%+v", a)
			}
		case status == 403:
			if a.denied == nil || a.denied.Code == "" || !a.redirect.Code.IsZero() {
				t.Fatalf("%+v", a)
			}
		case status == 0 || status >= 400 && status < 500:
			if a.denied != nil || !a.redirect.Code.IsZero() {
				t.Fatalf("%d with %+v", status, a)
			}
			return
		default:
			t.Fatalf("status %d", status)
		}
		if !strings.HasPrefix(strings.TrimLeft(text, "\r\n"), "GET /?") || !holds(text, fixed.State) || !strings.Contains(strings.ToLower(text), "localhost:8020") {
			t.Fatalf("%q counts", text)
		}
	})
}
