package exchange

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
)

// Call names a request.
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
	CallGitHub             Call = "GitHub's token" // from the job's token service, not from the workspace
)

// Kind classifies an Error for retries and hints.
type Kind string

// Kinds of replies.
const (
	KindInvalidClient     Kind = "invalid client"     // wrong client ID or secret
	KindEntitlement       Kind = "entitlement"        // no "Workspace access"
	KindEndpointMalformed Kind = "endpoint malformed" // INVALID_PARAMETER_VALUE
	KindEndpointNotFound  Kind = "endpoint not found" // no such project, branch, endpoint or instance, or not visible
	KindEndpointDisabled  Kind = "endpoint disabled"  // a login does not resume it
	KindSecretNotFound    Kind = "secret not found"   // no such secret or service principal
	KindTooManySecrets    Kind = "too many secrets"   // MaxSecrets exist
	KindRefreshRefused    Kind = "refresh refused"    // the refresh token has expired, was revoked or was used before
	KindCodeRefused       Kind = "code refused"       // expired, used before, or for another verifier or redirect URI
	KindFederationRefused Kind = "federation refused" // no federation policy matches the workload's token
	KindForeignHost       Kind = "foreign host"       // a discovery document names another host: nothing was sent there
	KindPermissionDenied  Kind = "permission denied"  // 403
	KindBearerRefused     Kind = "bearer refused"     // 401 to an API call
	KindRateLimited       Kind = "rate limited"       // 429
	KindUnavailable       Kind = "unavailable"        // 502, 503, 504
	KindServerError       Kind = "server error"       // any other 5xx
	KindRefused           Kind = "refused"            // any other 4xx
	KindRedirect          Kind = "redirect"           // 3xx: never followed
	KindNotJSON           Kind = "not JSON"           // a login page, or not a workspace at all
	KindTooLarge          Kind = "too large"          // more than 1 MiB
	KindBadReply          Kind = "bad reply"          // JSON without a required field
)

// States of an instance in which it accepts no login (databricks-sdk-go service/database).
const (
	KindInstanceStopped     Kind = "instance stopped"
	KindInstanceFailingOver Kind = "instance failing over" // temporary
	KindInstanceDeleting    Kind = "instance deleting"
)

// Failures without a reply.
const (
	KindBroken          Kind = "connection broken" // refused, reset, closed, cut short or without a response
	KindNameNotResolved Kind = "name not resolved"
	KindCertificate     Kind = "certificate" // not trusted, expired, or for another name
	KindTLS             Kind = "TLS"
	KindProxy           Kind = "proxy" // the proxy refused, or is not reachable
	KindCanceled        Kind = "canceled"
	KindDeadline        Kind = "deadline" // of the call's context
)

// Origins says where the configuration comes from, for messages and hints. All fields
// are optional.
type Origins struct {
	Host      string // what named the workspace, such as DATABRICKS_HOST
	Target    string // what named the endpoint or instance
	TTL       string // what set the database token's lifetime; empty: nothing
	Subject   string // who signs in: "user"; empty: a service principal
	Token     string // what supplied the workspace token; empty: a sign-in
	TokenFix  string // what to do if that token is rejected; empty: nothing particular
	SameSetup string // options with which the helper uses this workspace and identity, such as " --profile prod"
}

// Error is a failed call. Its texts are safe to show and hold no secret that was sent
// or received.
type Error struct {
	Call       Call
	Host       string // host or host:port
	Kind       Kind
	Status     int           // HTTP status of the workspace, or with KindProxy of the proxy; 0: no reply
	Code       string        // error_code, or OAuth's error
	Message    string        // what the server or this package says about it
	RequestID  string        // for Databricks' support
	RetryAfter time.Duration // as asked by the server, at most an hour; 0: not asked
	Err        error         // the cause below HTTP
	NotSent    bool          // nothing of the request can have reached the workspace
	Origins    Origins       // set by the program, for Hint
}

// Unwrap returns the cause below HTTP, or nil.
func (e *Error) Unwrap() error { return e.Err }

// Error returns one line of at most about 2 kB.
func (e *Error) Error() string {
	text := "workspace " + e.Host + ": "
	if e.Call == CallGitHub {
		text = "GitHub token service " + e.Host + ": "
	}
	text += e.summary()
	if d := e.Detail(); d != "" {
		text += ": " + d
	}
	return text
}

