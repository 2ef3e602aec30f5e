package cli

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/pgproxy"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/secretfile"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// Resolve returns the configuration. change, which may be nil, alters its input.
func (e *Environment) Resolve(given map[string][]string, change func(*config.Input) error) (config.Config, error) {
	dir, _ := os.Getwd() // without one, relative names stay relative
	in := config.Input{Options: given, Environ: e.vars, Dir: dir, Profiles: e.Profiles, Databricks: e.Databricks}
	if change != nil {
		if err := change(&in); err != nil {
			return config.Config{}, err
		}
	}
	conf, err := config.Resolve(in)
	if err == nil && conf.KeychainTimeout.Value == 0 {
		conf.KeychainTimeout.Value = 5 * time.Second
		if Terminal(e.Stdin) && Terminal(e.Stderr) {
			conf.KeychainTimeout.Value = time.Minute // enough to type a password
		}
	}
	return conf, err
}

// Logger returns a logger for the configuration.
func (e *Environment) Logger(conf config.Config) *Logger {
	return NewLogger(e.Program, e.Stderr, conf.Log.Value, conf.LogFormat.Value == "json")
}

// Roots returns the finder of root certificates.
func (e *Environment) Roots() rootcerts.Finder {
	return rootcerts.Finder{SSLCertFile: e.Env("SSL_CERT_FILE"), CacheDir: os.UserCacheDir}
}

// SSLRootCert returns the file that verifies the server. It is empty with --sslmode
// require, where libpq would take it for verify-ca.
func (e *Environment) SSLRootCert(conf config.Config) (string, error) {
	if conf.SSLMode.Value == config.Require {
		return "", nil
	}
	return e.Roots().Bundle(conf.SSLRootCert.Value, conf.SSLRootCert.Source.String())
}

// Keychain returns the keychain; it is not accessed before its first use.
func (e *Environment) Keychain(conf config.Config) *keychain.Keychain {
	return keychain.Open(conf.KeychainTimeout.Value, e.sanitizeProcess())
}

// RuntimeDir opens the runtime directory. Errors: *config.Error, NoRuntimeDir.
func (e *Environment) RuntimeDir(conf config.Config) (*securefile.Dir, error) {
	dir, err := securefile.OpenDir(securefile.RuntimeDirs(conf.RuntimeDir.Value, e.Env, os.Geteuid(), e.Home()))
	switch {
	case err == nil:
		return dir, nil
	case conf.RuntimeDir.Given() && !securefile.IsEnvironmentFault(err): // without chmod: it may be a system directory
		return nil, &config.Error{Name: conf.RuntimeDir.Source.String(), Problem: err.Error(), Err: err,
			Fix: "name a directory of your own with mode 0700, or one that does not exist yet"}
	}
	return nil, NoRuntimeDir(err)
}

var errNoRuntimeDir = errors.New("no runtime directory")

// NoRuntimeDir is the error when no directory for locks and run directories can be used.
func NoRuntimeDir(err error) error {
	fix := "name a private directory with --runtime-dir"
	if securefile.IsEnvironmentFault(err) && is[*securefile.Error](err) {
		fix = ownHint(err) + "; or " + fix
	}
	return &HintedError{fmt.Errorf("%w: %w", errNoRuntimeDir, err), fix}
}

// Listen opens a proxy's listener on a loopback address, or on the socket that libpq uses
// for port in a directory.
func Listen(at string, port int) (net.Listener, error) {
	if !filepath.IsAbs(at) {
		return pgproxy.ListenLoopback(at)
	}
	dir, err := securefile.OpenDir([]string{at})
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return pgproxy.ListenUnix(dir.Path(), port)
}

// ListenError is the error for an address or a directory that cannot be listened on.
func ListenError(from config.Source, err error) error {
	fix := ""
	if ownHint(err) == "" {
		fix = "give a loopback address with a free port of 1024 or above, as in 127.0.0.1:5432"
	}
	return &config.Error{Name: from.String(), Problem: err.Error(), Fix: fix, Err: err}
}

