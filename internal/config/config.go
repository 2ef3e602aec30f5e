// Package config resolves options, environment and a profile into one Config:
// workspace, identity, target and settings, each value with its source. It reads neither
// the process environment nor files; its caller passes in what it needs.
package config

import (
	"errors"
	"fmt"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Origin is the kind of source of a value.
type Origin int

// The origins, from the weakest to the strongest.
const (
	FromDefault Origin = iota
	FromProfile
	FromEnvironment
	FromOption
)

// Source identifies where a value comes from, for messages.
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
	Value  T
	Source Source
}

// Given reports whether the value was set.
func (v Value[T]) Given() bool { return v.Source.Origin != FromDefault }

// SSL modes of libpq (PostgreSQL manual, "SSL Support").
const (
	VerifyFull = "verify-full"
	verifyCA   = "verify-ca"
	Require    = "require"
)

// Values of --wait, --cache, --refresh, --credential, --on-refresh and LAKEBASE_LOG.
const (
	WaitAuto   = "auto"
	WaitAlways = "always"
	WaitNever  = "never"

	CacheAuto     = "auto"
	CacheKernel   = "kernel"
	CacheKeychain = "keychain"
	CacheFile     = "file"
	CacheOff      = "off"

	RefreshOff      = "off"
	RefreshPassfile = "passfile"
	RefreshProxy    = "proxy"

	CredentialDatabase  = "database"
	CredentialWorkspace = "workspace"

	onRefreshNone    = "none"
	OnRefreshRestart = "restart"
	OnRefreshSignal  = "signal:" // and a signal's name

	LogQuiet   = "quiet"
	LogNormal  = "normal"
	LogVerbose = "verbose"
)

// Config is a complete, validated configuration.
type Config struct {
	Profile   Value[string]
	Workspace Value[Workspace]
	ClientID  Value[string] // a service principal's; empty for a user
	Endpoint  Value[string] // of Lakebase Autoscaling, whole or partial; at most one of Endpoint and Instance is set
	Instance  Value[string] // of Lakebase Provisioned

	Auth        Value[string]            // name of an AuthType; empty: the stored secrets decide
	Secret      SecretSource             // the credential of that type
	GitHub      *GitHubSource            // GitHub Actions' token service; nil elsewhere
	authOptions map[string]Value[string] // by option: the settings with an AuthType
	Scope       Value[string]            // of the workspace token: words, sorted, with a space in between
	// DatabricksProfile is the section of a .databrickscfg that names the workspace.
	// Empty with a source: that source overrides it.
	DatabricksProfile Value[string]

	Credential Value[string] // kind of password: database or workspace
	ReadOnly   Value[bool]   // use the target's read-only host
	Pooled     Value[bool]   // use the endpoint's pooled host

	PGHost       Value[string]
	PGHostAddr   Value[string]
	PGPort       Value[int]
	Database     Value[string]
	User         Value[string] // empty: the workspace has to be asked
	SSLMode      Value[string]
	ChildSSLMode Value[string] // PGSSLMODE of the command; SSLMode by default
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
	Listen          Value[string] // HOST:PORT, or the absolute path of a directory for a Unix socket
	MaxConnections  Value[int]    // of the proxy
	MaxWaiting      Value[int]    // of the proxy; MaxConnections by default
	StatusFile      Value[string] // absolute, or empty: none
	HealthListen    Value[string] // HOST:PORT, or empty: none
	RuntimeDir      Value[string]
	Keep            Value[[]string]
	Set             []SetVar
	Log             Value[string]
	LogFormat       Value[string]

	// Nested reports that the environment is one that lakebase-exec made for a command.
	Nested bool

	// Notes lists values that were ignored or changed.
	Notes []Note
	// Warnings lists what is always reported.
	Warnings []Note
}

// SetVar is an additional variable for the command, made from a template.
type SetVar struct {
	Name, Template string
	Source         Source
}

// Note is a value that was ignored or changed.
type Note struct {
	Name string // variable, option or key
	Why  string
}

func (n Note) String() string { return n.Name + ": " + n.Why }

// Native reports whether a role signs in with its own password, without a workspace.
func (c *Config) Native() bool { return c.Auth.Value == AuthNative }

// PGHostTrusted reports whether the configured database host is used without looking up
// the endpoint: it is an option, in a Databricks database domain, loopback like the
// workspace, or a native password is stored for it. With ReadOnly or Pooled it is either
// an option or empty.
func (c *Config) PGHostTrusted() bool {
	h := c.PGHost.Value
	local := isLoopback(h) && isLoopback(c.Workspace.Value.Hostname())
	return h != "" && (c.Native() || c.PGHost.Source.Origin == FromOption || IsDatabaseDomain(h) || local)
}

// Target returns the endpoint's name, or credential.InstancePrefix and the instance's.
func (c *Config) Target() Value[string] {
	if c.Instance.Value != "" {
		return Value[string]{credential.InstancePrefix + c.Instance.Value, c.Instance.Source}
	}
	return c.Endpoint
}

// Error is an invalid or missing value.
type Error struct {
	Name    string // the option, variable or key
	Problem string // what is wrong with it
	Fix     string // what to do about it; may be empty
	Err     error  // the cause, which Problem contains; may be nil
}

func (e *Error) Error() string { return e.Name + ": " + e.Problem }

// Hint returns what to do about it; it may be empty.
func (e *Error) Hint() string {
	var cause interface{ Hint() string }
	if e.Fix == "" && errors.As(e.Err, &cause) {
		return cause.Hint()
	}
	return e.Fix
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// invalid returns the error of a value, with what to do about it.
func invalid(from Source, fix, format string, args ...any) *Error {
	return &Error{Name: from.String(), Problem: fmt.Sprintf(format, args...), Fix: fix}
}

// rejected is invalid for a value that the error shows.
func rejected(value string, from Source, fix, problem string) *Error {
	return invalid(from, fix, "%s %s", sanitize.Quote(value), problem)
}
