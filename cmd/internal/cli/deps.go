package cli

import (
	"cmp"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// Resolve returns the configuration from the options given, the environment and the
// files. change may change what it is resolved from; it may be nil.
func (e *Environment) Resolve(given map[string][]string, change func(*config.Input) error) (config.Config, error) {
	dir, _ := os.Getwd() // without one, relative names stay relative
	in := config.Input{Options: given, Environ: e.vars, Dir: dir, Profiles: e.Profiles, ProfilesPath: e.ProfilesPath(), Databricks: e.Databricks}
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
	cache, _ := os.UserCacheDir()
	return rootcerts.Finder{SSLCertFile: e.Env("SSL_CERT_FILE"), CacheDir: cache}
}

// SSLRootCert returns the file with which the login and the command verify the server.
// It is empty with --sslmode require, where libpq would take it for verify-ca.
func (e *Environment) SSLRootCert(conf config.Config) (string, error) {
	if conf.SSLMode.Value == config.Require {
		return "", nil
	}
	return e.Roots().Bundle(conf.SSLRootCert.Value)
}

// Keychain returns the keychain; it is not accessed before its first use.
func (e *Environment) Keychain(conf config.Config) *keychain.Keychain {
	e.sanitizeProcess()
	return keychain.Open(conf.KeychainTimeout.Value, os.Getenv)
}

// RuntimeDir opens the runtime directory. Errors: *config.Error for one that was named,
// else *NoRuntimeDirError.
func (e *Environment) RuntimeDir(conf config.Config) (*securefile.Dir, error) {
	dir, err := securefile.OpenDir(securefile.RuntimeDirs(conf.RuntimeDir.Value, e.Env, os.Geteuid(), e.Home()))
	switch {
	case err == nil:
		return dir, nil
	case conf.RuntimeDir.Given() && !securefile.IsEnvironmentFault(err): // without chmod: it may be a system directory
		return nil, &config.Error{Name: conf.RuntimeDir.Source.String(), Problem: err.Error(), Fix: "name a directory of your own with mode 0700, or one that does not exist yet", Err: err}
	}
	return nil, &NoRuntimeDirError{Err: err}
}

// NoRuntimeDirError reports that no directory for locks and run directories can be used.
type NoRuntimeDirError struct{ Err error }

func (e *NoRuntimeDirError) Error() string { return "no runtime directory: " + e.Err.Error() }
func (e *NoRuntimeDirError) Unwrap() error { return e.Err }

// Hint returns what to do about it.
func (e *NoRuntimeDirError) Hint() string {
	const other = "name a private directory with --runtime-dir"
	if securefile.IsEnvironmentFault(e.Err) && is[*securefile.Error](e.Err) {
		return ownHint(e.Err) + "; or " + other
	}
	return other
}

// ListenError explains why an address cannot be listened on.
func ListenError(from config.Source, err error) error {
	fix := "choose another address or port"
	switch {
	case ownHint(err) != "":
		fix = ""
	case errors.Is(err, syscall.EADDRINUSE):
		fix = "end the program that listens there, or choose another port"
	case errors.Is(err, fs.ErrPermission):
		fix = "choose a port of 1024 or above, or a directory of your own"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		fix = "give an address of this machine, as in 127.0.0.1:5432"
	}
	return &config.Error{Name: from.String(), Problem: err.Error(), Fix: fix, Err: err}
}

// workspaceOptions returns the options of a client for conf's workspace.
func (e *Environment) workspaceOptions(conf config.Config) exchange.Options {
	w := conf.Workspace.Value
	return exchange.Options{
		Host: w.URL(), WorkspaceID: w.WorkspaceID, AccountID: w.AccountID, UserAgent: e.Program + "/" + Version(),
		LoadRoots: func() (*x509.CertPool, error) { return e.Roots().Workspace(conf.CACert.Value) },
		Proxy: exchange.ProxySettings{
			HTTPSProxy: cmp.Or(e.Env("HTTPS_PROXY"), e.Env("https_proxy")), NoProxy: cmp.Or(e.Env("NO_PROXY"), e.Env("no_proxy"))},
	}
}

// LogWarnings logs the warnings of the configuration.
func LogWarnings(log *Logger, conf config.Config) {
	for _, w := range conf.Warnings {
		log.Warn("%s", w)
	}
}

// LogNotes logs, with --verbose, values that were ignored or changed, and the target.
func LogNotes(log *Logger, conf config.Config) {
	for _, n := range conf.Notes {
		log.Note("%s", n)
	}
	target := cmp.Or(conf.Target(), "no endpoint")
	if conf.ReadOnly.Value {
		target += ", read-only"
	}
	log.Note("target: %s at %s, from %s", target, conf.Workspace.Value.HostPort(), conf.Workspace.Source)
}
