package exchange

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// proxyError is a proxy's reply to CONNECT other than 200.
type proxyError struct{ status int }

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy answered CONNECT with %d %s", e.status, http.StatusText(e.status))
}

// transportError describes a call without a reply.
func transportError(ctx context.Context, err error) *Error {
	var refused *proxyError
	var op *net.OpError
	switch cause := ctx.Err(); {
	case errors.Is(cause, context.DeadlineExceeded):
		return &Error{Kind: KindDeadline, Err: cause}
	case cause != nil:
		return &Error{Kind: KindCanceled, Err: cause}
	case errors.As(err, &refused):
		return &Error{Kind: KindProxy, Status: refused.status, Err: err}
	case errors.As(err, &op) && (op.Op == "proxyconnect" || strings.HasPrefix(op.Op, "socks")): // net/http's names
		return &Error{Kind: KindProxy, Err: err}
	}
	return &Error{Kind: transportKind(err), Err: err}
}

// transportKind classifies a failure below HTTP. An unknown one is a broken
// connection: HTTP/2 alone has a dozen unexported errors for that.
func transportKind(err error) Kind {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return KindNameNotResolved
	case isCertificate(err):
		return KindCertificate
	case isTLS(err):
		return KindTLS
	case strings.Contains(err.Error(), "malformed HTTP"):
		return KindBadReply
	case strings.Contains(err.Error(), "response headers exceeded"):
		return KindTooLarge
	}
	return KindBroken
}

func isCertificate(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		name         x509.HostnameError
		invalid      x509.CertificateInvalidError
		noRoots      x509.SystemRootsError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &name) ||
		errors.As(err, &invalid) || errors.As(err, &noRoots)
}

// isTLS recognizes alerts by crypto/tls's operation names, and its other errors by
// their prefix.
func isTLS(err error) bool {
	var record tls.RecordHeaderError
	var op *net.OpError
	return errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch) ||
		errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") || strings.HasPrefix(err.Error(), "tls: ")
}
