package pglogin

import (
	"fmt"
	"strings"
	"time"
)

// Kind says why there is no login.
type Kind int

// The kinds. Those marked R are worth another try within the caller's time;
// those marked with a time, only as long as they stay alone for no longer.
const (
	Other              Kind = iota + 1 // 5 s in SQLSTATE classes XX, 53, 57, 58, 08P01 or none; else final
	NotAwake                           // the deadline came; Last says what was wrong, if anything was said
	Cancelled                          // the caller's context was cancelled
	BadTarget                          // the values themselves cannot be used
	BadRootCert                        // sslrootcert is unreadable or holds no certificate
	Refused                            // the login was refused: SQLSTATE class 28, or its texts
	TokenInvalid                       // the server says that the token is expired or no token
	RoleMissing                        // the role does not exist
	DatabaseMissing                    // 3D000
	ConnectDenied                      // 42501
	EndpointDisabled                   // the endpoint was disabled by somebody
	EndpointNotFound                   // no such endpoint
	NotAllowed                         // the IP access list
	SNIMissing                         // the server saw no host name
	Certificate                        // the certificate is not that of the host, or of no known authority
	TLSRefused                         // no TLS at all, or no handshake; 5 s if an error came before TLS
	NameNotResolved                    // DNS: no such host; R for other DNS failures
	Protocol                           // the peer does not speak Postgres
	Unreachable                        // R, refused, reset, closed; final if the operating system forbids it
	NoAnswer                           // R, silence until the attempt's context ended
	Starting                           // R, starting up or shutting down
	TooManyConnections                 // R
	Unavailable                        // R, "temporarily unavailable. Check your quotas"
	ExternalAuth                       // 10 s, "External authorization failed": a new project, or the IP access list
)

var kindNames = map[Kind]string{
	Other: "other", NotAwake: "not awake", Cancelled: "cancelled", BadTarget: "bad target", BadRootCert: "bad sslrootcert",
	Refused: "login refused", TokenInvalid: "token refused", RoleMissing: "role missing", DatabaseMissing: "database missing",
	ConnectDenied: "connect denied", EndpointDisabled: "endpoint disabled", EndpointNotFound: "endpoint not found",
	NotAllowed: "address not allowed", SNIMissing: "host name not sent", Certificate: "certificate not trusted", TLSRefused: "TLS refused",
	NameNotResolved: "name not resolved", Protocol: "not Postgres", Unreachable: "unreachable", NoAnswer: "no answer", Starting: "starting",
	TooManyConnections: "too many connections", Unavailable: "temporarily unavailable", ExternalAuth: "external authorization failed",
}

func (k Kind) String() string {
	if s, ok := kindNames[k]; ok {
		return s
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// Error is every failure of this package. It holds neither the password nor
// pgconn's config; network, DNS and certificate causes can be unwrapped.
type Error struct {
	Kind     Kind
	Retry    bool          // another try may find it gone
	Code     string        // SQLSTATE, if the server gave one
	Message  string        // the server's or the system's words: scrubbed of the password, at most 500 bytes, control characters as they came
	Last     *Error        // with NotAwake: the last failure that said something, else the last silence; nil if there was neither
	Attempts int           // logins tried, by Wait
	Elapsed  time.Duration // since Wait began

	patience time.Duration // how long it may repeat alone; 0: as long as the caller waits
	cause    error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("wake: " + e.Kind.String())
	if e.Kind == NotAwake {
		fmt.Fprintf(&b, ": no login in %s, %d tried", e.Elapsed.Round(time.Millisecond), e.Attempts)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.Code != "" {
		b.WriteString(" (SQLSTATE " + e.Code + ")")
	}
	if e.Last != nil {
		b.WriteString(": last: " + strings.TrimPrefix(e.Last.Error(), "wake: "))
	}
	return b.String()
}

// Unwrap gives the last failure and the cause, where there are any.
func (e *Error) Unwrap() []error {
	var all []error
	if e.Last != nil {
		all = append(all, e.Last)
	}
	if e.cause != nil {
		all = append(all, e.cause)
	}
	return all
}

// TokenRefused says that a token minted anew may be accepted where this one was
// not: it is expired or malformed, or the server took it for a wrong password.
func (e *Error) TokenRefused() bool {
	return e.Kind == TokenInvalid ||
		e.Kind == Refused && (e.Code == "28P01" || strings.Contains(strings.ToLower(e.Message), "password authentication failed"))
}
