// Package auth signs in to a Databricks workspace, or to a database with a native
// password. Each way of signing in is a strategy in a file of its own; a Chain picks the
// one that applies. The package also contains the user's browser login with its callback
// server. It never prints and never reads the process environment.
package auth

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// TokenSource supplies tokens. It is safe for concurrent use.
type TokenSource interface {
	// Token returns a valid token. It may show the keychain's unlock dialog.
	Token(ctx context.Context) (credential.Token, error)
	// Refresh returns a token other than rejected. It runs in the background and
	// shows no dialog.
	Refresh(ctx context.Context, rejected credential.Secret) (credential.Token, error)
}

// Source is a configured strategy. Each call of Token and Refresh signs in.
type Source interface {
	TokenSource
	// Check reports whether what Token starts from can be read, without signing in.
	Check(ctx context.Context) error
}

// sourceFunc is a Source that signs in the same way each time and starts from nothing
// stored.
type sourceFunc func(ctx context.Context) (credential.Token, error)

func (f sourceFunc) Token(ctx context.Context) (credential.Token, error) { return f(ctx) }

func (f sourceFunc) Refresh(ctx context.Context, _ credential.Secret) (credential.Token, error) {
	return f(ctx)
}

func (sourceFunc) Check(context.Context) error { return nil }

// strategy is one way of signing in to a workspace.
type strategy struct {
	name     string // the word of --auth, and part of the key of cached tokens
	explicit bool   // it is tried only if it is named
	// configure returns a source and who it signs in as, with only those fields of the
	// Identity that differ from KnownIdentity. The error is ErrNotConfigured where the
	// strategy does not apply to e.conf.
	configure func(ctx context.Context, e *env) (Source, Identity, error)
}

// strategies are all ways of signing in, in the order in which they are tried.
var strategies = []strategy{
	{name: AuthM2M, configure: configureM2M},
	{name: AuthGitHubOIDC, configure: configureGitHubOIDC},
	{name: AuthBrowser, configure: configureBrowser},
	{name: AuthEnvOIDC, explicit: true, configure: configureEnvOIDC},
	{name: AuthFileOIDC, explicit: true, configure: configureFileOIDC},
	{name: AuthPAT, explicit: true, configure: configurePAT},
	{name: AuthNative, explicit: true, configure: configureNative},
	{name: AuthCLI, explicit: true, configure: configureCLI},
}

// Origins returns where the values of conf come from, for the message and hint of e.
func Origins(conf config.Config, e *exchange.Error) (o exchange.Origins) {
	if conf.Workspace.Value.IsZero() {
		return o
	}
	o = exchange.Origins{Host: conf.Workspace.Source.String(), Subject: conf.AuthType().Subject, SameSetup: conf.SameTarget()}
	if from := conf.Target().Source; from.Origin != config.FromDefault {
		o.Target = from.String()
	}
	refused := e.Kind == exchange.KindBearerRefused
	switch conf.Auth.Value {
	case AuthPAT:
		o.Token = conf.Secret.Source.String()
		if refused || e.Kind == exchange.KindPermissionDenied {
			o.TokenFix = "check whether DATABRICKS_TOKEN was revoked or has expired, and that it is from this workspace"
		} else if e.Kind == exchange.KindScopeMissing {
			o.TokenFix = "create a personal access token with the scope"
		}
	case AuthCLI:
		o.Token = "the Databricks CLI"
		if refused || e.Kind == exchange.KindScopeMissing {
			o.TokenFix = "run: databricks auth login --host " + conf.Workspace.Value.URL()
		}
	}
	return o
}

// Identity is who a Source signs in as.
type Identity struct {
	Type      string            // the strategy's name
	Principal string            // client ID or user name; may be empty if only the workspace can name it
	User      string            // the database user; empty if the workspace must be asked
	Given     credential.Secret // from an option, file or variable: tokens cached for another secret are not used
	// Shared reports that processes share one workspace token through the cache,
	// because signing in replaces the stored refresh token.
	Shared bool
}

// Key returns the cache key of the database token for conf. It contains every
// setting that the strategy can read.
func (id Identity) Key(conf config.Config) credential.Key {
	return credential.Key{
		Identity:    id.Type,
		Host:        conf.Workspace.Value.HostPort(),
		WorkspaceID: conf.Workspace.Value.WorkspaceID,
		Principal:   id.Principal,
		Options:     conf.AuthOptions(id.Type),
		Target:      conf.Target().Value,
		TTL:         conf.TTL.Value,
		Credential:  conf.Credential.Value,
		ReadOnly:    conf.ReadOnly.Value,
		Pooled:      conf.Pooled.Value,
	}
}

// WorkspaceKey returns the cache key of the workspace token.
func (id Identity) WorkspaceKey(conf config.Config) credential.Key {
	key := id.Key(conf)
	key.Target, key.TTL, key.Credential, key.ReadOnly, key.Pooled = "", 0, config.CredentialWorkspace, false, false
	return key
}

