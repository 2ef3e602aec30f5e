package pglogin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// How long a failure may repeat, without another kind in between, before it is
// final. A proxy sends XX000 for every error of its own, so an unknown error may be
// temporary or not.
const (
	maxRepeatUnknown      = 5 * time.Second
	maxRepeatExternalAuth = 10 * time.Second
)

// messages are server messages that say more than their SQLSTATE, tried in order:
// final ones first, as a message may contain two of them. Lakebase and the Neon
// proxy send their own errors as XX000 (neondatabase/neon, proxy/src/stream.rs and
// proxy/src/auth; Databricks community threads for the token messages).
var messages = []struct {
	contains, and string // lower case; and may be empty
	Error
}{
	{"jwt token has expired", "", Error{Kind: TokenInvalid}},
	{"invalid authorization", "", Error{Kind: TokenInvalid}},
	{"not a valid jwt encoding", "", Error{Kind: TokenInvalid}},
	{"failed to decode token", "", Error{Kind: TokenInvalid}},
	{"password authentication failed", "", Error{Kind: Refused}},
	{"sasl authentication failed", "", Error{Kind: Refused}},
	{`role "`, `" does not exist`, Error{Kind: RoleMissing}},
	{"endpoint cannot be found", "", Error{Kind: EndpointNotFound}},
	{"endpoint is disabled", "", Error{Kind: EndpointDisabled}},
	{"endpoint id is not specified", "", Error{Kind: EndpointNotFound}}, // without a host name in TLS (SNI)
	{"this ip address", "is not allowed", Error{Kind: NotAllowed}},
	{"external authorization failed", "", Error{Kind: ExternalAuth, Retry: true, maxRepeat: maxRepeatExternalAuth}},
	{"endpoint is temporarily unavailable", "", Error{Kind: Unavailable, Retry: true}},
	{"couldn't connect to compute node", "", Error{Kind: Starting, Retry: true}},
	{"control plane request failed", "", Error{Kind: Starting, Retry: true}},
	{"failed to acquire permit to connect to the database", "", Error{Kind: TooManyConnections, Retry: true}},
	{"too many connections attempts", "", Error{Kind: TooManyConnections, Retry: true}},
}

// codes are SQLSTATEs, or their classes, that a server sends before a login is done
// (PostgreSQL manual, errcodes-appendix). 57014 is its time limit for a login;
// 08P01 is pgbouncer's code for everything; noSQLState means that it sent none.
var codes = map[string]Error{
	"57P01": {Kind: Starting, Retry: true}, "57P02": {Kind: Starting, Retry: true},
	"57P03": {Kind: Starting, Retry: true}, "57014": {Kind: Starting, Retry: true},
	"53300": {Kind: TooManyConnections, Retry: true},
	"08":    {Kind: Unreachable, Retry: true}, "28": {Kind: Refused},
	"08P01": unknown, noSQLState: unknown, "53": unknown, "57": unknown, "58": unknown, "XX": unknown,
	"3D000": {Kind: DatabaseMissing}, "42501": {Kind: ConnectDenied},
}

var unknown = Error{Kind: Other, Retry: true, maxRepeat: maxRepeatUnknown}

const noSQLState = "XXXXX"

// fromServer classifies an ErrorResponse; text is its message in lower case.
func fromServer(code, text string) Error {
	if code == "3D000" || code == "42501" { // the message quotes a name
		return codes[code]
	}
	for _, m := range messages {
		if strings.Contains(text, m.contains) && strings.Contains(text, m.and) {
			return m.Error
		}
	}
	for _, c := range []string{code, code[:2]} {
		if e, ok := codes[c]; ok {
			return e
		}
	}
	return Error{Kind: Other}
}

// sqlState returns code if it has the form of one, and noSQLState otherwise.
func sqlState(code string) string {
	if len(code) != 5 || strings.Trim(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return noSQLState
	}
	return code
}