// summary is the message of the kind.
func (e *Error) summary() string {
	switch e.Kind {
	case KindInvalidClient:
		return "invalid client ID or secret"
	case KindEntitlement:
		return "the " + e.identity() + " has no workspace access"
	case KindEndpointMalformed:
		return "invalid " + e.target() + " name"
	case KindEndpointNotFound:
		return e.target() + " not found, or not visible to this " + e.identity()
	case KindEndpointDisabled:
		return "the endpoint is disabled"
	case KindInstanceStopped:
		return "the instance is stopped"
	case KindInstanceFailingOver:
		return "the instance is failing over"
	case KindInstanceDeleting:
		return "the instance is being deleted"
	case KindTooManySecrets:
		return "the service principal has the maximum number of secrets"
	case KindBearerRefused:
		if e.Origins.Token != "" {
			return "token from " + e.Origins.Token + " rejected"
		}
		return "workspace token rejected"
	case KindPermissionDenied, KindSecretNotFound, KindServerError:
		return string(e.Kind)
	case KindUnavailable:
		return "server error"
	case KindRateLimited:
		return "rate limit exceeded"
	case KindRefreshRefused:
		return "refresh token rejected"
	case KindCodeRefused:
		return "authorization code rejected"
	case KindFederationRefused:
		return "workload token rejected"
	case KindForeignHost:
		return "names an endpoint or audience on another host, and nothing was sent there"
	case KindNotJSON, KindTooLarge, KindBadReply:
		return "unexpected response"
	case KindRedirect:
		return "request redirected, and credentials are never sent to a redirect target"
	case KindNameNotResolved:
		return "host name not resolved"
	case KindCertificate:
		return "certificate not trusted"
	case KindTLS:
		return "TLS handshake failed"
	case KindProxy:
		return "connection through the proxy failed"
	case KindBroken, KindDeadline, KindCanceled:
		return "not reachable, or no response"
	}
	return "request rejected"
}

// Detail returns what the server or the system said: status, code, message, request ID.
func (e *Error) Detail() string {
	var parts []string
	if e.Status != 0 {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("HTTP %d %s", e.Status, e.Code)))
	} else if e.Code != "" {
		parts = append(parts, e.Code)
	}
	if e.Message != "" {
		parts = append(parts, e.Message)
	} else if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	text := strings.Join(parts, ": ")
	if e.RequestID != "" {
		text += ", request " + e.RequestID
	}
	return text
}

func (e *Error) identity() string {
	if e.Origins.Subject != "" {
		return e.Origins.Subject
	}
	return "service principal"
}

func (e *Error) target() string {
	if e.IsInstance() {
		return "instance"
	}
	return "endpoint"
}

// IsInstance reports whether the call was about an instance of Lakebase Provisioned.
func (e *Error) IsInstance() bool {
	return e.Call == CallInstance || e.Call == CallInstanceCredential
}

