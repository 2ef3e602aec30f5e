package exchange

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/retry"
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
	CallListSecrets        Call = "list of secrets"
	CallCreateSecret       Call = "new secret"
	CallDeleteSecret       Call = "deletion of a secret"
	CallRefresh            Call = "refreshed token"
	CallCode               Call = "token for a code"
	CallFederation         Call = "federated token"
	CallDiscovery          Call = "discovery document"
	CallMe                 Call = "user"
	CallList               Call = "list of projects, branches or endpoints"
	CallRoles              Call = "list of roles"
	CallCreateRole         Call = "new role"
	CallRoleOperation      Call = "creation of a role"
	CallServicePrincipal   Call = "service principal"
	CallGitHub             Call = "GitHub's token" // from the job's token service, not from the workspace
)

// Kind classifies an Error for retries and hints. It is the error's message, too; see
// Error.expand for what replaces {names}.
type Kind string

// The kinds.
const (
	KindInvalidClient     Kind = "invalid client ID or secret"
	KindEntitlement       Kind = "the {who} has no workspace access"
	KindEndpointMalformed Kind = "invalid {object} name"
	KindEndpointNotFound  Kind = "{object} not found, or not visible to this {who}"
	KindEndpointDisabled  Kind = "the endpoint is disabled"
	KindSecretNotFound    Kind = "secret not found"
	KindTooManySecrets    Kind = "the service principal has the maximum number of secrets"
	KindRefreshRefused    Kind = "refresh token rejected"      // it has expired, was revoked or was used before
	KindCodeRefused       Kind = "authorization code rejected" // the same, or it is for another verifier or redirect URI
	KindFederationRefused Kind = "workload token rejected"     // no federation policy matches it
	KindScopeRefused      Kind = "scope {scope} refused"       // by the token endpoint
	KindScopeMissing      Kind = "the scope {scope} does not include this call"
	KindForeignHost       Kind = "names an endpoint or audience on another host, and nothing was sent there"
	KindPermissionDenied  Kind = "permission denied"   // 403
	KindBearerRefused     Kind = "{token} rejected"    // 401 to an API call
	KindRateLimited       Kind = "rate limit exceeded" // 429
	KindUnavailable       Kind = "server unavailable"  // 502, 503, 504
	KindServerError       Kind = "server error"        // any other 5xx
	KindRefused           Kind = "request rejected"    // any other 4xx
	KindRedirect          Kind = "request redirected, and credentials are never sent to a redirect target"
	KindNotJSON           Kind = "unexpected response" // a login page, or not a workspace at all
	KindBadReply          Kind = "invalid response"    // too large, or JSON without a required field

	// Kinds of the calls about a service principal and its role.
	KindRoleExists        Kind = "the role exists"
	KindRolePending       Kind = "the role is still being created"
	KindRoleFailed        Kind = "the role was not created"
	KindPrincipalNotFound Kind = "the workspace has no service principal with this client ID"

	// States of an instance in which it accepts no login (databricks-sdk-go service/database).
	KindInstanceStopped     Kind = "the instance is stopped"
	KindInstanceFailingOver Kind = "the instance is failing over"
	KindInstanceDeleting    Kind = "the instance is being deleted"

	// Failures without a reply.
	KindNoReply         Kind = "not reachable, or no response" // also one that is cut short
	KindNameNotResolved Kind = "host name not resolved"
	KindCertificate     Kind = "certificate not trusted" // or expired, or for another name
	KindTLS             Kind = "TLS handshake failed"
	KindProxy           Kind = "connection through the proxy failed" // the proxy refused, or is not reachable
)

const (
	hintNotWorkspace = "check {host}: it must be the workspace's own address; a proxy or login page in between answers like this too"
	hintUnreachable  = "check {host} and the network, and try again; --timeout allows more time"
	hintRole         = "run the command again in a minute; if it persists, create the role in the database"
)

