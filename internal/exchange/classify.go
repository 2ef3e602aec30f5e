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

// proxyError is a proxy's answer to CONNECT other than 200.
type proxyError struct{ status int }

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy answered CONNECT with %d %s", e.status, http.StatusText(e.status))
}

// lost describes a call that got no answer.
func transportError(ctx context.Context, err error) *Error {
	if cause := ctx.Err(); cause != nil {
		kind := KindCanceled
		if errors.Is(cause, context.DeadlineExceeded) {
			kind = KindDeadline
		}
		return &Error{Kind: kind, Err: cause}
	}
	var refused *proxyError
	if errors.As(err, &refused) {
		return &Error{Kind: KindProxy, Status: refused.status, Err: err}
	}
	if viaProxy(err) {
		return &Error{Kind: KindProxy, Err: err}
	}
	return &Error{Kind: classify(err), Err: err}
}

// viaProxy says whether it was the proxy that could not be reached: net/http
// names such an operation proxyconnect, or socks.
func viaProxy(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "proxyconnect" || strings.HasPrefix(op.Op, "socks"))
}

// below sorts a failure beneath HTTP. What it does not know is a broken
// connection: HTTP/2 alone has a dozen unexported ways to say so.
func classify(err error) Kind {
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

// isTLS knows alerts by the operation that crypto/tls gives them; its other
// complaints are bare texts.
func isTLS(err error) bool {
	var record tls.RecordHeaderError
	var op *net.OpError
	if errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch) {
		return true
	}
	if errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") {
		return true
	}
	return strings.HasPrefix(err.Error(), "tls: ")
}