// LogConfig logs the configuration's warnings unless quiet, its notes and the target.
func LogConfig(log *Logger, conf config.Config, quiet bool) {
	if !quiet {
		for _, w := range conf.Warnings {
			log.Warn("%s", w)
		}
	}
	for _, n := range conf.Notes {
		log.Note("%s", n)
	}
	if conf.Native() {
		log.Note("target: %s at %s, from %s", conf.Database.Value, conf.PGHostPort(), conf.PGHost.Source)
		return
	}
	target := cmp.Or(conf.Target().Value, "no endpoint")
	if conf.ReadOnly.Value {
		target += ", read-only"
	}
	if conf.Pooled.Value {
		target += ", pooled"
	}
	log.Note("target: %s at %s, from %s", target, conf.Workspace.Value.HostPort(), conf.Workspace.Source)
}

// Client signs in and connects, for one configuration.
type Client struct {
	*lakebase.Source
	Cache     *tokencache.Cache
	Chain     *auth.Chain
	API       *exchange.Client
	Observer  auth.Observer
	Roots     string // the file of root certificates, or rootcerts.BuiltIn; empty under sslmode=require
	RootsErr  error  // *rootcerts.WriteError: why Roots is not a file, as another program needs it
	Connector *pglogin.Connector

	proofs lakebase.Proofs
}