// hints are what to do about a kind of error: in a call, or "" for the other calls. A kind
// without one has hintUnreachable.
var hints = map[Kind]map[Call]string{
	KindInvalidClient: {"": "check the client ID, and whether the secret was revoked or has expired; " +
		"store a new one with: lakebase-credential-helper login{setup}"},
	KindEntitlement: {"": `ask a workspace admin to enable "Workspace access" for the {who}`},
	KindEndpointMalformed: {
		"":           "check {target}: its form is projects/PROJECT/branches/BRANCH/endpoints/ENDPOINT",
		CallInstance: "check {target}: use the instance's name as the console shows it",
	},
	KindEndpointNotFound: {
		"": "check {target}, and that the {who} may use the project; list the endpoints with: lakebase-credential-helper endpoints{setup}",
		CallInstance: "check {target}, and that the {who} may use the instance; " +
			"if it was moved to Lakebase Autoscaling, name its endpoint with --endpoint",
	},
	KindEndpointDisabled:  {"": "enable the endpoint in the console: a login cannot wake it"},
	KindTooManySecrets:    {"": "delete a secret that is no longer used in the workspace's settings, and try again"},
	KindRolePending:       {"": hintRole},
	KindRoleFailed:        {"": hintRole},
	KindPrincipalNotFound: {"": "check the client ID; an account admin can assign the service principal to the workspace"},
	KindCodeRefused:       {"": "start the login again: a code can be used once, and for minutes only"},
	KindScopeRefused: {
		"":          "request another one with --scope (LAKEBASE_SCOPE, profile key scope), such as postgres: a secret may be limited to some",
		CallRefresh: "sign in again with this scope: lakebase-credential-helper login --user-login{setup}",
	},
	KindScopeMissing: {"": "request a wider one with --scope (LAKEBASE_SCOPE, profile key scope), such as all-apis"},
	KindForeignHost:  {"": "check {host}: its discovery document points elsewhere; --audience or another authentication type does without it"},
	KindPermissionDenied: {
		"": "give the {who} CAN USE on the project",
		CallListSecrets: "ask a workspace admin to make the service principal a manager of itself; " +
			"or make a new secret in the workspace's settings, and store it with: lakebase-credential-helper login{setup}",
		CallWorkspaceToken: "ask a workspace admin to let the service principal sign in, and this machine's address if there is an IP access list",
		CallInstance:       "give the {who} CAN USE on the instance",
	},
	KindBearerRefused: {"": "check {host}, the credential and this machine's clock, and try again"},
	KindRateLimited:   {"": "try again later; processes that share the token cache need one call only"},
	KindServerError:   {"": "try again later; if it persists, ask Databricks' support, and tell the time and the request ID"},
	KindRefused: {
		"":                     "check {host} and {target}, and try again",
		CallWorkspaceToken:     "check {host} and the client ID, and try again",
		CallDatabaseCredential: "check {target} and --ttl (LAKEBASE_TTL, profile key ttl), and try again",
		CallCreateRole:         "check that the service principal is assigned to this workspace",
	},
	KindRedirect:            {"": hintNotWorkspace},
	KindNotJSON:             {"": hintNotWorkspace},
	KindBadReply:            {"": hintNotWorkspace},
	KindTLS:                 {"": hintNotWorkspace},
	KindInstanceStopped:     {"": "start the instance in the console: a login does not start it"},
	KindInstanceFailingOver: {"": "try again in a minute"},
	KindInstanceDeleting:    {"": "check {target}; if the instance was moved to Lakebase Autoscaling, name its endpoint with --endpoint"},
	KindNameNotResolved:     {"": "check {host} for a typing error, and this machine's name resolution"},
	KindCertificate: {"": "if a company proxy or private authority signed the certificate, " +
		"pass the root certificate of that authority with --cacert"},
	KindProxy: {"": "check HTTPS_PROXY and NO_PROXY"},
}

// Origins are where the configuration comes from, for messages and hints. All fields
// are optional.
type Origins struct {
	Host      string // what named the workspace, such as DATABRICKS_HOST
	Target    string // what named the endpoint or instance
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
	Scope      string // that workspace tokens are requested with
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
	service := "workspace "
	if e.Call == CallGitHub {
		service = "GitHub token service "
	}
	text := service + e.Host + ": " + e.expand(string(e.Kind))
	if d := e.Detail(); d != "" {
		text += ": " + d
	}
	return text
}

// Detail returns what the server or the system said: status, code, message, request ID.
func (e *Error) Detail() string {
	parts := []string{e.Code, e.Message}
	if e.Status != 0 {
		code := strings.TrimPrefix(e.Code, strconv.Itoa(e.Status)) // some error_codes are the status
		parts[0] = strings.TrimSpace(fmt.Sprintf("HTTP %d %s", e.Status, code))
	}
	if e.Message == "" && e.Err != nil {
		parts[1] = e.Err.Error()
	}
	text := strings.Trim(strings.Join(parts, ": "), ": ")
	if e.RequestID != "" {
		text += ", request " + e.RequestID
	}
	return text
}

// expand replaces {host} and {target} by what named them, {scope} by the requested scope,
// {token} by the workspace token, {who} by the kind of identity, {object} by endpoint or
// instance, and {setup} by options.
func (e *Error) expand(text string) string {
	o, object, scope, token := e.Origins, "endpoint", e.Scope, "workspace token"
	if e.Call == CallInstance || e.Call == CallInstanceCredential {
		object = "instance"
	}
	switch {
	case e.Call == CallGitHub:
		token = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
	case o.Token != "":
		token = "token from " + o.Token
		scope = "of the " + token
	}
	return strings.NewReplacer("{host}", cmp.Or(o.Host, "the host"), "{target}", cmp.Or(o.Target, "the target's name"), "{scope}", scope,
		"{token}", token, "{who}", cmp.Or(o.Subject, "service principal"), "{object}", object, "{setup}", o.SameSetup).Replace(text)
}

// Hint returns what to do about the error.
func (e *Error) Hint() string { return e.expand(e.hint()) }

