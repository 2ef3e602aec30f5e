package pglogin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func serverError(code, message string) *Error {
	return fromServer(&pgconn.PgError{Code: code, Message: message}, secret)
}

func TestFromServer(t *testing.T) {
	for _, c := range []struct {
		code, message string
		kind          Kind
		retry         bool
		maxRepeat     time.Duration
		tokenRefused  bool
	}{
		{"XX000", "password authentication failed for user 'x'", Refused, false, 0, true},
		{"28P01", `password authentication failed for user "x"`, Refused, false, 0, true},
		{"28000", `no pg_hba.conf entry for host "10.0.0.1"`, Refused, false, 0, false},
		{"08P01", "SASL authentication failed", Refused, false, 0, false},
		{"XX000", "JWT token has expired (exp=1)", TokenInvalid, false, 0, true},
		{"28000", "Invalid authorization: token expired", TokenInvalid, false, 0, true},
		{"XX000", "Provided authentication token is not a valid JWT encoding", TokenInvalid, false, 0, true},
		{"28P01", `Failed to decode token for role "x" and native postgres login was either not attempted due to configuration or failed.`, TokenInvalid, false, 0, true},
		{"28000", `role "x" does not exist`, RoleMissing, false, 0, false},
		{"3D000", `database "x" does not exist`, DatabaseMissing, false, 0, false},
		{"42501", `permission denied for database "x"`, ConnectDenied, false, 0, false},
		{"XX000", "Control plane request failed: endpoint is disabled", EndpointDisabled, false, 0, false},
		{"XX000", "Console request failed: endpoint cannot be found", EndpointNotFound, false, 0, false},
		{"XX000", "Endpoint ID is not specified. Either please upgrade the postgres client library (libpq) for SNI support", SNIMissing, false, 0, false},
		{"XX000", "This IP address 192.0.2.1 is not allowed to connect to this endpoint.", NotAllowed, false, 0, false},
		{"0A000", "unsupported startup parameter", Other, false, 0, false},
		{"XX000", "Couldn't connect to compute node", Starting, true, 0, false},
		{"XX000", "Control plane request failed", Starting, true, 0, false},
		{"57P03", "the database system is starting up", Starting, true, 0, false},
		{"57P01", "terminating connection due to administrator command", Starting, true, 0, false},
		{"57014", "canceling authentication due to timeout", Starting, true, 0, false},
		{"08006", "connection failure", Unreachable, true, 0, false},
		{"53300", "sorry, too many clients already", TooManyConnections, true, 0, false},
		{"XX000", "Failed to acquire permit to connect to the database. Too many database connection attempts are currently ongoing.", TooManyConnections, true, 0, false},
		{"XX000", "Too many connections attempts", TooManyConnections, true, 0, false},
		{"XX000", "Control plane request failed: endpoint is temporarily unavailable. Check your quotas and/or contact our support.", Unavailable, true, 0, false},
		{"XX000", "External authorization failed", ExternalAuth, true, maxRepeatExternalAuth, false},
		{"XX000", "something new", Other, true, maxRepeatUnknown, false},
		{"", "no code at all", Other, true, maxRepeatUnknown, false},
		{"58030", "could not read file", Other, true, maxRepeatUnknown, false},
	} {
		e := serverError(c.code, c.message)
		if e.Kind != c.kind || e.Retry != c.retry || e.maxRepeat != c.maxRepeat || e.TokenRefused() != c.tokenRefused || e.Message != c.message {
			t.Errorf("%s %s: got %#v, want %+v", c.code, c.message, e, c)
		}
	}
}

func TestClassify(t *testing.T) {
	final := &tls.CertificateVerificationError{Err: errors.New("x509: expired")}
	for _, c := range []struct {
		err   error
		kind  Kind
		retry bool
	}{
		{errors.Join(io.EOF, final), Certificate, false}, // a final error decides, wherever it is
		{errors.Join(final, io.EOF), Certificate, false},
		{errors.Join(io.EOF, io.ErrUnexpectedEOF), Unreachable, true},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}, NameNotResolved, false},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "server misbehaving", IsTemporary: true}}, NameNotResolved, true},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, Unreachable, true},
		{&net.OpError{Op: "dial", Err: syscall.EPERM}, Unreachable, false},
		{errors.New("something"), Other, false},
	} {
		if e := classify(t.Context(), c.err, nil, secret); e.Kind != c.kind || e.Retry != c.retry {
			t.Errorf("%v: got %+v, want kind %q, retry %v", c.err, e, c.kind, c.retry)
		}
	}
}

