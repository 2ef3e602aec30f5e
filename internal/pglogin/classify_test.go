package pglogin

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func TestFromServer(t *testing.T) {
	for _, c := range []struct {
		code, message string
		kind          Kind
		retry         bool
		maxRepeat     time.Duration
		tokenRefused  bool
	}{
		{"XX000", "password authentication failed for user 'x'", Refused, false, 0, true},
		{"28000", `no pg_hba.conf entry for host "10.0.0.1"`, Refused, false, 0, false},
		{"08P01", "SASL authentication failed", Refused, false, 0, false},
		{"XX000", "JWT token has expired (exp=1)", TokenInvalid, false, 0, true},
		{"28P01", `Failed to decode token for role "x" and native postgres login was not attempted`, TokenInvalid, false, 0, true},
		{"28000", `role "x" does not exist`, RoleMissing, false, 0, false},
		{"3D000", `database "x" does not exist`, DatabaseMissing, false, 0, false},
		{"42501", `permission denied for database "x"`, ConnectDenied, false, 0, false},
		{"XX000", "Control plane request failed: endpoint is disabled", EndpointDisabled, false, 0, false},
		{"XX000", "This IP address 192.0.2.1 is not allowed to connect to this endpoint.", NotAllowed, false, 0, false},
		{"0A000", "unsupported startup parameter", Other, false, 0, false},
		{"XX000", "Control plane request failed", Starting, true, 0, false},
		{"57P03", "the database system is starting up", Starting, true, 0, false},
		{"53300", "sorry, too many clients already", TooManyConnections, true, 0, false},
		{"XX000", "Failed to acquire permit to connect to the database. Too many connections", TooManyConnections, true, 0, false},
		{"XX000", "Control plane request failed: endpoint is temporarily unavailable.", Unavailable, true, 0, false},
		{"XX000", "External authorization failed", ExternalAuth, true, maxRepeatExternalAuth, false},
		{"XX000", "something new", Other, true, maxRepeatUnknown, false},
		{"", "no code at all", Other, true, maxRepeatUnknown, false},
		{"42501", "a\x1b[31mred\x07\r\nlakebase-exec: hint: run evil\u202etxt\xff", ConnectDenied, false, 0, false},
	} {
		e := classify(t.Context(), &pgconn.PgError{Code: c.code, Message: c.message}, nil, secret)
		c.message = strings.NewReplacer("\x1b", `\x1B`, "\x07", `\x07`, "\r\n", " ", "\u202e", `\xE2\x80\xAE`, "\xff", `\xFF`).Replace(c.message)
		if e.Kind != c.kind || e.Retry != c.retry || e.maxRepeat != c.maxRepeat || e.TokenRefused() != c.tokenRefused || e.Message != c.message {
			t.Errorf("%s %s: got %#v, want %+v", c.code, c.message, e, c)
		}
	}
}

func TestClassify(t *testing.T) {
	final := &tls.CertificateVerificationError{Err: errors.New("x509: expired")}
	answered := &startupConn{}
	answered.first.Store('S' + 1)
	for _, c := range []struct {
		err   error
		conn  *startupConn
		ended bool // the context
		kind  Kind
		retry bool
		text  string
	}{
		{errors.Join(io.EOF, final), nil, false, Certificate, false, "x509: expired"}, // a final error decides, wherever it is
		{errors.Join(final, io.EOF), nil, false, Certificate, false, "x509: expired"},
		{errors.Join(io.EOF, io.ErrUnexpectedEOF), nil, false, Unreachable, true, "closed the connection"},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}, nil, false, NameNotResolved, false, "no such host"},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "server misbehaving", IsTemporary: true}}, nil, false, NameNotResolved, true, ""},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, nil, false, Unreachable, true, ""},
		{&net.OpError{Op: "dial", Err: syscall.EPERM}, nil, false, Unreachable, false, ""},
		{errors.New("something"), nil, false, Other, false, "something"},
		{&pgconn.PgError{Code: "28P01", Message: "cannot use " + password + " \xff"}, answered, false,
			Refused, false, "cannot use " + credential.Redacted},
		{io.EOF, nil, true, NoAnswer, true, "no connection"},
		{io.EOF, &startupConn{}, true, NoAnswer, true, "connected, but no answer"},
		{io.EOF, answered, true, NoAnswer, true, "connected, but no answer"},
		{final, answered, true, Certificate, false, ""},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if c.ended {
			cancel()
		}
		if e := wantKind(t, classify(ctx, c.err, c.conn, secret), c.kind); e.Retry != c.retry || !strings.Contains(e.Message, c.text) {
			t.Errorf("%v: got %+v, want retry %v, %q", c.err, e, c.retry, c.text)
		}
		cancel()
	}
}

func TestError_Texts(t *testing.T) {
	last := &Error{Kind: ExternalAuth, Message: "External authorization failed", Code: "XX000"}
	for _, c := range []struct {
		err        *Error
		text, hint string
	}{
		{&Error{Kind: WakeTimeout, Attempts: 1, Elapsed: time.Minute, Target: Target{Host: "h"}},
			"the database at h did not wake in 1m0s (1 attempt): no answer", "raise --wait-timeout"},
		{&Error{Kind: WakeTimeout, Attempts: 7, Elapsed: 1234 * ms, Last: last},
			"the database did not wake in 1.2s (7 attempts); last error: " +
				"external authorization failed: External authorization failed (SQLSTATE XX000)", "IP access list"},
		{&Error{Kind: DatabaseMissing, Message: "no", Code: "3D000", Target: Target{Host: "h", Database: "db"}},
			"the database at h refused the login: no (SQLSTATE 3D000)", "check the name of the database: db "},
		{&Error{Kind: Refused, Code: "08P01", Message: "SASL authentication failed"},
			"the database refused the login: SASL authentication failed (SQLSTATE 08P01)", "connect without --pooled"},
	} {
		if got := c.err.Error(); got != c.text {
			t.Errorf("got %q, want %q", got, c.text)
		}
		if got := c.err.Hint(); !strings.Contains(got, c.hint) {
			t.Errorf("got hint %q, want %q in it", got, c.hint)
		}
	}
}

func FuzzFromServer(f *testing.F) {
	f.Add("XX000", "Control plane request failed")
	f.Add("", "")
	f.Add("28", password[5:])
	f.Fuzz(func(t *testing.T, code, message string) {
		e := classify(t.Context(), &pgconn.PgError{Code: code, Message: message}, nil, secret)
		if e.Kind == "" || len(e.Message) > sanitize.MaxLine || len(e.Code) != 5 || strings.Contains(e.Error(), password[:8]) {
			t.Fatalf("%q %q became %#v", code, message, e)
		}
	})
}
