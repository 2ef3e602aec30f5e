// Package config owns the answer to "which workspace, endpoint, database and
// identity, how, and who said so". It turns options, environment and a profile
// into one Config that is not changed afterwards; each value remembers its
// source. It must never read the process itself, touch a keychain or the
// network, or hold a secret that its caller did not hand in.
package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Origin is the kind of place a value came from.
type Origin int

// The places, from the weakest to the strongest.
const (
	FromDefault Origin = iota
	FromProfile
	FromEnvironment
	FromOption
)

// Source says where a value came from, in words by which its owner finds it.
type Source struct {
	Origin Origin
	Name   string // "--host", "DATABRICKS_HOST", `key host of profile "prod" (FILE:3)`
}

func (s Source) String() string {
	if s.Origin == FromDefault {
		return "the default"
	}
	return s.Name
}

// Value is a setting and its source.
type Value[T any] struct {
	V    T
	From Source
}

// Given says whether somebody set the value.
func (v Value[T]) Given() bool { return v.From.Origin != FromDefault }

// SSL modes, in libpq's words (PostgreSQL manual, "SSL Support").
const (
	VerifyFull = "verify-full"
	VerifyCA   = "verify-ca"
	Require    = "require"
)

// The words of --wait, --cache, --refresh, --credential, --on-refresh and LAKEBASE_LOG.
const (
	WaitAuto   = "auto"
	WaitAlways = "always"
	WaitNever  = "never"

	CacheKeychain = "keychain"
	CacheFile     = "file"
	CacheOff      = "off"

	RefreshOff      = "off"
	RefreshPassfile = "passfile"
	RefreshProxy    = "proxy"

	CredentialDatabase  = "database"
	CredentialWorkspace = "workspace"

	OnRefreshNone    = "none"
	OnRefreshRestart = "restart"
	OnRefreshSignal  = "signal:" // and a signal's name

	LogQuiet   = "quiet"
	LogNormal  = "normal"
	LogVerbose = "verbose"
)

// Config is a whole, checked configuration.
type Config struct {
	Profile   Value[string]
	Workspace Value[Workspace]
	ClientID  Value[string]
	Endpoint  Value[string] // of Lakebase Autoscaling; at most one of Endpoint and Instance is set
	Instance  Value[string] // of Lakebase Provisioned
	Secret    SecretSource

	Credential Value[string] // what the password is: database or workspace
	ReadOnly   Value[bool]   // the target's read-only host is wanted

	PGHost       Value[string]
	PGHostAddr   Value[string]
	PGPort       Value[int]
	Database     Value[string]
	User         Value[string]
	SSLMode      Value[string]
	ChildSSLMode Value[string] // what the child reads; SSLMode where not given
	SSLRootCert  Value[string] // absolute, or empty: the system's
	CACert       Value[string] // absolute, or empty: none

	TTL             Value[time.Duration] // 0: the server's
	MinTTL          Value[time.Duration]
	Wait            Value[string]
	WaitTimeout     Value[time.Duration]
	Timeout         Value[time.Duration]
	KeychainTimeout Value[time.Duration] // 0: the program's own default
	Cache           Value[string]
	Refresh         Value[string]
	OnRefresh       Value[string] // none, restart, or signal: and a name in capitals without SIG
	Listen          Value[string] // HOST:PORT, or the absolute path of a folder for a Unix socket
	StatusFile      Value[string] // absolute, or empty: none
	HealthListen    Value[string] // HOST:PORT, or empty: none
	RuntimeDir      Value[string]
	Keep            Value[[]string]
	URLVar          Value[[]string] // variables that get a connection URL
	Set             []SetVar
	Log             Value[string]
	LogFormat       Value[string]

	// Notes lists what was given and not used, or used in another way.
	Notes []Note
}

// SetVar is one more variable for the child, made from a template.
type SetVar struct {
	Name, Template string
	From           Source
}

// Note is one thing that was given and not taken as it stood.
type Note struct {
	Name string // variable, option or key
	Why  string
}

func (n Note) String() string { return n.Name + ": " + n.Why }

// SecretKind is where the service principal's secret is to be had.
type SecretKind int

// The ways, in the order in which they are looked at.
const (
	SecretInKeychain SecretKind = iota
	SecretInFile
	SecretInEnvironment
)

// SecretSource says where the secret is. Text is set for SecretInEnvironment only.
type SecretSource struct {
	Kind SecretKind
	Path string
	Text credential.Secret
	From Source
}

