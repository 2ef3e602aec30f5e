// Package config owns the answer to "which workspace, endpoint, database and
// identity, how, and who said so". It turns options, environment and a profile
// into one Config that is not changed afterwards; each value remembers its
// source. It must never read the process itself, touch a keychain or the
// network, or hold a secret that its caller did not hand in.
package config

import (
	"fmt"
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
	Value  T
	Source Source
}

// Given says whether somebody set the value.
func (v Value[T]) Given() bool { return v.Source.Origin != FromDefault }

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

	OnRefreshNone    = "none"
	OnRefreshRestart = "restart"
	OnRefreshSignal  = "signal:" // and a signal's name

	LogQuiet   = "quiet"
	LogNormal  = "normal"
	LogVerbose = "verbose"
)

// CacheWords lists the words of --cache.
func CacheWords() []string {
	return []string{CacheAuto, CacheKernel, CacheKeychain, CacheFile, CacheOff}
}

// Config is a whole, checked configuration.
type Config struct {
	Profile   Value[string]
	Workspace Value[Workspace]
	ClientID  Value[string] // a service principal's; empty where a person signs in
	Endpoint  Value[string] // of Lakebase Autoscaling, whole or partial; at most one of Endpoint and Instance is set
	Instance  Value[string] // of Lakebase Provisioned

	Auth     Value[string] // a word of credential.AuthWords; empty: nobody named a way, and the keychain decides
	Audience Value[string] // whom a workload's token is to be for; empty: the host's discovery document says it
	Secret   SecretSource  // what that way starts from
	GitHub   *GitHubSource // where GitHub Actions issues tokens; nil outside of it
	// DatabricksProfile is the section of a .databrickscfg that gives the workspace.
	// Empty and with a source: that source has put it aside.
	DatabricksProfile Value[string]

	Credential Value[string] // what the password is: database or workspace
	ReadOnly   Value[bool]   // the target's read-only host is wanted

	PGHost       Value[string]
	PGHostAddr   Value[string]
	PGPort       Value[int]
	Database     Value[string]
	User         Value[string] // empty where the workspace has to be asked who signs in
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

	// Nested reports that the environment is one that lakebase-exec made for a command.
	Nested bool

	// Notes lists what was given and not used, or used in another way.
	Notes []Note
	// Warnings lists what a person is told always.
	Warnings []Note
}

// SetVar is one more variable for the child, made from a template.
type SetVar struct {
	Name, Template string
	Source         Source
}

// Note is one thing that was given and not taken as it stood.
type Note struct {
	Name string // variable, option or key
	Why  string
}

func (n Note) String() string { return n.Name + ": " + n.Why }

// PGHostTrusted says whether the configured database host is used without
// asking the endpoint: it was given as an option, ends in a Databricks database
// domain, or is loopback as the workspace's host is. With ReadOnly it is either
// an option or empty.
func (c *Config) PGHostTrusted() bool {
	h := c.PGHost
	return h.Value != "" && (h.Source.Origin == FromOption || IsDatabaseDomain(h.Value) || IsLoopback(h.Value) && IsLoopback(c.Workspace.Value.Hostname()))
}

// Target is the endpoint's name, the instance's behind credential.InstancePrefix,
// or empty.
func (c *Config) Target() string {
	if c.Instance.Value != "" {
		return credential.InstancePrefix + c.Instance.Value
	}
	return c.Endpoint.Value
}

// TargetFrom says who named the target.
func (c *Config) TargetFrom() Source {
	if c.Instance.Value != "" {
		return c.Instance.Source
	}
	return c.Endpoint.Source
}

// Key names the token that this configuration needs. Where nobody is named, a
// section of a .databrickscfg keeps two persons of one host apart.
func (c *Config) Key() credential.Key {
	identity, principal := c.Auth.Value, c.ClientID.Value
	if identity == "" {
		identity = credential.AuthM2M
	}
	if principal == "" {
		principal = c.User.Value
	}
	if principal == "" && c.DatabricksProfile.Value != "" {
		principal = "[" + c.DatabricksProfile.Value + "]"
	}
	return credential.Key{
		Identity:    identity,
		Host:        c.Workspace.Value.HostPort(),
		WorkspaceID: c.Workspace.Value.WorkspaceID,
		Principal:   principal,
		Target:      c.Target(),
		TTL:         c.TTL.Value,
		Credential:  c.Credential.Value,
		ReadOnly:    c.ReadOnly.Value,
	}
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

func errorf(from Source, format string, args ...any) *Error {
	return &Error{Name: from.String(), Problem: fmt.Sprintf(format, args...)}
}
