package pgproxy

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgproto3"
)

func TestServerErrorOnTheWire(t *testing.T) {
	var e pgproto3.ErrorResponse
	decode := func(s *ServerError) pgproto3.ErrorResponse {
		t.Helper()
		must(t, e.Decode(s.encode()[5:]))
		return e
	}
	e = decode(&ServerError{Severity: "ERROR", Code: "57P03", Message: "a", Detail: "b", Hint: "c"})
	if e.Severity != "ERROR" || e.Code != "57P03" || e.Message != "a" || e.Detail != "b" || e.Hint != "c" {
		t.Errorf("%+v", e)
	}
	e = decode(&ServerError{Severity: "NOTICE", Code: "a\x00b c"})
	if e.Severity != "FATAL" || e.Code != "08006" || e.Message != "the connection failed" {
		t.Errorf("%+v", e)
	}
	if got := (&ServerError{Message: "m"}).Error(); got != "m (SQLSTATE 08006)" {
		t.Errorf("%q", got)
	}
}

func TestField(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                  "plain",
		"a\x00b\r\n\x1b[2Jc\x7f": "a b   [2Jc ",
		"\u202eright\u200b":      " right ",
		"caf\u00e9 \xff":         "caf\u00e9  ",
	} {
		if got := field(in); got != want {
			t.Errorf("%q: %q, and not %q", in, got, want)
		}
	}
	for _, in := range []string{strings.Repeat("x", 10_000), strings.Repeat("\u00e9", 400), "x" + strings.Repeat("\U0001f600", 400)} {
		if got := field(in); len(got) > maxField || len(got) < maxField-3 || !utf8.ValidString(got) || !strings.HasPrefix(in, got) {
			t.Errorf("%d bytes of %d", len(got), len(in))
		}
	}
}
