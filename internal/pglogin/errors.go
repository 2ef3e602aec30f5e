package pglogin

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
)

// Kind is why a login failed.
type Kind string

// The kinds. "Retried" ones are retried until the caller's deadline, those with a
// time until they have repeated for so long; all others are final.
const (
	Other              Kind = "other"                         // retried for 5 s with SQLSTATE class XX, 53, 57, 58, code 08P01 or none
	WakeTimeout        Kind = "wake timeout"                  // the deadline passed; Last is why
	Canceled           Kind = "canceled"                      // the caller's context was canceled
	BadTarget          Kind = "bad target"                    // the target's values cannot be used
	Refused            Kind = "login refused"                 // SQLSTATE class 28, or a message that means it
	TokenInvalid       Kind = "token refused"                 // the token is expired or malformed
	RoleMissing        Kind = "role missing"                  // the role does not exist
	DatabaseMissing    Kind = "database missing"              // 3D000
	ConnectDenied      Kind = "connect denied"                // 42501
	EndpointDisabled   Kind = "endpoint disabled"             // the endpoint was disabled
	EndpointNotFound   Kind = "endpoint not found"            // no such endpoint
	NotAllowed         Kind = "address not allowed"           // the IP access list
	Certificate        Kind = "certificate not trusted"       // the certificate is not valid for the host, or not trusted
	TLSRefused         Kind = "TLS refused"                   // no TLS, or a failed handshake; retried for 5 s if an error came before TLS
	NameNotResolved    Kind = "name not resolved"             // no such host; retried for other DNS failures
	Protocol           Kind = "not Postgres"                  // the peer does not speak Postgres
	Unreachable        Kind = "unreachable"                   // refused, reset or closed: retried, unless the operating system forbids it
	NoAnswer           Kind = "no answer"                     // retried; no answer until the attempt's context ended
	Starting           Kind = "starting"                      // retried; starting up or shutting down
	TooManyConnections Kind = "too many connections"          // retried
	Unavailable        Kind = "temporarily unavailable"       // retried; "temporarily unavailable. Check your quotas"
	ExternalAuth       Kind = "external authorization failed" // retried for 10 s; a new project, or the IP access list
)

// Error is every failure of this package. It holds neither the password nor
// pgconn's config; errors of the network, DNS and certificates can be unwrapped.
type Error struct {
	Kind     Kind
	Retry    bool          // another attempt may succeed
	Code     string        // SQLSTATE, if the server sent one
	Message  string        // the server's or the system's text, as sanitize.Line returns it
	Last     *Error        // with WakeTimeout: the last failure that said something, else the last timeout, or nil
	Target   Target        // of a Connector's method
	Attempts int           // started so far
	Elapsed  time.Duration // since the method was called

	maxRepeat   time.Duration // how long it may repeat; 0: until the deadline
	silent      bool          // with NoAnswer: see startupConn.silent
	unconnected bool          // nothing answered on TCP, neither with a connection nor with a refusal
	peer        Peer          // with an address only; zero if there was no connection
	cause       error
}

func (e *Error) Error() string {
	database := "the database"
	if e.Target.Host != "" {
		database += " at " + e.Target.Host
	}
	attempts := "1 attempt"
	if e.Attempts != 1 {
		attempts = fmt.Sprintf("%d attempts", e.Attempts)
	}
	attempts = fmt.Sprintf("in %s (%s)", e.Elapsed.Round(100*time.Millisecond), attempts)
	if e.Dropped() {
		return fmt.Sprintf("cannot log in to %s: no answer on TCP port %d %s", database, e.Target.Port, attempts)
	}
	switch e.Kind {
	case WakeTimeout:
	case BadTarget, NameNotResolved, Certificate, Protocol, Canceled, Unreachable:
		return "cannot log in to " + database + ": " + e.reason()
	default:
		return database + " refused the login: " + e.reason()
	}
	text := database + " did not wake " + attempts
	if e.Last == nil {
		return text + ": no answer"
	}
	return text + "; last error: " + e.Last.reason()
}

