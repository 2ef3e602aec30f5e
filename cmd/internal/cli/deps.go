package cli

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/secretfile"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// Resolve returns the configuration from the options given, the environment and the
// files. change may change what it is resolved from; it may be nil.
func (e *Environment) Resolve(given map[string][]string, change func(*config.Input) error) (*config.Config, error) {
	dir, _ := os.Getwd() // without one, relative names stay relative
	in := config.Input{Options: given, Environ: e.vars, Dir: dir, Profiles: e.Profiles, ProfilesPath: e.ProfilesPath(), Databricks: e.Databricks}
	if change != nil {
		if err := change(&in); err != nil {
			return nil, err
		}
	}
	conf, err := config.Resolve(in)
	if err != nil {
		return nil, err
	}
	if conf.KeychainTimeout.Value == 0 {
		conf.KeychainTimeout.Value = 5 * time.Second
		if Terminal(e.Stdin) && Terminal(e.Stderr) {
			conf.KeychainTimeout.Value = time.Minute // enough to type a password
		}
	}
	return &conf, nil
}

// Logger returns a logger for the configuration.
func (e *Environment) Logger(conf config.Config) *Logger {
	return NewLogger(e.Program, e.Stderr, conf.Log.Value, conf.LogFormat.Value == "json")
}

// Roots returns the finder of root certificates.
func (e *Environment) Roots() rootcerts.Finder {
	return rootcerts.Finder{SSLCertFile: e.Env("SSL_CERT_FILE"), CacheDir: e.cacheDir()}
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
	e.SanitizeProcess()
	return keychain.Open(keychain.Options{Timeout: conf.KeychainTimeout.Value, Environ: os.Getenv})
}

// Secrets finds stored secrets, in files and in this keychain.
func (e *Environment) Secrets(kc secretfile.Getter) secretfile.Chain {
	return secretfile.Chain{Files: e.SecretFiles(), Keychain: kc}
}

// RuntimeDir opens the runtime directory. Errors: *config.Error for one that was named,
// else *NoRuntimeDirError.
func (e *Environment) RuntimeDir(conf config.Config) (*securefile.Dir, error) {
	dir, err := securefile.OpenDir(securefile.RuntimeDirs(conf.RuntimeDir.Value, e.Env, os.Geteuid(), e.Home()))
	switch {
	case err == nil:
		return dir, nil
	case conf.RuntimeDir.Given() && securefile.IsEnvironmentFault(err):
		return nil, &NoRuntimeDirError{Err: err}
	case conf.RuntimeDir.Given(): // without chmod: it may be a system directory
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
	var file *securefile.Error
	if errors.As(e.Err, &file) && securefile.IsEnvironmentFault(file) {
		return file.Hint() + "; or " + other
	}
	return other
}

// ListenError explains why an address cannot be listened on.
func ListenError(from config.Source, err error) error {
	fix := "choose another address or port"
	var hinted interface{ Hint() string }
	switch {
	case errors.As(err, &hinted) && hinted.Hint() != "":
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

// proxySettings returns the proxy settings of the environment.
func (e *Environment) proxySettings() exchange.ProxySettings {
	return exchange.ProxySettings{HTTPSProxy: e.either("HTTPS_PROXY", "https_proxy"), NoProxy: e.either("NO_PROXY", "no_proxy")}
}

func (e *Environment) either(a, b string) string {
	if v := e.Env(a); v != "" {
		return v
	}
	return e.Env(b)
}

func connector(progress *Progress) *pglogin.Connector {
	return &pglogin.Connector{Progress: func(last *pglogin.Error) {
		if last != nil {
			progress.SetDetail(string(last.Kind))
		}
	}}
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
	if log.Verbose() {
		log.Note("target: %s at %s, from %s", target(conf), conf.Workspace.Value.HostPort(), conf.Workspace.Source)
	}
}

// identity names who signs in, as far as that is known.
func identity(conf config.Config) string {
	switch {
	case conf.ClientID.Value != "":
		return conf.ClientID.Value
	case conf.User.Value != "":
		return conf.User.Value
	}
	return "the signed-in user"
}

func target(conf config.Config) string {
	switch name := conf.Target(); {
	case name == "":
		return "no endpoint"
	case conf.ReadOnly.Value:
		return name + ", read-only"
	default:
		return name
	}
}