func (e *Error) hint() string {
	var file *rootcerts.Error
	switch {
	case e.Kind == KindPermissionDenied && strings.Contains(e.Message, "IP ACL"): // omnigent-ai/omnigent#4463
		return "add this machine's address to the workspace's IP access list"
	case e.Call == CallGitHub:
		return "give the job the permission id-token: write, and allow connections to GitHub's token service"
	case e.Origins.TokenFix != "":
		return e.Origins.TokenFix
	case e.Kind == KindCertificate && errors.As(e.Err, &file):
		return file.Hint()
	case e.Kind == KindCertificate:
		if hint := rootcerts.VerifyHint(e.Err, "{host}"); hint != "" {
			return hint
		}
	case e.Kind == KindRefused && e.Call == CallInstanceCredential && e.Status == 404:
		return "if the workspace has no such call, use its own token as the password: --credential workspace"
	}
	call := e.Call
	switch call {
	case CallInstanceCredential:
		call = CallInstance
	case CallCreateSecret, CallDeleteSecret:
		call = CallListSecrets
	}
	return cmp.Or(hints[e.Kind][call], hints[e.Kind][""], hintUnreachable)
}

// Verdict reports whether the same call may succeed later, and how long the server asked
// to wait. It is true for 429, 502, 503 and 504, broken connections and a call that ran
// out of its own time, as in databricks-sdk-go config/experimental/auth; it is false for
// refusals, certificates and redirects.
//
// A refresh token or a code may be good for one use, and sending it again can revoke
// the whole grant (RFC 6819 5.2.2.3). Those calls are retryable only where nothing was
// sent, or the workspace answered 429 or 503. A second secret is not created.
func (e *Error) Verdict() retry.Verdict {
	var again bool
	switch e.Kind {
	case KindRateLimited, KindUnavailable, KindNoReply, KindRolePending:
		again = true
	case KindNameNotResolved:
		again = isTemporary(e.Err)
	case KindProxy:
		again = e.Status == 429 || e.Status >= 502 && e.Status <= 504 || e.Status == 0 && isTemporary(e.Err)
	}
	switch e.Call {
	case CallRefresh, CallCode:
		again = again && (e.NotSent || e.Kind == KindRateLimited || e.Status == 503)
	case CallCreateSecret:
		again = again && !MayHaveApplied(e)
	}
	if !again {
		return retry.Verdict{}
	}
	return retry.Verdict{Retry: true, After: e.RetryAfter}
}

// isTemporary reports whether a failure below HTTP may pass. "No such host" does not.
func isTemporary(err error) bool {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return !dns.IsNotFound && (dns.IsTemporary || dns.IsTimeout)
	}
	return transportKind(err) == KindNoReply
}

// IsKind reports whether err is an *Error of the kind.
func IsKind(err error, kind Kind) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == kind
}

// MayHaveApplied reports whether the workspace may have done what was asked although
// the call failed: the reply was lost or is not understood.
func MayHaveApplied(err error) bool {
	e, ok := errors.AsType[*Error](err)
	lost := []Kind{KindNoReply, KindUnavailable, KindServerError, KindNotJSON, KindBadReply}
	return ok && !e.NotSent && slices.Contains(lost, e.Kind)
}

// Retry repeats a call until it succeeds, fails permanently, or ctx ends.
// The error is the call's, inside a *retry.Error after several attempts.
func Retry[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	return retry.Do(ctx, retry.Exchange(), call, retry.VerdictOf)
}

// RetryCall is Retry for a call with two arguments.
func RetryCall[A, B, T any](ctx context.Context, call func(context.Context, A, B) (T, error), a A, b B) (T, error) {
	return Retry(ctx, func(ctx context.Context) (T, error) { return call(ctx, a, b) })
}

// transportError describes a call without a reply.
func transportError(ctx context.Context, err error) *Error {
	var proxy *Error // of refuseProxy
	var op *net.OpError
	switch {
	case ctx.Err() != nil:
		return &Error{Kind: KindNoReply, Err: ctx.Err()}
	case errors.As(err, &proxy):
		return proxy
	case errors.As(err, &op) && (op.Op == "proxyconnect" || strings.HasPrefix(op.Op, "socks")): // net/http's names
		return &Error{Kind: KindProxy, Err: err}
	}
	return &Error{Kind: transportKind(err), Err: err}
}

// transportKind classifies a failure below HTTP. An unknown one is a broken
// connection: HTTP/2 alone has a dozen unexported errors for that.
func transportKind(err error) Kind {
	var dns *net.DNSError
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &dns):
		return KindNameNotResolved
	case errors.As(err, &verification):
		return KindCertificate
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch), strings.HasPrefix(err.Error(), "tls: "),
		errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error"): // crypto/tls's names of alerts
		return KindTLS
	case strings.Contains(err.Error(), "malformed HTTP"), strings.Contains(err.Error(), "response headers exceeded"):
		return KindBadReply
	}
	return KindNoReply
}