// PGHostTrusted says whether the configured database host is used without
// asking the endpoint: it was given as an option, ends in a Databricks database
// domain, or is loopback as the workspace's host is. With ReadOnly it is either
// an option or empty.
func (c Config) PGHostTrusted() bool {
	h := c.PGHost
	return h.V != "" && (h.From.Origin == FromOption || IsDatabaseDomain(h.V) || IsLoopback(h.V) && IsLoopback(c.Workspace.V.Hostname()))
}

// Target is the endpoint's name, the instance's behind credential.InstancePrefix,
// or empty.
func (c Config) Target() string {
	if c.Instance.V != "" {
		return credential.InstancePrefix + c.Instance.V
	}
	return c.Endpoint.V
}

// TargetFrom says who named the target.
func (c Config) TargetFrom() Source {
	if c.Instance.V != "" {
		return c.Instance.From
	}
	return c.Endpoint.From
}

// Key names the token that this configuration needs.
func (c Config) Key() credential.Key {
	return credential.Key{
		Identity:    "oauth-m2m",
		Host:        c.Workspace.V.HostPort(),
		WorkspaceID: c.Workspace.V.WorkspaceID,
		Principal:   c.ClientID.V,
		Target:      c.Target(),
		TTL:         c.TTL.V,
		Credential:  c.Credential.V,
		ReadOnly:    c.ReadOnly.V,
	}
}

// SecretAccount is the keychain account of the secret: one for each host and
// client id, so that a secret cannot be read for another host.
func (c Config) SecretAccount() string {
	return SecretAccount(c.Workspace.V.HostPort(), c.ClientID.V)
}

// SecretAccount is the keychain account of a service principal's secret.
func SecretAccount(host, clientID string) string { return "secret:" + host + ":" + clientID }

// SplitSecretAccount is the reverse of SecretAccount. The client id has no
// colon in it; the host may.
func SplitSecretAccount(account string) (host, clientID string, ok bool) {
	rest, ok := strings.CutPrefix(account, "secret:")
	i := strings.LastIndexByte(rest, ':')
	if !ok || i < 0 {
		return "", "", false
	}
	return rest[:i], rest[i+1:], true
}

// RecordAccount is the keychain account of what is known of that secret: when
// it was made, and when it ends. No secret stands in it.
func RecordAccount(host, clientID string) string { return "meta:" + host + ":" + clientID }

// RecordAccount is the target's.
func (c Config) RecordAccount() string {
	return RecordAccount(c.Workspace.V.HostPort(), c.ClientID.V)
}

// ProfileKeys are the given parts of the target, as a profile holds them.
func (c Config) ProfileKeys() map[string]string {
	keys := map[string]string{}
	put := func(key, value string, given bool) {
		if given && value != "" {
			keys[key] = value
		}
	}
	put("host", c.Workspace.V.String(), c.Workspace.Given())
	put("client_id", c.ClientID.V, c.ClientID.Given())
	put("endpoint", c.Endpoint.V, c.Endpoint.Given())
	put("instance", c.Instance.V, c.Instance.Given())
	put("pghost", c.PGHost.V, c.PGHost.Given())
	put("pgport", strconv.Itoa(c.PGPort.V), c.PGPort.Given())
	put("database", c.Database.V, c.Database.Given())
	put("user", c.User.V, c.User.Given())
	put("sslrootcert", c.SSLRootCert.V, c.SSLRootCert.Given())
	put("cacert", c.CACert.V, c.CACert.Given())
	// What belonged to the target or client that an option has replaced goes too.
	if c.TargetFrom().Origin == FromOption {
		for key, given := range map[string]bool{"endpoint": c.Endpoint.Given(), "instance": c.Instance.Given(), "pghost": c.PGHost.Given(), "pgport": c.PGPort.Given()} {
			if !given {
				keys[key] = ""
			}
		}
	}
	if c.ClientID.From.Origin == FromOption && !c.User.Given() {
		keys["user"] = ""
	}
	return keys
}

// Error is a value that cannot be used, or one that is missing.
type Error struct {
	Name    string // the option, variable or key
	Problem string // what is wrong with it
	Fix     string // what to do about it; may be empty
}

func (e *Error) Error() string {
	if e.Name == "" {
		return e.Problem
	}
	return e.Name + ": " + e.Problem
}

func bad(from Source, format string, args ...any) *Error {
	return &Error{Name: from.String(), Problem: fmt.Sprintf(format, args...)}
}