// Hint returns what to do about the error.
func (e *Error) Hint() string {
	host, target, who := e.Origins.Host, e.Origins.Target, e.identity()
	if host == "" {
		host = "the host"
	}
	if target == "" {
		target = "the target's name"
	}
	switch {
	case e.Kind == KindPermissionDenied && strings.Contains(e.Message, "IP ACL"): // omnigent-ai/omnigent#4463
		return "add this machine's address to the workspace's IP access list"
	case e.Call == CallGitHub:
		return "give the job the permission id-token: write, and allow connections to GitHub's token service"
	case e.Origins.TokenFix != "":
		return e.Origins.TokenFix
	}
	switch e.Kind {
	case KindForeignHost:
		return "check " + host + ": its discovery document points elsewhere; --audience or another authentication type does without it"
	case KindCodeRefused:
		return "start the login again: a code can be used once, and for minutes only"
	case KindInstanceStopped:
		return "start the instance in the console: a login does not start it"
	case KindInstanceFailingOver:
		return "try again in a minute"
	case KindInstanceDeleting:
		return "check " + target + "; if the instance was moved to Lakebase Autoscaling, name its endpoint with --endpoint"
	case KindInvalidClient:
		return "check the client ID, and whether the secret was revoked or has expired; store a new one with: lakebase-credential-helper login" + e.Origins.SameSetup
	case KindEntitlement:
		return `ask a workspace admin to enable "Workspace access" for the ` + who
	case KindEndpointMalformed:
		if e.IsInstance() {
			return "check " + target + ": use the instance's name as the console shows it"
		}
		return "check " + target + ": its form is projects/PROJECT/branches/BRANCH/endpoints/ENDPOINT"
	case KindEndpointNotFound:
		if e.IsInstance() {
			return "check " + target + ", and that the " + who + " may use the instance; if it was moved to Lakebase Autoscaling, name its endpoint with --endpoint"
		}
		return "check " + target + ", and that the " + who + " may use the project; list the endpoints with: lakebase-credential-helper endpoints" + e.Origins.SameSetup
	case KindEndpointDisabled:
		return "enable the endpoint in the console: a login cannot wake it"
	case KindTooManySecrets:
		return "delete a secret that is no longer used in the workspace's settings, and try again"
	case KindPermissionDenied:
		switch e.Call {
		case CallListSecrets, CallCreateSecret, CallDeleteSecret:
			return "ask a workspace admin to make the service principal a manager of itself; or make a new secret in the workspace's settings, and store it with: lakebase-credential-helper login" + e.Origins.SameSetup
		case CallWorkspaceToken:
			return "ask a workspace admin to let the service principal sign in, and this machine's address if there is an IP access list"
		case CallInstance, CallInstanceCredential:
			return "give the " + who + " CAN USE on the instance"
		}
		return "give the " + who + " CAN USE on the project"
	case KindRateLimited:
		return "try again later; processes that share the token cache need one call only"
	case KindNotJSON, KindTooLarge, KindBadReply, KindRedirect, KindTLS:
		return "check " + host + ": it must be the workspace's own address; a proxy or login page in between answers like this too"
	case KindNameNotResolved:
		return "check " + host + " for a typing error, and this machine's name resolution"
	case KindCertificate:
		var file *rootcerts.Error
		if errors.As(e.Err, &file) {
			return file.Hint()
		}
		if hint := rootcerts.VerifyHint(e.Err, host); hint != "" {
			return hint
		}
		return "if a company proxy or private authority signed the certificate, pass the root certificate of that authority with --cacert"
	case KindProxy:
		return "check HTTPS_PROXY and NO_PROXY"
	case KindBearerRefused:
		return "check this machine's clock, and try again"
	case KindServerError:
		return "try again later; if it persists, ask Databricks' support, and tell the time and the request ID"
	case KindRefused:
		switch {
		case e.Call == CallWorkspaceToken:
			return "check " + host + " and the client ID, and try again"
		case e.Call == CallInstanceCredential && e.Status == 404:
			return "if the workspace has no such call, use its own token as the password: --credential workspace"
		case e.Call == CallDatabaseCredential && e.Origins.TTL != "":
			return "check " + e.Origins.TTL + " and " + target + ", and try again"
		}
		return "check " + host + " and " + target + ", and try again"
	}
	return "check " + host + " and the network, and try again; --timeout allows more time"
}

// Retryable reports whether the same call may succeed later, and how long the server
// asked to wait. It is true for 429, 502, 503 and 504, broken connections and a call
// that ran out of its own time, as in databricks-sdk-go config/experimental/auth; it
// is false for refusals, certificates and redirects.
//
// A refresh token or a code may be good for one use, and sending it again can revoke
// the whole grant (RFC 6819 5.2.2.3). Those calls are retryable only where nothing was
// sent, or the workspace answered 429 or 503.
func (e *Error) Retryable() (again bool, after time.Duration) {
	switch e.Kind {
	case KindRateLimited, KindUnavailable, KindBroken, KindDeadline:
		again = true
	case KindNameNotResolved:
		again = isTemporary(e.Err)
	case KindProxy:
		again = e.Status == 429 || e.Status >= 502 && e.Status <= 504 || e.Status == 0 && isTemporary(e.Err)
	}
	once := e.Call == CallRefresh || e.Call == CallCode
	if !again || once && !e.NotSent && e.Kind != KindRateLimited && e.Status != 503 {
		return false, 0
	}
	return true, e.RetryAfter
}

// isTemporary reports whether a failure below HTTP may pass. "No such host" does not.
func isTemporary(err error) bool {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return !dns.IsNotFound && (dns.IsTemporary || dns.IsTimeout)
	}
	return transportKind(err) == KindBroken
}

// NoDocument reports whether the host answered and has no discovery document: most
// need none. A web page, a redirect and a refusal are such answers.
func (e *Error) NoDocument() bool {
	if e.Call != CallDiscovery {
		return false
	}
	return e.Kind == KindNotJSON || e.Kind == KindRedirect || e.Status >= 400 && e.Status < 500 && e.Kind != KindRateLimited
}

// MayHaveApplied reports whether the workspace may have done what was asked although
// the call failed: the reply was lost or is not understood.
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
