package pgproxy

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
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
	e = decode(&ServerError{Message: "a\r\n\x1b[2Jb", Detail: "\u202eright", Hint: strings.Repeat("x", 10_000)})
	if e.Message != `a \x1B[2Jb` || e.Detail != `\xE2\x80\xAEright` || len(e.Hint) != sanitize.MaxLine {
		t.Errorf("unsafe text: got %+v", e)
	}
	if got := (&ServerError{Message: "m"}).Error(); got != "m (SQLSTATE 08006)" {
		t.Errorf("%q", got)
	}
}