// classify turns an error of pgconn, crypto/tls or net into an *Error. conn is nil
// if there was no connection.
func classify(ctx context.Context, err error, conn *startupConn, password credential.Secret) *Error {
	var e Error
	if b := conn.answer(); b >= 0 && b != 'S' { // E: a server too old or too busy (PostgreSQL manual, protocol-flow)
		e = Error{Kind: TLSRefused, Retry: b == 'E', maxRepeat: maxRepeatUnknown,
			Message: fmt.Sprintf("the server answered the request for TLS with %q", b)}
		if b == 'N' {
			e.Message = "the server does not support TLS"
		}
	} else {
		e = fromError(err, conn)
		// What fails at the deadline failed because of the deadline, which a timer of
		// net.Dialer may notice before the context does.
		ended := ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
		if ended && e.Code == "" && (e.Retry || e.Kind == Protocol || e.Kind == Other) {
			e = Error{Kind: NoAnswer, Retry: true, Message: "no connection", silent: conn.silent(),
				unconnected: conn == nil && !errors.As(err, new(*net.DNSError))}
			if conn != nil {
				e.Message = "connected, but no answer"
			}
		}
	}
	e.Message = sanitize.Line(e.Message, password)
	return &e
}

// fromError classifies err by the types and values in its tree: what is final
// before what may be retried, and the server's word before the system's.
func fromError(err error, conn *startupConn) Error {
	var (
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		server      *pgconn.PgError
		dns         *net.DNSError
		network     *net.OpError
	)
	switch {
	case errors.As(err, &certificate):
		return Error{Kind: Certificate, Message: certificate.Error(), cause: certificate}
	case errors.As(err, &record): // not as the cause: it holds the open connection
		return Error{Kind: Protocol, Message: record.Error()}
	case errors.As(err, &server):
		code := sqlState(server.Code)
		e := fromServer(code, strings.ToLower(server.Message))
		e.Code, e.Message = code, server.Message
		return e
	case errors.As(err, &dns):
		return Error{Kind: NameNotResolved, Retry: !dns.IsNotFound, Message: dns.Error(), cause: dns}
	case errors.As(err, &network) && (network.Op == "remote error" || network.Op == "local error"): // a TLS alert
		e := Error{Kind: TLSRefused, Message: network.Error(), cause: network}
		if strings.Contains(network.Err.Error(), "internal error") {
			e.Retry, e.maxRepeat = true, maxRepeatUnknown
		}
		return e
	case errors.As(err, &network):
		// Names of errors differ between systems, and the compute may be starting:
		// only what the operating system forbids is final.
		return Error{Kind: Unreachable, Retry: !errors.Is(network, fs.ErrPermission), Message: network.Error(), cause: network,
			unconnected: network.Op == "dial" && network.Timeout()} // the system's own limit
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		const text = "the server closed the connection before the login was done"
		return Error{Kind: Unreachable, Retry: true, Message: text, cause: io.ErrUnexpectedEOF}
	}
	return fromText(err, conn)
}

// fromText classifies an error of pgconn that has no type.
func fromText(err error, conn *startupConn) Error {
	cause := innermost(err).Error()
	e := Error{Kind: Protocol, Message: cause}
	switch {
	case conn == nil:
		e.Kind = Other
	case strings.Contains(err.Error(), "failed GSS auth"), strings.HasPrefix(cause, "unknown authentication type"),
		strings.HasPrefix(cause, "AuthType") && strings.HasSuffix(cause, "unimplemented"):
		e.Message = "the server requires GSSAPI, SSPI or another method; a Lakebase server requires a password"
	case strings.Contains(err.Error(), "failed SASL auth"):
		e.Kind = Refused
	case strings.HasPrefix(cause, "tls: "):
		e.Kind = TLSRefused
	}
	return e
}

// innermost returns the last error that err wraps.
func innermost(err error) error {
	next := errors.Unwrap(err)
	if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) > 0 {
		next = joined.Unwrap()[0]
	}
	if next == nil {
		return err
	}
	return innermost(next)
}
