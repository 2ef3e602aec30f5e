package emulator

import (
	"cmp"
	"slices"
	"strings"
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

// Missing as ExpireTime leaves the field out.
const Missing = "missing"

// Settings steer a running emulator. Their zero value is a healthy workspace
// with tokens of one hour and a compute that wakes as fast as Postgres starts.
// `ctl set` knows a field by its tag, and of a field with values no others.
type Settings struct {
	Latency        time.Duration `ctl:"latency"`         // added to every API request
	ConnectLatency time.Duration `ctl:"connect-latency"` // added once to every API connection, before its TLS handshake

	WorkspaceTokenLife time.Duration `ctl:"workspace-token-life"` // 0: 1 h
	DatabaseTokenLife  time.Duration `ctl:"token-life"`           // 0: 1 h; a ttl that the client asks for goes before it
	// ClockSkew is the server's clock minus ours: Date, iat, exp, expire_time, and its own checks.
	ClockSkew time.Duration `ctl:"clock-skew"`

	NoDate bool `ctl:"no-date"` // replies have no Date header

	CertificateEnding bool `ctl:"certificate-ending"` // both servers' certificates end in 3 days

	SecretDelay time.Duration `ctl:"secret-delay"` // a new secret is refused with invalid_client for this long

	RoleDelay time.Duration `ctl:"role-delay"` // how long the operation that makes a role is not done

	ExpireTime string `ctl:"expire-time" values:"missing"` // of the database credential's reply

	SecretRevoked     bool `ctl:"secret-revoked"`      // every secret is answered with invalid_client
	SecretsDenied     bool `ctl:"secrets-denied"`      // 403 to all that concerns a service principal's secrets
	RolesDenied       bool `ctl:"roles-denied"`        // 403 to who would create a role
	NoWorkspaceAccess bool `ctl:"no-workspace-access"` // 403, as without the entitlement "Workspace access"
	EndpointDisabled  bool `ctl:"endpoint-disabled"`   // status.disabled, and no login
	RoleMissing       bool `ctl:"role-missing"`        // every login fails with 28000
	NativeLogin       bool `ctl:"native-login"`        // the project's enable_pg_native_login: a role with a password logs in by SCRAM
	PlainExpiredText  bool `ctl:"plain-expired-text"`  // an expired token is "Invalid authorization", not "JWT token has expired"

	// EndpointHost is the host that the API names for every endpoint and instance; "" is localhost. The API names no port.
	EndpointHost string `ctl:"endpoint-host"`
	ReadOnlyHost string `ctl:"read-only-host"` // their read-only host; "" is 127.0.0.1, NoHost none
	PooledHost   string `ctl:"pooled-host"`    // the endpoints' pooled host; "" is PooledHost, NoHost none. The read-only one has -ro before -pooler

	PoolerRefusesOAuth bool   `ctl:"pooler-refuses-oauth"` // a login at a pooled host fails with "SASL authentication failed"
	Pooler             string `ctl:"pooler"`               // socket of a PgBouncer behind the pooled hosts; "" is Postgres itself
	SecretScope        string `ctl:"secret-scope"`         // secrets are limited to these scopes; "" are all

	// InstanceState "" is AVAILABLE while the compute is up, else STARTING. Logins do not look at it.
	InstanceState     InstanceState `ctl:"instance-state" values:"AVAILABLE STARTING STOPPED UPDATING FAILING_OVER DELETING"`
	WorkspacePassword bool          `ctl:"workspace-password"` // a workspace token is taken as a password; Start sets it if there are instances

	PageSize     int  `ctl:"page-size"`      // the most that a page of projects, branches or endpoints holds; 0: 100
	IPNotAllowed bool `ctl:"ip-not-allowed"` // every login fails, as by an IP access list

	// Users: the authorization code and what it gives.
	User                string        `ctl:"user"`                  // who sits at the browser; "" is Lakebase.User
	CodeLife            time.Duration `ctl:"code-life"`             // 0: 5 min
	RefreshLife         time.Duration `ctl:"refresh-life"`          // of each refresh token from its making; 0: 30 days
	RefreshRotates      bool          `ctl:"refresh-rotates"`       // each use gives a new refresh token, and the old one is dead at once
	RefreshReuseRevokes bool          `ctl:"refresh-reuse-revokes"` // a dead one that comes again takes its whole family with it
	RefreshRevoked      bool          `ctl:"refresh-revoked"`       // every refresh token is refused
	RefreshInvalidGrant bool          `ctl:"refresh-invalid-grant"` // with 400 invalid_grant, not 401 invalid_request
	PATRevoked          bool          `ctl:"pat-revoked"`           // every personal access token is refused

	// Workloads: the federation policy of the service principal, and the tokens
	// of the Actions service.
	Audience     string        `ctl:"audience"`      // "" is the URL of the token endpoint that works
	Subject      string        `ctl:"subject"`       // "" is WorkloadSubject
	WorkloadLife time.Duration `ctl:"workload-life"` // 0: 10 min

	// Discovery.
	Unified            bool `ctl:"unified"`             // only an account's token endpoint works, and host_type says unified
	AccountPlaceholder bool `ctl:"account-placeholder"` // with Unified: oidc_endpoint holds {account_id} itself
	WorkspaceHeader    bool `ctl:"workspace-header"`    // the API refuses calls without X-Databricks-Workspace-Id
	// Audiences are token_federation_default_oidc_audiences; nil: Audience, empty: the field is left out.
	Audiences                    []string `ctl:"audiences"`
	ForeignOIDCEndpoint          string   `ctl:"foreign-oidc-endpoint"` // "" is the true one, as for the next two
	ForeignTokenEndpoint         string   `ctl:"foreign-token-endpoint"`
	ForeignAuthorizationEndpoint string   `ctl:"foreign-authorization-endpoint"`

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
	s.Wake = cmp.Or(s.Wake, Held)
	return s
}

func (b *settingsStore) set(f func(*Settings)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.now)
}

