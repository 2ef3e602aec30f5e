package exchange

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Call names what was asked of the workspace.
type Call string

// The calls.
const (
	CallWorkspaceToken     Call = "workspace token"
	CallDatabaseCredential Call = "database credential"
	CallEndpoint           Call = "endpoint"
	CallInstanceCredential Call = "instance credential"
	CallInstance           Call = "instance"
	CallPrincipal          Call = "service principal"
	CallListSecrets        Call = "list of secrets"
	CallCreateSecret       Call = "new secret"
	CallDeleteSecret       Call = "deletion of a secret"
	CallRefresh            Call = "refreshed token"
	CallCode               Call = "token for a code"
	CallFederation         Call = "federated token"
	CallDiscovery          Call = "discovery document"
	CallMe                 Call = "user"
	CallProjects           Call = "list of projects"
	CallBranches           Call = "list of branches"
	CallEndpoints          Call = "list of endpoints"
	CallClock              Call = "server's clock"
	CallGitHub             Call = "GitHub's token" // of the job's own token service, not of the workspace
)

// Kind says what went wrong, as far as a person or a retry needs to know.
type Kind string

// The kinds. What the workspace answered:
const (
	KindInvalidClient     Kind = "invalid client"     // wrong client id or secret
	KindEntitlement       Kind = "entitlement"        // no "Workspace access"
	KindEndpointMalformed Kind = "endpoint malformed" // INVALID_PARAMETER_VALUE
	KindEndpointNotFound  Kind = "endpoint not found" // no such project, branch, endpoint or instance, or none that we may see
	KindEndpointDisabled  Kind = "endpoint disabled"  // no login can wake it
	KindSecretNotFound    Kind = "secret not found"   // no such secret of this service principal, or no such principal
	KindTooManySecrets    Kind = "too many secrets"   // MaxSecrets are there
	KindRefreshRefused    Kind = "refresh refused"    // the refresh token has ended, was revoked, or was used before
	KindCodeRefused       Kind = "code refused"       // too old, used before, or made for another verifier or address
	KindFederationRefused Kind = "federation refused" // no federation policy fits the workload's token
	KindForeignHost       Kind = "stranger"           // a discovery document names another host: nothing was sent there
	KindPermissionDenied  Kind = "permission denied"  // 403
	KindBearerRefused     Kind = "bearer refused"     // 401 to an API call
	KindRateLimited       Kind = "rate limited"       // 429
	KindUnavailable       Kind = "unavailable"        // 502, 503, 504
	KindServerError       Kind = "server error"       // any other 5xx
	KindRefused           Kind = "refused"            // any other 4xx
	KindRedirect          Kind = "redirect"           // 3xx: never followed
	KindNotJSON           Kind = "not JSON"           // a login page, or not a workspace at all
	KindTooLarge          Kind = "too large"          // more than 1 MiB
	KindBadReply          Kind = "bad reply"          // JSON without what it must hold
)

// What an instance's state says of it (databricks-sdk-go service/database):
const (
	KindInstanceStopped     Kind = "instance stopped"      // until somebody starts it
	KindInstanceFailingOver Kind = "instance failing over" // for a while
	KindInstanceDeleting    Kind = "instance deleting"     // for good
)

// And what kept it from answering:
const (
	KindBroken          Kind = "connection broken" // refused, reset, closed, cut short or silent
	KindNameNotResolved Kind = "name not resolved"
	KindCertificate     Kind = "certificate" // not trusted, expired, or for another name
	KindTLS             Kind = "TLS"
	KindProxy           Kind = "proxy" // the proxy refused, or could not be reached
	KindCanceled        Kind = "canceled"
	KindDeadline        Kind = "deadline" // of the call's context
)

// Error is a call that failed. Its texts hold no secret that was sent or
// received, but may hold any character that a server likes: escape them before
// showing them.
type Error struct {
	Call       Call
	Host       string // host or host:port
	Kind       Kind
	Status     int           // of the workspace, or with KindProxy of the proxy; 0: no answer
	Code       string        // error_code, or OAuth's error
	Message    string        // one line, at most 500 bytes
	RequestID  string        // what Databricks' support asks for
	RetryAfter time.Duration // as asked by the server, at most an hour; 0: not asked
	Err        error         // the cause, if it lies below HTTP
	NotSent    bool          // it is known that nothing of the request reached the workspace
}

// Error is one line of at most about 2 kB.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s from %s: %s", e.Call, e.Host, e.Kind)
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d)", e.Status)
	}
	for _, s := range []string{e.Code, e.Message} {
		if s != "" {
			b.WriteString(": " + s)
		}
	}
	if e.Err != nil {
		b.WriteString(": " + sanitize.Line(e.Err.Error()))
	}
	if e.RequestID != "" {
		b.WriteString(" (request " + e.RequestID + ")")
	}
	return b.String()
}

// Unwrap returns the cause below HTTP, or nil.
func (e *Error) Unwrap() error { return e.Err }

// OfInstance says whether the call was about an instance of Lakebase Provisioned.
func (e *Error) IsInstance() bool {
	return e.Call == CallInstance || e.Call == CallInstanceCredential
}

// Worth says whether the same call may succeed a little later, and how long
// the server asked to wait before it. It is true for 429, 502, 503 and 504, for
// broken connections and for a call that ran out of its own time; Databricks'
// SDK retries a POST then too (databricks-sdk-go config/experimental/auth). It
// is false for every refusal, and for certificates and redirects.
//
// A refresh token or a code may be good for one use. Where the answer to one is
// lost, the workspace may have used it, and to send it again can end the whole
// grant (RFC 6819 5.2.2.3). Those calls are worth another try only where nothing
// was sent, or the workspace said with 429 or 503 that it did nothing.
func (e *Error) Retryable() (again bool, after time.Duration) {
	switch e.Kind {
	case KindRateLimited, KindUnavailable, KindBroken, KindDeadline:
		again = true
	case KindNameNotResolved:
		again = isTemporary(e.Err)
	case KindProxy:
		again = e.Status == 429 || e.Status >= 502 && e.Status <= 504 || e.Status == 0 && isTemporary(e.Err)
	}
	if !again || e.singleUse() && !e.NotSent && e.Kind != KindRateLimited && e.Status != 503 {
		return false, 0
	}
	return true, e.RetryAfter
}

// once says whether what was sent may be good for one use.
func (e *Error) singleUse() bool { return e.Call == CallRefresh || e.Call == CallCode }

// NoDocument says whether the host answered, and has no discovery document: most
// do not need one. A page, a redirect to one and a refusal are such answers.
func (e *Error) NoDocument() bool {
	if e.Call != CallDiscovery {
		return false
	}
	return e.Kind == KindNotJSON || e.Kind == KindRedirect || e.Status >= 400 && e.Status < 500 && e.Kind != KindRateLimited
}

// MayHaveApplied says whether the workspace may have done what was asked although the
// call failed: the answer was lost, or is not to be understood.
func (e *Error) MayHaveApplied() bool {
	if e.NotSent {
		return false
	}
	switch e.Kind {
	case KindBroken, KindDeadline, KindCanceled, KindUnavailable, KindServerError, KindNotJSON, KindBadReply, KindTooLarge:
		return true
	}
	return false
}

// passing says whether a failure below HTTP may pass. "No such host" does not.
func isTemporary(err error) bool {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return !dns.IsNotFound && (dns.IsTemporary || dns.IsTimeout)
	}
	return classify(err) == KindBroken
}
