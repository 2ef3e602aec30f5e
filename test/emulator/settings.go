package emulator

import (
	"slices"
	"sync"
	"time"
)

// WakeMode describes what a client sees while the compute wakes.
type WakeMode string

// The modes. Refused, Reset and Silent act on the TCP connection, so that any
// connection triggers the wake; the others need a start-up message.
const (
	// Held accepts TLS and the start-up message, and goes on when the compute is up.
	Held WakeMode = "held"
	// Refused resets the connection that triggers the wake, then closes the listening port until the compute is up.
	Refused WakeMode = "refused"
	// Reset accepts each connection and sends RST.
	Reset WakeMode = "reset"
	// StartingUp answers the start-up message with FATAL 57P03.
	StartingUp WakeMode = "57P03"
	// NoCompute checks the token, then answers ERROR XX000 "Couldn't connect to compute node", as neondatabase/neon's proxy does.
	NoCompute WakeMode = "xx000"
	// Silent accepts each connection and never reads or answers on it, not even once the compute is up.
	Silent WakeMode = "silent"
)

// WakeModes lists every mode.
func WakeModes() []WakeMode { return []WakeMode{Held, Refused, Reset, StartingUp, NoCompute, Silent} }

// Never is the duration of a wake that does not end.
const Never time.Duration = -1

// Field describes how a field of a reply is spoiled.
type Field string

// Faults of expires_in; expire_time supports Missing only.
const (
	Normal   Field = ""
	Missing  Field = "missing"
	String   Field = "string" // "3600", as databricks/cli libs/testserver sends it
	Zero     Field = "zero"
	Negative Field = "negative"
)

// Settings steer a running emulator. Their zero value is a healthy workspace
// with tokens of one hour and a compute that wakes as fast as Postgres starts.
type Settings struct {
	Latency        time.Duration // added to every API request
	ConnectLatency time.Duration // added once to every API connection, before its TLS handshake

	WorkspaceTokenLife time.Duration // 0: 1 h
	DatabaseTokenLife  time.Duration // 0: 1 h; a ttl that the client asks for goes before it
	ClockSkew          time.Duration // the server's clock minus ours: Date, iat, exp, expire_time, and its own checks

	SecretDelay time.Duration // a new secret is refused with invalid_client for this long

	ExpiresIn  Field // of the workspace token's reply
	ExpireTime Field // of the database credential's reply

	SecretRevoked     bool // every secret is answered with invalid_client
	SecretsDenied     bool // 403 to all that concerns a service principal's secrets
	NoWorkspaceAccess bool // 403, as without the entitlement "Workspace access"
	EndpointDisabled  bool // status.disabled, and no login
	RoleMissing       bool // every login fails with 28000
	PlainExpiredText  bool // an expired token is told as "Invalid authorization", not as "JWT token has expired"

	EndpointHost string // the host that the API names for every endpoint and instance; "" is localhost. The API names no port.
	ReadOnlyHost string // their read-only host; "" is 127.0.0.1, NoHost none

	InstanceState     InstanceState // "": AVAILABLE while the compute is up, else STARTING. Logins do not look at it.
	WorkspacePassword bool          // a workspace token is taken as a password; Start sets it where there are instances

	PageSize     int  // the most that a page of projects, branches or endpoints holds; 0: 100
	IPNotAllowed bool // every login fails, as by an IP access list

	// People: the authorization code and what it gives.
	User                string        // who sits at the browser; "" is Lakebase.User
	CodeLife            time.Duration // 0: 5 min
	RefreshLife         time.Duration // of each refresh token from its making; 0: 30 days
	RefreshRotates      bool          // each use gives a new refresh token, and the old one is dead at once
	RefreshReuseRevokes bool          // a dead one that comes again takes its whole family with it
	RefreshRevoked      bool          // every refresh token is refused
	RefreshInvalidGrant bool          // a refusal is 400 invalid_grant, not 401 invalid_request "Refresh token is invalid"
	PATRevoked          bool          // every personal access token is refused

	// Workloads: the federation policy of the service principal, and the tokens
	// of the Actions service.
	Audience     string        // "" is the URL of the token endpoint that works
	Subject      string        // "" is WorkloadSubject
	WorkloadLife time.Duration // 0: 10 min

	// Discovery.
	Unified                      bool     // only an account's token endpoint works, and host_type says unified
	AccountPlaceholder           bool     // with Unified: oidc_endpoint holds {account_id} itself
	WorkspaceHeader              bool     // the API refuses calls without X-Databricks-Workspace-Id
	Audiences                    []string // token_federation_default_oidc_audiences; nil: Audience, empty: the field is left out
	ForeignOIDCEndpoint          string   // "" is the true one, as for the next two
	ForeignTokenEndpoint         string
	ForeignAuthorizationEndpoint string

	Wake     WakeMode      // "" is Held
	WakeTime time.Duration // from the first login to up; Never

	Faults      []Fault      // consumed in order, each by the call it names
	LoginFaults []LoginFault // consumed in order, each by one connection to the gateway
}

// settingsStore guards Settings.
type settingsStore struct {
	mu  sync.Mutex
	now Settings
}

func (b *settingsStore) get() Settings {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.now
	s.Faults, s.LoginFaults = slices.Clone(s.Faults), slices.Clone(s.LoginFaults)
	return s
}

func (b *settingsStore) set(f func(*Settings)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.now)
}

// take uses up one turn of the first fault that waits for this call.
func (b *settingsStore) take(call Call) (Fault, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, f := range b.now.Faults {
		if f.Call != call && f.Call != AnyCall {
			continue
		}
		switch {
		case f.Times > 1:
			b.now.Faults[i].Times--
		case f.Times >= 0:
			b.now.Faults = slices.Delete(slices.Clone(b.now.Faults), i, i+1)
		}
		return f, true
	}
	return Fault{}, false
}

func (s Settings) wake() WakeMode {
	if s.Wake == "" {
		return Held
	}
	return s.Wake
}

func (s Settings) host() string {
	if s.EndpointHost == "" {
		return "localhost"
	}
	return s.EndpointHost
}

// NoHost is the ReadOnlyHost of a target without a read-only host.
const NoHost = "none"

// readOnlyHost is by default the gateway's other name.
func (s Settings) readOnlyHost() string {
	switch s.ReadOnlyHost {
	case "":
		return "127.0.0.1"
	case NoHost:
		return ""
	}
	return s.ReadOnlyHost
}

// clock is the server's, skew included.
func (s Settings) clock() time.Time { return time.Now().Add(s.ClockSkew) }

func lifeOr(d, fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return d
}
