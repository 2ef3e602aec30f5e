package cli

import (
	"crypto/x509"
	"os"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/secretfile"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// Resolve makes the configuration from the snapshot and the options given.
func (p *Process) Resolve(given map[string][]string, change func(*config.Input) error) (*config.Config, error) {
	dir, _ := os.Getwd() // without one, relative names stay relative
	in := config.Input{Options: given, Environ: p.vars, Dir: dir, Profiles: p.Profiles, ProfilesPath: p.ProfilesPath(), Databricks: p.Databricks}
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
		if Terminal(p.Stdin) && Terminal(p.Stderr) {
			conf.KeychainTimeout.Value = time.Minute // nobody types a password in five seconds
		}
	}
	return &conf, nil
}

// Voice makes the program's voice as the configuration wants it.
func (p *Process) Voice(conf config.Config) *Logger {
	return NewLogger(p.Program, p.Stderr, conf.Log.Value, conf.LogFormat.Value == "json")
}

// Roots is the finder of root certificates for this process.
func (p *Process) Roots() rootcerts.Finder {
	return rootcerts.Finder{SSLCertFile: p.Env("SSL_CERT_FILE"), CacheDir: p.cacheDir()}
}

// SSLRootCert is the file that the login and the child verify the server by. It
// is empty under --sslmode require, where libpq would take it for verify-ca.
func (p *Process) SSLRootCert(conf config.Config) (string, error) {
	if conf.SSLMode.Value == config.Require {
		return "", nil
	}
	return p.Roots().Bundle(conf.SSLRootCert.Value)
}

// Keychain opens the keychain; nothing is touched before its first use.
func (p *Process) Keychain(conf config.Config) *keychain.Keychain {
	p.SanitizeProcess()
	return keychain.Open(keychain.Options{Timeout: conf.KeychainTimeout.Value, Environ: os.Getenv})
}

// Secrets finds stored secrets, in files and in this keychain.
func (p *Environment) Secrets(chain secretfile.Getter) secretfile.Chain {
	return secretfile.Chain{Files: p.SecretFiles(), Keychain: chain}
}

// RuntimeDir opens the folder for what does not outlive a session. Errors:
// *config.Error for one that was named, else *NoRuntimeDirError.
func (p *Process) RuntimeDir(conf config.Config) (*securefile.Dir, error) {
	dir, err := securefile.OpenDir(securefile.RuntimeDirs(conf.RuntimeDir.Value, p.Env, os.Geteuid(), p.Home()))
	switch {
	case err == nil:
		return dir, nil
	case conf.RuntimeDir.Given(): // no chmod is advised: the folder may be a system's
		return nil, &config.Error{Name: conf.RuntimeDir.Source.String(), Problem: err.Error(), Fix: "name a folder of yours that is closed to others (mode 0700), or one that is not there yet"}
	}
	return nil, &NoRuntimeDirError{Why: err}
}

// NoRuntimeDirError says that there is no folder for what a supervisor needs.
type NoRuntimeDirError struct{ Why error }

func (e *NoRuntimeDirError) Error() string { return "there is no runtime folder: " + e.Why.Error() }

func (p *Process) workspace(conf config.Config) (*exchange.Client, error) {
	finder := p.Roots()
	client, err := exchange.New(exchange.Options{
		Host: conf.Workspace.Value.URL(), WorkspaceID: conf.Workspace.Value.WorkspaceID, AccountID: conf.Workspace.Value.AccountID, UserAgent: p.Program + "/" + Version(),
		LoadRoots: func() (*x509.CertPool, error) { return finder.Workspace(conf.CACert.Value) },
		Proxy:     p.ProxySettings(),
	})
	if err != nil { // the host was checked before: it is the proxy
		return nil, &config.Error{Name: "HTTPS_PROXY", Problem: err.Error(), Fix: "give it as http://HOST:PORT, or unset it"}
	}
	return client, nil
}

// ProxySettings returns the proxy settings of the environment.
func (p *Process) ProxySettings() exchange.ProxySettings {
	return exchange.ProxySettings{HTTPSProxy: p.either("HTTPS_PROXY", "https_proxy"), NoProxy: p.either("NO_PROXY", "no_proxy")}
}

func (p *Process) either(a, b string) string {
	if v := p.Env(a); v != "" {
		return v
	}
	return p.Env(b)
}

func connector(progress *Progress) *pglogin.Connector {
	return &pglogin.Connector{Progress: func(last *pglogin.Error) {
		if last != nil {
			progress.SetDetail(string(last.Kind))
		}
	}}
}

// TellWarnings says what a person has to know of the configuration.
func TellWarnings(say *Logger, conf config.Config) {
	for _, w := range conf.Warnings {
		say.Warn("%s", w)
	}
}

// TellNotes says, with --verbose, what was given and not taken as it stood.
func TellNotes(say *Logger, conf config.Config) {
	for _, n := range conf.Notes {
		say.Note("%s", n)
	}
	if say.Verbose() {
		say.Note("target: %s at %s, from %s", target(conf), conf.Workspace.Value.HostPort(), conf.Workspace.Source)
	}
}

// identity is who signs in, as far as it is known.
func identity(conf config.Config) string {
	switch {
	case conf.ClientID.Value != "":
		return conf.ClientID.Value
	case conf.User.Value != "":
		return conf.User.Value
	}
	return "whoever is signed in"
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
