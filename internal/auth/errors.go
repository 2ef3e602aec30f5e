package auth

import (
	"errors"
	"fmt"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// ErrNotConfigured reports that a strategy has nothing to sign in with.
var ErrNotConfigured = errors.New("no way of signing in is configured")

// NoSecretError reports that the secret of a service principal, or the password of a role,
// cannot be read. It is ErrNotConfigured.
type NoSecretError struct {
	Host, ClientID string
	Role           string // instead of a client ID
	Err            error
}

func (e *NoSecretError) Error() string {
	if e.Role != "" {
		return fmt.Sprintf("no password for role %s at %s: %v", e.Role, e.Host, e.Err)
	}
	return fmt.Sprintf("no secret for client %s at %s: %v", e.ClientID, e.Host, e.Err)
}

func (e *NoSecretError) Unwrap() error        { return e.Err }
func (e *NoSecretError) Is(target error) bool { return target == ErrNotConfigured }

// NoLoginError reports that no user has signed in, several have, or the workspace no
// longer accepts the refresh token.
type NoLoginError struct {
	Host, User string
	Others     []string // users who have signed in at Host
	Err        error
}

func (e *NoLoginError) Error() string {
	switch {
	case len(e.Others) > 1:
		return fmt.Sprintf("several users have signed in at %s: %s", e.Host, strings.Join(e.Others, ", "))
	case e.Expired():
		return fmt.Sprintf("the login of %s at %s has expired: %s", e.User, e.Host, reason(e.Err))
	case e.User != "" && e.Err != nil:
		return fmt.Sprintf("no login of %s at %s: %v", e.User, e.Host, e.Err)
	case e.Err != nil:
		return fmt.Sprintf("no client ID given, and stored logins for %s could not be read: %v", e.Host, e.Err)
	case e.User != "":
		return fmt.Sprintf("%s has not signed in at %s", e.User, e.Host)
	}
	return fmt.Sprintf("no client ID given, and no user has signed in at %s", e.Host)
}

func (e *NoLoginError) Unwrap() error { return e.Err }

// Expired reports whether the workspace no longer accepts the refresh token.
func (e *NoLoginError) Expired() bool { return exchange.IsKind(e.Err, exchange.KindRefreshRefused) }

// FederationError reports that the workspace refuses a workload's token.
type FederationError struct {
	Claims Claims
	Err    error
}

func (e *FederationError) Error() string {
	return fmt.Sprintf("the workspace rejects the workload's token (iss %q, sub %q, aud %s): %s",
		e.Claims.Issuer, e.Claims.Subject, e.Claims.Audience, reason(e.Err))
}

// Hint returns what to do about it.
func (e *FederationError) Hint() string {
	return "create a federation policy with this iss, sub and aud for the service principal; --audience changes aud"
}

func (e *FederationError) Unwrap() error { return e.Err }

// reason returns what the workspace says about a refusal.
func reason(err error) string {
	if call, ok := errors.AsType[*exchange.Error](err); ok && call.Detail() != "" {
		return call.Detail()
	}
	return err.Error()
}

// SourceError reports that a token's source outside of the workspace, such as a
// file or a program, supplied none.
type SourceError struct {
	Problem, Fix string
	Err          error // the cause, which Problem contains; may be nil
}

func (e *SourceError) Error() string { return e.Problem }
func (e *SourceError) Unwrap() error { return e.Err }

// Hint returns what to do about it.
func (e *SourceError) Hint() string { return e.Fix }