// Client returns the client for conf, which may show the keychain's dialog.
func (e *Environment) Client(conf config.Config, kc *keychain.Keychain, log *Logger, progress *Progress) (*Client, error) {
	roots, rootsErr := e.SSLRootCert(conf)
	if is[*rootcerts.WriteError](rootsErr) {
		roots = rootcerts.BuiltIn
	} else if rootsErr != nil {
		return nil, rootsErr
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
	chain := auth.NewChain(conf, auth.Deps{Workspace: api, Secrets: storedSecrets{e.SecretFiles(), kc, stores.Index},
		Process: e, Locks: cache, Observer: observer})
	var proofs lakebase.Proofs
	if stores.Dir != nil {
		proofs = lakebase.Proofs{Files: stores.Dir, Now: time.Now}
	}
	return &Client{Source: lakebase.NewSource(conf, chain, api, cache, observer), Cache: cache, Chain: chain, API: api, Observer: observer,
		Roots: roots, Connector: &pglogin.Connector{}, RootsErr: rootsErr, proofs: proofs}, nil
}

// Open returns a session; see lakebase.Open.
func (c *Client) Open(ctx context.Context) (lakebase.Session, error) {
	return lakebase.Open(ctx, c.Source, c.Connector, c.proofs, c.Roots)
}

// Workspace returns the client of the workspace's API; nil without a workspace.
func (e *Environment) Workspace(conf config.Config) (*exchange.Client, error) {
	w := conf.Workspace.Value
	if w.IsZero() { // with a native password
		return nil, nil
	}
	if ca := conf.CACert.Value; ca != "" {
		if err := rootcerts.Check(ca, conf.CACert.Source.String()); err != nil {
			return nil, err
		}
	}
	client, err := exchange.New(exchange.Options{
		Host: w.URL(), Scope: conf.Scope.Value, WorkspaceID: w.WorkspaceID, AccountID: w.AccountID, UserAgent: e.Program + "/" + Version(),
		LoadRoots:  func() (*x509.CertPool, error) { return e.Roots().Workspace(conf.CACert.Value) },
		HTTPSProxy: cmp.Or(e.Env("HTTPS_PROXY"), e.Env("https_proxy")), NoProxy: cmp.Or(e.Env("NO_PROXY"), e.Env("no_proxy")),
	})
	if err != nil { // the host is valid, so it is the proxy
		return nil, &config.Error{Name: "HTTPS_PROXY", Problem: err.Error(), Fix: "give it as http://HOST:PORT, or unset it"}
	}
	return client, nil
}

// Observer returns what shows an operation's stages; progress may be nil.
func (e *Environment) Observer(conf config.Config, log *Logger, progress *Progress) auth.Observer {
	return &observer{conf: conf, log: log, progress: progress}
}

// observer implements auth.Observer and tokencache.Observer.
type observer struct {
	conf     config.Config
	log      *Logger
	progress *Progress // nil: no wait is shown
	warned   sync.Once
}

func (o *observer) Note(text string) { o.log.Note("%s", text) }
func (o *observer) Warn(text string) { o.log.Warn("%s", text) }

func (o *observer) Stage(s auth.Stage, detail string) {
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

func (o *observer) CacheWaits() {
	o.progress.SetStatus("waiting for another process that is signing in")
}

func (o *observer) CacheFailed(what string, err error) {
	tooBig := errors.Is(err, keychain.ErrTooBig) || errors.Is(err, tokencache.ErrQuota)
	if !tooBig || o.progress == nil { // get, which shows no progress, has no warnings either
		o.log.Note("%s: %v", what, err)
		return
	}
	o.warned.Do(func() {
		o.log.Warn("the token cannot be cached, so that each start signs in again: %v; use --cache file", err)
	})
}

// storedSecrets are the secrets in files and in the keychain.
type storedSecrets struct {
	files secretfile.Store
	kc    *keychain.Keychain
	index keychain.Index
}

// Get returns a secret from its file, or without one from the keychain.
func (s storedSecrets) Get(ctx context.Context, account string) (credential.Secret, error) {
	secret, err := s.files.Get(ctx, account)
	if errors.Is(err, fs.ErrNotExist) {
		return s.kc.Get(ctx, account)
	}
	return secret, err
}

func (s storedSecrets) Read(ctx context.Context, account string) (credential.Secret, error) {
	s.kc = s.kc.NonInteractive()
	return s.Get(ctx, account)
}

// Replace stores a refresh token where the one before it is stored.
func (s storedSecrets) Replace(ctx context.Context, account string, secret credential.Secret) error {
	if _, err := s.files.Get(ctx, account); err == nil {
		return s.files.Set(ctx, account, secret)
	}
	// The token that it replaces may be invalid already, so it is stored even if the
	// index, which lists that one, cannot be written.
	if err := s.kc.Set(ctx, account, secret); err != nil {
		return err
	}
	_ = s.index.Add(ctx, account)
	return nil
}

func (s storedSecrets) Accounts(ctx context.Context) ([]string, error) {
	return StoredAccounts(ctx, s.files, s.index)
}

// StoredAccounts lists what is stored. A keychain that cannot be read hides no file.
func StoredAccounts(ctx context.Context, stored secretfile.Store, index keychain.Index) ([]string, error) {
	files, _, err := stored.List()
	if err != nil {
		return nil, err
	}
	listed, _, err := index.List(ctx)
	if err != nil && len(files) == 0 {
		return nil, err
	}
	return append(files, listed...), nil
}

// boundedBuffer holds what a program writes, at most 1 MiB.
type boundedBuffer []byte

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if len(*b)+len(p) > 1<<20 {
		return 0, errors.New("it writes more than 1 MiB")
	}
	*b = append(*b, p...)
	return len(p), nil
}

// RunTool runs a program without secrets in its environment and returns what it
// writes to standard output.
func (e *Environment) RunTool(ctx context.Context, argv ...string) ([]byte, error) {
	found, err := process.Find(argv, e.ToolPath())
	if err != nil {
		return nil, err
	}
	var out, stderr boundedBuffer
	cmd := exec.CommandContext(ctx, found.Path)
	cmd.Args, cmd.Env, cmd.WaitDelay = found.Argv, pgenv.WithoutSecrets(e.Environ), time.Second
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		line, _, _ := strings.Cut(strings.TrimSpace(string(stderr)), "\n")
		return nil, fmt.Errorf("%w: %s", err, line)
	}
	return out, nil
}

// ReadSecretFile reads a secret from a file that is closed to others: a workspace's, or
// any password.
func (e *Environment) ReadSecretFile(path string, password bool) (credential.Secret, error) {
	return securefile.ReadSecret(path, securefile.SecretRules{CredentialsDir: e.Env("CREDENTIALS_DIRECTORY"), Password: password})
}