// KnownIdentity returns the identity as far as conf names it, without reading
// stored logins.
func KnownIdentity(conf config.Config) Identity {
	kind := AuthBrowser
	if conf.ClientID.Value != "" {
		kind = AuthM2M
	}
	return Identity{}.complete(cmp.Or(conf.Auth.Value, kind), conf)
}

// complete returns the identity of a strategy with what conf says. The principal of one
// that only the workspace can name contains the user, since a cached token may come with
// the user that the workspace named, and the section, since another one is another
// identity.
func (id Identity) complete(strategy string, conf config.Config) Identity {
	section := conf.DatabricksProfile.Value
	if section != "" {
		section = "[" + section + "]"
	}
	id.Type, id.User = strategy, cmp.Or(id.User, conf.User.Value)
	id.Principal = cmp.Or(id.Principal, conf.ClientID.Value, strings.TrimSpace(conf.User.Value+" "+section))
	return id
}

// Deps are what strategies use.
type Deps struct {
	Workspace Workspace
	Secrets   Secrets
	Process   Process
	Locks     Locks
	Observer  Observer
}

// Workspace makes one attempt at each call of the workspace's sign-in API.
// *exchange.Client implements it.
type Workspace interface {
	WorkspaceToken(ctx context.Context, clientID string, secret credential.Secret) (credential.Token, error)
	RefreshedToken(ctx context.Context, refresh credential.Secret) (exchange.Grant, error)
	FederatedToken(ctx context.Context, clientID string, subject credential.Secret) (credential.Token, error)
	GitHubToken(ctx context.Context, address string, bearer credential.Secret, audience string) (credential.Secret, error)
	// Discover finds the host's endpoints, which later calls use.
	Discover(ctx context.Context) (exchange.Discovery, error)
	// Audience returns the audience of d that a workload's token must have.
	Audience(d exchange.Discovery) (string, error)
}

// Secrets are the stored secrets, in the keychain or in files.
type Secrets interface {
	Get(ctx context.Context, account string) (credential.Secret, error)  // may show a dialog
	Read(ctx context.Context, account string) (credential.Secret, error) // shows no dialog
	Replace(ctx context.Context, account string, s credential.Secret) error
	Accounts(ctx context.Context) ([]string, error)
}

// Process runs and reads what is outside of this program.
type Process interface {
	// ReadSecretFile reads a workspace's secret, or any password, from a file that is
	// closed to other users.
	ReadSecretFile(path string, password bool) (credential.Secret, error)
	// RunTool runs a program without secrets in its environment, and returns its
	// standard output. A name without a slash is looked up in the absolute directories
	// of PATH only.
	RunTool(ctx context.Context, argv ...string) ([]byte, error)
}

// Locks exclude other processes for a while.
type Locks interface {
	Lock(ctx context.Context, name string) (unlock func())
}

// Stage is a step that may take so long that it is shown.
type Stage int

// The stages.
const (
	StageKeychain Stage = iota
	StageExchange       // detail: the workspace
	StageLogin          // detail: the database host
)

// Observer receives the progress, notes and warnings of a run.
type Observer interface {
	Stage(s Stage, detail string)
	Note(text string) // for --verbose
	Warn(text string)
}

// Chain signs in by the strategy that conf names, or else by the first one that
// is configured. It keeps to the one that worked. It is safe for concurrent use.
type Chain struct {
	env *env

	mu    sync.Mutex
	links []link // in the order in which they are tried; only the one that worked, once there is one
}

// link is a strategy, and what it configured.
type link struct {
	strategy strategy
	source   Source // nil: not configured yet
	identity Identity
}

// NewChain returns the chain for a configuration.
func NewChain(conf config.Config, d Deps) *Chain {
	c := &Chain{env: &env{Deps: d, conf: conf}}
	for _, s := range strategies {
		if name := conf.Auth.Value; name == s.name || name == "" && !s.explicit {
			c.links = append(c.links, link{strategy: s})
		}
	}
	return c
}

// Do calls use with the configured source and its identity. While errors are
// ErrNotConfigured, the next strategy is tried; if none is left, the error is the
// first one that names what is missing.
func (c *Chain) Do(ctx context.Context, use func(Source, Identity) error) error {
	c.mu.Lock()
	links := c.links
	c.mu.Unlock()
	missing := ErrNotConfigured
	for _, l := range links {
		var err error
		if l.source == nil {
			l.source, l.identity, err = l.strategy.configure(ctx, c.env)
			l.identity = l.identity.complete(l.strategy.name, c.env.conf)
		}
		if err == nil {
			err = use(l.source, l.identity)
		}
		switch {
		case err == nil:
			c.mu.Lock()
			c.links = []link{l}
			c.mu.Unlock()
			return nil
		case !errors.Is(err, ErrNotConfigured):
			return err
		case missing == ErrNotConfigured:
			missing = err
		}
	}
	return missing
}