// reason returns kind, message and SQLSTATE. It omits a kind that the message repeats.
func (e *Error) reason() string {
	text := string(e.Kind)
	switch {
	case e.Message == "":
	case slices.Contains(repeated, e.Kind):
		text = e.Message
	default:
		text += ": " + e.Message
	}
	if e.Code != "" && !strings.Contains(text, e.Code) {
		text += " (SQLSTATE " + e.Code + ")"
	}
	return text
}

// repeated are kinds that the server's message, or the rest of the line, states too.
var repeated = []Kind{Refused, RoleMissing, DatabaseMissing, EndpointDisabled, NotAllowed}

// hints say what to do about an error of a kind.
var hints = map[Kind]string{
	WakeTimeout:      "raise --wait-timeout (get: --wait), and check the state of the compute in the console",
	Refused:          "check that the role exists and may log in",
	RoleMissing:      "create the role in the database",
	TokenInvalid:     "check this machine's clock, and that the workspace owns this database: a token is valid in its own workspace only",
	ConnectDenied:    "grant the role CONNECT on the database",
	EndpointDisabled: "enable the endpoint in the console: a login cannot wake it",
	EndpointNotFound: "check PGHOST or --pghost, or leave it out to use the host that the workspace returns",
	NameNotResolved:  "check PGHOST or --pghost, or leave it out to use the host that the workspace returns",
	NotAllowed:       "add this machine's address to the IP access list",
	Unreachable:      "check host and port, and whether a firewall rejects the connection",
	ExternalAuth: "if the project is new, try again in a minute; else check that the IP access list allows this machine's address, " +
		"and that the identity may use the project",
	Certificate: "check the host; if a private authority signed its certificate, " +
		"pass the root certificate of that authority with --sslrootcert",
	TLSRefused: "check host and port: a Lakebase endpoint does not answer like this",
	Protocol:   "check host and port: a Lakebase endpoint does not answer like this",
}

// Hint returns what to do about the error.
func (e *Error) Hint() string {
	switch {
	case e.Kind == WakeTimeout && e.Last != nil && e.Last.Kind == ExternalAuth:
		return hints[ExternalAuth]
	case e.Dropped():
		return fmt.Sprintf("allow outbound TCP to port %d in the firewall; with Private Link, set up Service Direct Private Link too: "+
			"the workspace's (port 443) does not carry Postgres", e.Target.Port)
	case e.Kind == Refused && e.PooledHost():
		return "connect without --pooled, or set PGHOST to the host without -pooler: the role or the pooler may not accept OAuth tokens"
	case e.Kind == DatabaseMissing:
		return "check the name of the database: " + e.Target.Database + " (usually databricks_postgres)"
	case e.Kind == Certificate:
		return cmp.Or(rootcerts.VerifyHint(e, "PGHOST or --pghost"), hints[Certificate])
	}
	return cmp.Or(hints[e.Kind], "try again with --verbose")
}

// Dropped reports whether nothing answered on TCP, as when a firewall drops packets. A
// suspended compute is not the reason: Lakebase's proxy accepts connections for it.
func (e *Error) Dropped() bool {
	return e.unconnected && e.Kind == Unreachable || e.Kind == WakeTimeout && e.Last != nil && e.Last.unconnected
}

// Waking reports whether the compute may be starting: it says so, or an open connection
// waits for an answer.
func (e *Error) Waking() bool {
	return e.Kind == Starting || e.Kind == WakeTimeout && e.Last != nil && e.Last.Kind == NoAnswer && !e.Last.unconnected
}

// Unwrap returns the cause, or nil: with WakeTimeout, the context's error and Last.
func (e *Error) Unwrap() error { return e.cause }

// PooledHost reports whether a connection pooler refused the login. One that does not
// accept OAuth tokens says so in terms of SASL.
func (e *Error) PooledHost() bool { return strings.Contains(e.Message, "SASL") }

// TokenRefused reports whether a new token may be accepted where this one was not:
// it is expired or malformed, or the server took it for a wrong password.
func (e *Error) TokenRefused() bool {
	return e.Kind == TokenInvalid ||
		e.Kind == Refused && (e.Code == "28P01" || strings.Contains(strings.ToLower(e.Message), "password authentication failed"))
}