// TokenStores are where tokens can be cached, and the store to use.
type TokenStores struct {
	All   map[string]tokencache.Store // those that this process can reach, by their --cache names
	InUse string                      // a --cache name; not in All: no cache
	Notes []string                    // why a store is not in use
	Dir   *securefile.Dir             // the runtime directory; nil without one

	Index     keychain.Index // the keychain with its list of what is stored, without dialogs
	Prompting keychain.Index // the same, with dialogs

	lockDir string // the path of Dir, or empty
}

// TokenStores opens the stores and picks one by --cache. Errors: *config.Error.
func (e *Environment) TokenStores(conf config.Config, kc *keychain.Keychain) (TokenStores, error) {
	s := TokenStores{All: map[string]tokencache.Store{}, InUse: conf.Cache.Value}
	dir, err := e.RuntimeDir(conf)
	if err != nil && conf.RuntimeDir.Given() {
		return s, err
	}
	indexLock := ""
	if err != nil {
		s.Notes = append(s.Notes, err.Error()+": no locks, and no record of logins")
	} else {
		s.Dir, s.lockDir, indexLock = dir, dir.Path(), filepath.Join(dir.Path(), "index.lock")
		s.All[config.CacheFile] = tokencache.FileStore{Dir: dir}
	}
	s.Index, s.Prompting = keychain.NewIndex(kc.NonInteractive(), indexLock), keychain.NewIndex(kc, indexLock)
	s.All[config.CacheKeychain] = keychain.Tokens{Index: keychain.NewIndex(kc.NonInteractive().WithTimeout(keychain.CacheTimeout), indexLock)}
	kernel, kernelErr := tokencache.OpenKernel()
	if kernelErr == nil {
		s.All[config.CacheKernel] = kernel
	}
	switch {
	case s.InUse == config.CacheAuto:
		s.InUse = config.CacheKernel
		if kernelErr == nil {
			kernelErr = tokencache.KernelIsPrivate()
		}
		if kernelErr != nil {
			s.InUse = config.CacheKeychain
			s.Notes = append(s.Notes, kernelErr.Error())
		}
	case s.InUse == config.CacheKernel && kernelErr != nil:
		if runtime.GOOS != "linux" {
			return s, &config.Error{Name: conf.Cache.Source.String(), Problem: kernelErr.Error(), Fix: "use " + config.CacheAuto}
		}
		s.InUse = config.CacheOff
		s.Notes = append(s.Notes, kernelErr.Error())
	case s.InUse == config.CacheFile && dir == nil:
		return s, &config.Error{Name: conf.Cache.Source.String(), Problem: "tokens cannot be kept: " + err.Error(),
			Fix: "name one with --runtime-dir", Err: err}
	}
	return s, nil
}

// Cache is the token cache over the store in use.
func (s TokenStores) Cache(log *Logger, progress *Progress) *tokencache.Cache {
	for _, n := range s.Notes {
		log.Note("cache: %s", n)
	}
	return &tokencache.Cache{Store: s.All[s.InUse], LockDir: s.lockDir, Observer: &observer{log: log, progress: progress}}
}

// Forget deletes the tokens that match from all stores. With match nil it deletes all,
// those that cannot be read too.
func (s TokenStores) Forget(ctx context.Context, match func(tokencache.Description) bool) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(s.All)) {
		store := s.All[name]
		if name == config.CacheKeychain { // with the keychain's full timeout
			store = keychain.Tokens{Index: s.Index}
		}
		errs = append(errs, forget(ctx, store, match))
	}
	return errors.Join(errs...)
}

func forget(ctx context.Context, store tokencache.Store, match func(tokencache.Description) bool) error {
	ids, err := store.List(ctx)
	if err != nil {
		return err
	}
	if match != nil {
		ids = slices.DeleteFunc(ids, func(id string) bool {
			d, err := tokencache.Describe(ctx, store, id)
			// A token whose process was killed before it was stored is listed, but missing.
			return !errors.Is(err, fs.ErrNotExist) && (err != nil || !match(d))
		})
	}
	return store.Delete(ctx, ids...)
}
