package pglogin

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// classify turns pgconn's error into ours. pgconn may join several; a final one
// among them decides, and the server's word goes before the system's.
func classify(ctx context.Context, err error, conn *watched, password credential.Secret) *Error {
	if b, ok := conn.answer(); ok && b != 'S' {
		return refusedTLS(b)
	}
	var found *Error
	walk(err, func(node error) bool {
		e := known(node, password)
		if e != nil && (found == nil || rank(e) > rank(found)) {
			found = e
		}
		return e != nil
	})
	if found == nil {
		found = unknown(err, conn, password)
	}
	// What breaks when the time is up broke because the time was up.
	if why := ended(ctx); why != nil && found.Code == "" && (found.Retry || found.Kind == Protocol) {
		return &Error{Kind: NoAnswer, Retry: true, Message: silence(conn), cause: why}
	}
	return found
}

// ended is ctx.Err, but does not lag behind the deadline: the dialer has a timer
// of its own for it, which may be the first to fire.
func ended(ctx context.Context) error {
	if d, ok := ctx.Deadline(); ok && !time.Now().Before(d) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// walk visits err and what it wraps, depth first; visit returns true to keep
// out of a node's inside.
func walk(err error, visit func(error) bool) {
	if err == nil || visit(err) {
		return
	}
	switch w := err.(type) {
	case interface{ Unwrap() error }:
		walk(w.Unwrap(), visit)
	case interface{ Unwrap() []error }:
		for _, e := range w.Unwrap() {
			walk(e, visit)
		}
	}
}

func rank(e *Error) int {
	n := 0
	if !e.Retry {
		n += 2
	}
	if e.Code != "" {
		n++
	}
	return n
}

// known classifies one node of the tree, or returns nil.
func known(node error, password credential.Secret) *Error {
	says := func(k Kind, retry bool) *Error {
		return &Error{Kind: k, Retry: retry, Message: sanitize.Line(node.Error(), password), cause: node}
	}
	switch e := node.(type) {
	case *pgconn.PgError:
		return fromServer(e, password)
	case *tls.CertificateVerificationError:
		return says(Certificate, false)
	case tls.RecordHeaderError:
		// Its Conn is the open connection: the text is enough.
		return &Error{Kind: Protocol, Message: sanitize.Line(e.Error(), password)}
	case *net.DNSError:
		return says(NameNotResolved, !e.IsNotFound)
	case *net.OpError:
		return fromNetwork(e, says)
	case syscall.Errno:
		return says(Unreachable, !errors.Is(e, fs.ErrPermission))
	}
	switch node {
	case io.EOF, io.ErrUnexpectedEOF, net.ErrClosed:
		e := says(Unreachable, true)
		e.Message = "the server closed the connection before the login was done"
		return e
	case context.Canceled, context.DeadlineExceeded:
		return says(NoAnswer, true)
	}
	return nil
}

// fromNetwork classifies an error of package net, or of crypto/tls, which uses
// the same type for alerts.
func fromNetwork(e *net.OpError, says func(Kind, bool) *Error) *Error {
	if dns := new(net.DNSError); errors.As(e.Err, &dns) {
		return nil
	}
	if e.Op == "remote error" || e.Op == "local error" {
		found := says(TLSRefused, false)
		if strings.Contains(e.Err.Error(), "internal error") {
			found.Retry, found.patience = true, unknownFor
		}
		return found
	}
	// Whatever the errno, names differ between systems: the compute may be on
	// its way. Only what the operating system forbids stays forbidden.
	return says(Unreachable, !errors.Is(e, fs.ErrPermission))
}

// refusedTLS is for any other answer to SSLRequest than "S" (PostgreSQL manual,
// protocol-flow): "N" is no TLS, "E" an error of a server too old or too busy.
func refusedTLS(b byte) *Error {
	switch b {
	case 'N':
		return &Error{Kind: TLSRefused, Message: "the server does not do TLS"}
	case 'E':
		return &Error{Kind: TLSRefused, Retry: true, patience: unknownFor, Message: "the server answered with an error before TLS"}
	}
	return &Error{Kind: Protocol, Message: "the server does not speak the Postgres protocol"}
}

// unknown is for what pgconn says in nothing but words.
func unknown(err error, conn *watched, password credential.Secret) *Error {
	text := err.Error()
	leaf := err
	walk(err, func(node error) bool { leaf = node; return false })
	e := &Error{Kind: Other, Message: sanitize.Line(leaf.Error(), password)}
	switch {
	case conn == nil:
	case strings.Contains(text, "failed SASL auth"):
		e.Kind = Refused
	case strings.HasPrefix(leaf.Error(), "tls: "):
		e.Kind = TLSRefused
	default:
		e.Kind = Protocol
	}
	return e
}

// silence says how far an attempt came that nobody answered.
func silence(conn *watched) string {
	if conn == nil {
		return "no connection"
	}
	if _, ok := conn.answer(); !ok {
		return "connected, but no answer to the request for TLS"
	}
	return "connected, but no answer to the login"
}