// take uses up one turn of the first fault that waits for this call.
func (b *settingsStore) take(call Call) (f Fault) {
	b.set(func(s *Settings) {
		i := slices.IndexFunc(s.Faults, func(f Fault) bool { return f.Call == call || f.Call == AnyCall })
		if i >= 0 {
			f, s.Faults = s.Faults[i], slices.Clone(s.Faults)
			s.Faults = useUp(s.Faults, i, &s.Faults[i].Times)
		}
	})
	return f
}

// takeLogin uses up one turn of the first fault; the zero fault has no stage.
func (b *settingsStore) takeLogin() (f LoginFault) {
	b.set(func(s *Settings) {
		if len(s.LoginFaults) > 0 {
			f, s.LoginFaults = s.LoginFaults[0], slices.Clone(s.LoginFaults)
			s.LoginFaults = useUp(s.LoginFaults, 0, &s.LoginFaults[0].Times)
			f.At = cmp.Or(f.At, StagePassword)
		}
	})
	return f
}

// useUp counts down the times of the fault at i, or removes it after the last one.
func useUp[T any](faults []T, i int, times *int) []T {
	if *times >= 0 && *times <= 1 {
		return slices.Delete(faults, i, i+1)
	}
	if *times > 1 {
		*times--
	}
	return faults
}

func (s Settings) host() string { return cmp.Or(s.EndpointHost, "localhost") }

// NoHost is the ReadOnlyHost or PooledHost of a target without one.
const NoHost = "none"

// PooledHost and ReadOnlyPooledHost are names of the gateway: the same Postgres, without a
// pool. Few resolvers know them, so clients need 127.0.0.1 as PGHOSTADDR.
const (
	PooledHost         = "local-pooler.localhost"
	ReadOnlyPooledHost = "local-ro-pooler.localhost"
)

// readOnlyHost is by default the gateway's other name.
func (s Settings) readOnlyHost() string {
	if s.ReadOnlyHost == NoHost {
		return ""
	}
	return cmp.Or(s.ReadOnlyHost, "127.0.0.1")
}

// pooledHosts returns the pooled host and the read-only one; none without the host that
// is pooled.
func (s Settings) pooledHosts() (readWrite, readOnly string) {
	if readWrite = cmp.Or(s.PooledHost, PooledHost); readWrite == NoHost {
		return "", ""
	}
	if s.readOnlyHost() != "" {
		readOnly = strings.Replace(readWrite, "-pooler", "-ro-pooler", 1)
	}
	return readWrite, readOnly
}

// clock is the server's, skew included.
func (s Settings) clock() time.Time { return time.Now().Add(s.ClockSkew) }