func TestLogin_CertificateIsCheckedBeforeThePassword(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *Target){
		"other name": func(_ *testing.T, target *Target) { target.Host = "other.example.com" },
		"an address": func(_ *testing.T, target *Target) { target.Host = "127.0.0.1" },
		"other root": func(t *testing.T, target *Target) { _, target.SSLRootCert = authority(t, host) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeServer(t, func(_ int, s *session) { acceptLogin(s) })
			target := f.target()
			change(t, &target)
			e := wantKind(t, connector().Login(within(t, testTimeout), target, secret), Certificate)
			var wrongHost x509.HostnameError
			var unknown x509.UnknownAuthorityError
			isHost := name != "other root"
			if errors.As(e, &wrongHost) != isHost || errors.As(e, &unknown) == isHost || strings.Contains(e.Hint(), "another host") != isHost {
				t.Errorf("got %v, hint %q", e, e.Hint())
			}
			if all := f.ended(); len(all) != 1 || all[0].password != "" || all[0].startup != nil {
				t.Errorf("got %d connections, start-up %v", len(all), all[0].startup)
			}
		})
	}
}

func TestLogin_PeerIsNotPostgres(t *testing.T) {
	answer := func(text string) func(*session) {
		return func(s *session) {
			s.readSSLRequest()
			_, _ = s.raw.Write([]byte(text))
		}
	}
	inTLS := func(send func(*session)) func(*session) {
		return func(s *session) {
			if s.start() {
				send(s)
			}
		}
	}
	for name, c := range map[string]struct {
		serve func(*session)
		kind  Kind
	}{
		"plain server": {answer("N"), TLSRefused},
		"http server":  {answer("HTTP/1.1 400 Bad Request\r\n\r\n"), Protocol},
		"S, then junk": {answer("Shello there, I am no TLS server"), Protocol},
		"TLS 1.1": {func(s *session) {
			answer("S")(s)
			old := &tls.Config{Certificates: []tls.Certificate{s.f.cert}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
			if tls.Server(s.raw, old).Handshake() == nil {
				t.Error("the handshake succeeded")
			}
		}, TLSRefused},
		"text in TLS":       {inTLS(func(s *session) { _, _ = s.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")) }), Protocol},
		"huge in TLS":       {inTLS(func(s *session) { _, _ = s.Write([]byte{'E', 0x7f, 0xff, 0xff, 0xff}) }), Protocol},
		"unexpected in TLS": {inTLS(func(s *session) { s.be.Send(&pgproto3.DataRow{}); _ = s.be.Flush() }), Protocol},
		"endless in TLS": {inTLS(func(s *session) {
			for s.be.Flush() == nil {
				s.be.Send(&pgproto3.ParameterStatus{Name: "x", Value: strings.Repeat("y", 10_000)})
			}
		}), Protocol},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeServer(t, func(_ int, s *session) { c.serve(s); s.drain() })
			wantKind(t, connector().Login(within(t, testTimeout), f.target(), secret), c.kind)
			all := f.ended()
			if len(all) != 1 || name == "plain server" && len(all[0].bytes) != 0 || strings.Contains(string(all[0].bytes), password) {
				t.Errorf("got %d connections, the client sent %q", len(all), all[0].bytes)
			}
		})
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
			"the database did not wake in 1.2s (7 attempts); last error: external authorization failed: External authorization failed (SQLSTATE XX000)", "IP access list"},
		{&Error{Kind: DatabaseMissing, Message: "no", Code: "3D000", Target: Target{Host: "h", Database: "db"}},
			"the database at h refused the login: database missing: no (SQLSTATE 3D000)", "check the name of the database: db "},
		{&Error{Kind: NameNotResolved, Message: "no such host", Target: Target{Host: "h"}},
			"cannot log in to the database at h: name not resolved: no such host", "check PGHOST or --pghost"},
		{&Error{Kind: Refused, Code: "08P01", Message: "SASL authentication failed"},
			"the database refused the login: login refused: SASL authentication failed (SQLSTATE 08P01)", "pooled host"},
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
		e := serverError(code, message)
		if e.Kind == "" || len(e.Message) > sanitize.MaxLine || len(e.Code) != 5 || strings.Contains(e.Error(), password[:8]) {
			t.Fatalf("%q %q became %#v", code, message, e)
		}
	})
}
