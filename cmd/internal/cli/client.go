package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/loginproof"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/secretfile"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// Client signs in and connects, for one configuration.
type Client struct {
	*lakebase.Source
	Chain     *auth.Chain
	API       *exchange.Client
	Observer  auth.Observer
	Roots     string // the file of root certificates, or rootcerts.BuiltIn; empty under sslmode=require
	Connector *pglogin.Connector

	rootsErr error // why Roots is not a file
	proofs   loginproof.Proofs
}

// Client returns the client for conf. It reads stored secrets from kc, and so shows the
// keychain's dialog unless kc is not interactive.
func (e *Environment) Client(conf config.Config, kc *keychain.Keychain, log *Logger, progress *Progress) (*Client, error) {
	roots, err := e.SSLRootCert(conf)
	rootsErr := err
	if is[*rootcerts.WriteError](err) {
		roots = rootcerts.BuiltIn
	} else if err != nil {
		return nil, err
	}
	api, err := e.Workspace(conf)
	if err != nil {
		return nil, err
	}
	stores, err := e.TokenStores(conf, kc)
	if err != nil {
		return nil, err
	}
	cache, observer := stores.Cache(log, progress), e.Observer(conf, log, progress)
	chain := auth.NewChain(conf, auth.Deps{Workspace: api, Secrets: storedSecrets{secretfile.Chain{Files: e.SecretFiles(), Keychain: kc}, kc, stores.Index()},
		Process: outside{e, conf}, Locks: cache, Observer: observer})
	connector := &pglogin.Connector{Progress: func(last *pglogin.Error) {
		if last != nil {
			progress.SetDetail(string(last.Kind))
		}
	}}
	return &Client{Source: lakebase.NewSource(conf, chain, api, cache, observer), Chain: chain, API: api, Observer: observer,
		Roots: roots, Connector: connector, rootsErr: rootsErr, proofs: stores.Logins()}, nil
}

// CheckRootsFile returns an error if the roots that verify the database are not in a
// file, as another program needs them. It is a *rootcerts.WriteError.
func (c *Client) CheckRootsFile() error { return c.rootsErr }

// Open returns a session; see lakebase.Open.
func (c *Client) Open(ctx context.Context) (lakebase.Session, error) {
	return lakebase.Open(ctx, c.Source, c.Connector, c.proofs, c.Roots)
}

// Workspace returns the client of the workspace's API.
func (e *Environment) Workspace(conf config.Config) (*exchange.Client, error) {
	if conf.CACert.Value != "" {
		if err := rootcerts.Check(conf.CACert.Value); err != nil {
			return nil, err
		}
	}
	client, err := exchange.New(e.workspaceOptions(conf))
	if err != nil { // the host is valid, so it is the proxy
		return nil, &config.Error{Name: "HTTPS_PROXY", Problem: err.Error(), Fix: "give it as http://HOST:PORT, or unset it"}
	}
	return client, nil
}

// Observer returns what shows an operation's stages, and its notes with --verbose.
func (e *Environment) Observer(conf config.Config, log *Logger, progress *Progress) auth.Observer {
	return observer{conf, log, progress}
}

type observer struct {
	conf     config.Config
	log      *Logger
	progress *Progress
}

func (o observer) Note(text string) { o.log.Note("%s", text) }
func (o observer) Warn(text string) { o.log.Warn("%s", text) }

func (o observer) Stage(s auth.Stage, detail string) {
	switch s {
	case auth.StageKeychain:
		o.progress.SetStatus("waiting for the keychain")
		o.log.Note("reading the stored secret")
	case auth.StageExchange:
		o.progress.SetStatus("signing in to " + detail)
		o.log.Note("signing in to %s as %s", detail, cmp.Or(o.conf.ClientID.Value, o.conf.User.Value, "the signed-in user"))
	case auth.StageLogin:
		o.progress.SetStatus("waiting for the compute to wake")
		o.log.Note("logging in to %s:%d as %s, at most %s", detail, o.conf.PGPort.Value, o.conf.User.Value, o.conf.WaitTimeout.Value)
	}
}

// storedSecrets are the secrets in files and in the keychain.
type storedSecrets struct {
	secretfile.Chain
	kc    *keychain.Keychain
	index keychain.Index
}

func (s storedSecrets) Read(ctx context.Context, account string) (credential.Secret, error) {
	return secretfile.Chain{Files: s.Files, Keychain: s.kc.NonInteractive()}.Get(ctx, account)
}

// Replace stores a refresh token where the one before it is stored.
func (s storedSecrets) Replace(ctx context.Context, account string, secret credential.Secret) error {
	if _, err := s.Files.Get(account); err == nil {
		return s.Files.Set(account, secret)
	}
	return replaceItem(func() error { return s.kc.Set(ctx, account, secret) }, func() error { return s.index.Add(ctx, account) })
}

// replaceItem stores an item that was listed before. The one that it replaces may be
// invalid already, so a list that fails does not keep it from being stored.
func replaceItem(store, list func() error) error {
	err := store()
	if err == nil {
		_ = list()
	}
	return err
}

// Accounts lists what is stored, in files and in the keychain. A keychain that
// cannot be read hides no file.
func (s storedSecrets) Accounts(ctx context.Context) ([]string, error) {
	files, _, err := s.Files.List()
	if err != nil {
		return nil, err
	}
	listed, err := s.index.List(ctx)
	if err != nil && !errors.Is(err, keychain.ErrNotFound) && len(files) == 0 {
		return nil, err
	}
	return append(files, listed...), nil
}

// outside is the auth.Process of this process.
type outside struct {
	*Environment
	conf config.Config
}

// GitHubToken requests a token of this job from GitHub Actions.
func (o outside) GitHubToken(ctx context.Context, from config.GitHubSource, audience string) (credential.Secret, error) {
	options := o.workspaceOptions(o.conf)
	options.WorkspaceID, options.AccountID = "", ""
	return exchange.GitHubToken(ctx, exchange.GitHub{URL: from.URL, Token: from.Token, Audience: audience, Options: options})
}

// RunTool runs a program without secrets in its environment and returns what it
// writes to standard output. Errors: auth.ErrNoTool.
func (o outside) RunTool(ctx context.Context, argv ...string) ([]byte, error) {
	found, err := process.Find(argv, o.ToolPath())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", auth.ErrNoTool, err)
	}
	cmd := exec.CommandContext(ctx, found.Path)
	cmd.Args, cmd.Env, cmd.WaitDelay = found.Argv, pgenv.WithoutSecrets(o.Environ), time.Second
	out, err := cmd.Output()
	if err == nil {
		return out, nil
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		line, _, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\n")
		err = fmt.Errorf("%w: %s", err, line)
	}
	return nil, err
}

// ReadSecretFile reads a workspace's secret from a file that is closed to others.
func (e *Environment) ReadSecretFile(path string) (credential.Secret, error) {
	return securefile.ReadSecret(path, securefile.SecretRules{CredentialsDir: e.Env("CREDENTIALS_DIRECTORY")})
}

// ReadPasswordFile reads any password from such a file.
func (e *Environment) ReadPasswordFile(path string) (credential.Secret, error) {
	return securefile.ReadSecret(path, securefile.SecretRules{CredentialsDir: e.Env("CREDENTIALS_DIRECTORY"), Password: true})
}
