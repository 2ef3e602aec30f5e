package cli

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
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
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// Client signs in and connects, for one configuration.
type Client struct {
	*lakebase.Source
	Chain     *auth.Chain
	API       *exchange.Client
	Cache     *tokencache.Cache
	Observer  auth.Observer
	Roots     string // the file of root certificates, or rootcerts.BuiltIn; empty under sslmode=require
	Connector *pglogin.Connector

	rootsErr error // why Roots is not a file
	proofs   loginproof.Proofs
}

// Prompting is whether reading a stored secret may show the keychain's dialog.
type Prompting bool

// The values of Prompting.
const (
	MayPrompt Prompting = true
	NoPrompt  Prompting = false
)

// Client returns the client for conf.
func (e *Environment) Client(conf config.Config, prompt Prompting, log *Logger, progress *Progress) (*Client, error) {
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
	kc := e.Keychain(conf)
	stores, err := e.TokenStores(conf, kc)
	if err != nil {
		return nil, err
	}
	c := &Client{rootsErr: rootsErr, API: api, Cache: stores.Cache(log, progress), Observer: e.Observer(conf, log, progress), Roots: roots, Connector: connector(progress), proofs: stores.Logins()}
	deps := auth.Deps{Workspace: api, Secrets: storedSecrets{Chain: e.Secrets(kc), kc: kc, index: stores.Index(), prompt: prompt},
		Process: outside{e, conf}, Locks: c.Cache, Observer: c.Observer}
	c.Chain = auth.NewChain(conf, deps)
	c.Source = lakebase.NewSource(conf, c.Chain, api, c.Cache, c.Observer)
	return c, nil
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
	finder, workspace := e.Roots(), conf.Workspace.Value
	client, err := exchange.New(exchange.Options{
		Host: workspace.URL(), WorkspaceID: workspace.WorkspaceID, AccountID: workspace.AccountID, UserAgent: e.Program + "/" + Version(),
		LoadRoots: func() (*x509.CertPool, error) { return finder.Workspace(conf.CACert.Value) },
		Proxy:     e.proxySettings(),
	})
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
		o.log.Note("signing in to %s as %s", detail, identity(o.conf))
	case auth.StageLogin:
		o.progress.SetStatus("waiting for the compute to wake")
		o.log.Note("logging in to %s:%d as %s, at most %s", detail, o.conf.PGPort.Value, o.conf.User.Value, o.conf.WaitTimeout.Value)
	}
}

// storedSecrets are the secrets in files and in the keychain.
type storedSecrets struct {
	secretfile.Chain
	kc     *keychain.Keychain
	index  keychain.Index
	prompt Prompting
}

func (s storedSecrets) Get(ctx context.Context, account string) (credential.Secret, error) {
	if s.prompt == NoPrompt {
		return s.Read(ctx, account)
	}
	return s.Chain.Get(ctx, account)
}

func (s storedSecrets) Read(ctx context.Context, account string) (credential.Secret, error) {
	return secretfile.Chain{Files: s.Files, Keychain: s.kc.NonInteractive()}.Get(ctx, account)
}

// Replace stores a refresh token where the one before it is stored.
func (s storedSecrets) Replace(ctx context.Context, account string, secret credential.Secret) error {
	if _, err := s.Files.Get(account); err == nil {
		return s.Files.Set(account, secret)
	}
	return replaceItem(ctx, s.kc, s.index, account, secret)
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

type setter interface {
	Set(ctx context.Context, account string, s credential.Secret) error
}

type adder interface {
	Add(ctx context.Context, account string) error
}

// replaceItem stores an item that was listed before. The one that it replaces may be
// invalid already, so a list that fails does not keep it from being stored.
func replaceItem(ctx context.Context, store setter, list adder, account string, s credential.Secret) error {
	if err := store.Set(ctx, account, s); err != nil {
		return err
	}
	_ = list.Add(ctx, account)
	return nil
}

// outside is the auth.Process of this process.
type outside struct {
	*Environment
	conf config.Config
}

// GitHubToken requests a token of this job from GitHub Actions.
func (o outside) GitHubToken(ctx context.Context, from config.GitHubSource, audience string) (credential.Secret, error) {
	finder := o.Roots()
	return exchange.GitHubToken(ctx, exchange.GitHub{
		URL: from.URL, Token: from.Token, Audience: audience, Options: exchange.Options{UserAgent: o.Program + "/" + Version(),
			LoadRoots: func() (*x509.CertPool, error) { return finder.Workspace(o.conf.CACert.Value) },
			Proxy:     o.proxySettings()},
	})
}

// Bounds on what a tool writes, in bytes.
const (
	maxToolOutput = 64 << 10
	maxToolErrors = 4 << 10
)

// RunTool runs a program without secrets in its environment and returns what it
// writes to standard output. The error is an *auth.ToolError.
func (o outside) RunTool(ctx context.Context, argv ...string) ([]byte, error) {
	found, err := process.Find(argv, o.ToolSearch())
	if err != nil {
		return nil, &auth.ToolError{NotFound: true, Message: err.Error()}
	}
	cmd := exec.CommandContext(ctx, found.Path)
	cmd.Args, cmd.Env = found.Argv, pgenv.WithoutSecrets(o.Environ)
	cmd.WaitDelay = time.Second
	out, errs := limitedBuffer{max: maxToolOutput}, limitedBuffer{max: maxToolErrors}
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		line, _, _ := strings.Cut(strings.TrimSpace(errs.String()), "\n")
		return nil, &auth.ToolError{Message: err.Error() + ": " + line}
	}
	return out.Bytes(), nil
}

// limitedBuffer refuses more than max bytes.
type limitedBuffer struct {
	bytes.Buffer
	max int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.max {
		return 0, errors.New("too much output")
	}
	return b.Buffer.Write(p)
}

// ReadSecretFile reads a workspace's secret from a file that is closed to others.
func (e *Environment) ReadSecretFile(path string) (credential.Secret, error) {
	return securefile.ReadSecret(path, securefile.SecretRules{CredentialsDir: e.Env("CREDENTIALS_DIRECTORY")})
}

// ReadPasswordFile reads any password from such a file.
func (e *Environment) ReadPasswordFile(path string) (credential.Secret, error) {
	return securefile.ReadSecret(path, securefile.SecretRules{CredentialsDir: e.Env("CREDENTIALS_DIRECTORY"), Password: true})
}
