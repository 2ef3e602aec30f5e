package pglogin

import (
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// How long an answer may repeat, without another in between, before it is taken
// for the last word. A proxy sends XX000 for every error of its own, so an
// unknown one may be a passing fault or a refusal.
const (
	unknownFor      = 5 * time.Second
	externalAuthFor = 10 * time.Second
)

// fixed are the codes whose meaning no text can change.
var fixed = map[string]Kind{"3D000": DatabaseMissing, "42501": ConnectDenied}

// text is one message that says more than its code. Lakebase and the Neon proxy
// send their own errors as XX000 (neondatabase/neon, proxy/src/stream.rs and
// proxy/src/auth; Databricks community threads for the token texts).
type text struct {
	has      string // lower case
	and      string // lower case, may be empty
	kind     Kind
	retry    bool
	patience time.Duration
}

// texts are tried in order: refusals first, as one message may hold two of them.
var texts = []text{
	{has: "jwt token has expired", kind: TokenInvalid},
	{has: "invalid authorization", kind: TokenInvalid},
	{has: "not a valid jwt encoding", kind: TokenInvalid},
	{has: "failed to decode token", kind: TokenInvalid},
	{has: "password authentication failed", kind: Refused},
	{has: "sasl authentication failed", kind: Refused},
	{has: `role "`, and: `" does not exist`, kind: RoleMissing},
	{has: "endpoint cannot be found", kind: EndpointNotFound},
	{has: "endpoint is disabled", kind: EndpointDisabled},
	{has: "endpoint id is not specified", kind: SNIMissing},
	{has: "this ip address", and: "is not allowed", kind: NotAllowed},
	{has: "external authorization failed", kind: ExternalAuth, retry: true, patience: externalAuthFor},
	{has: "endpoint is temporarily unavailable", kind: Unavailable, retry: true},
	{has: "couldn't connect to compute node", kind: Starting, retry: true},
	{has: "control plane request failed", kind: Starting, retry: true},
	{has: "failed to acquire permit to connect to the database", kind: TooManyConnections, retry: true},
	{has: "too many connections attempts", kind: TooManyConnections, retry: true},
}

// fromServer classifies an ErrorResponse.
func fromServer(pe *pgconn.PgError, password credential.Secret) *Error {
	e := &Error{Code: sqlstate(pe.Code), Message: sanitize.Line(pe.Message, password)}
	if kind, ok := fixed[e.Code]; ok {
		e.Kind = kind
		return e
	}
	said := strings.ToLower(e.Message)
	for _, t := range texts {
		if strings.Contains(said, t.has) && strings.Contains(said, t.and) {
			e.Kind, e.Retry, e.patience = t.kind, t.retry, t.patience
			return e
		}
	}
	e.Kind, e.Retry, e.patience = byCode(e.Code)
	return e
}

// byCode knows the codes that a server sends before a login is done (PostgreSQL
// manual, errcodes-appendix). 57014 is its own time limit for a login; 08P01 is
// pgbouncer's code for everything.
func byCode(code string) (k Kind, retry bool, patience time.Duration) {
	switch code {
	case "57P01", "57P02", "57P03", "57014":
		return Starting, true, 0
	case "53300":
		return TooManyConnections, true, 0
	case "08P01", "XXXXX":
		return Other, true, unknownFor
	}
	switch code[:2] {
	case "08":
		return Unreachable, true, 0
	case "28":
		return Refused, false, 0
	case "53", "57", "58", "XX":
		return Other, true, unknownFor
	}
	return Other, false, 0
}

// sqlstate returns code if it has the form of one, else "XXXXX".
func sqlstate(code string) string {
	if len(code) != 5 || strings.Trim(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return "XXXXX"
	}
	return code
}
