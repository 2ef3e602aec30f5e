package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
)

// checkTrust describes the root certificates and the proxy in use.
func (x *run) checkTrust(_ context.Context, r *Result) error {
	conf := x.conf
	_, workspaceErr := x.Roots.Workspace(conf.CACert.Value)
	if workspaceErr == nil && !conf.Workspace.Value.IsZero() {
		if x.prober, workspaceErr = x.Connector.Prober(conf); workspaceErr != nil && x.blocked[Secret] == "" {
			x.blocked[Secret] = Trust // no client can be made
		}
	}
	if workspaceErr != nil {
		x.blocked[Workspace] = Trust
	}
	roots, databaseErr := x.sslRootCert()
	if databaseErr != nil {
		x.blocked[Database] = Trust
		return databaseErr
	}
	if workspaceErr != nil {
		return workspaceErr
	}
	rootsSource := "the default"
	switch {
	case conf.SSLRootCert.Value != "":
		rootsSource = conf.SSLRootCert.Source.String()
	case x.Settings.Env("SSL_CERT_FILE") != "":
		rootsSource = "SSL_CERT_FILE"
	}
	r.add("sslmode", conf.SSLMode.Value, conf.SSLMode.Source.String())
	r.add("sslrootcert", roots, rootsSource)
	r.add("cacert", conf.CACert.Value, conf.CACert.Source.String())
	if conf.SSLRootCert.Value != "" {
		r.add("workspace_roots", x.Settings.Env("SSL_CERT_FILE"), "SSL_CERT_FILE")
	}
	for _, name := range []string{"HTTPS_PROXY", "NO_PROXY"} {
		value, from := x.Settings.Env(name), name
		if value == "" {
			from = strings.ToLower(name)
			value = x.Settings.Env(from)
		}
		r.add(strings.ToLower(name), withoutUserinfo(value), from)
	}
	if r.Facts["https_proxy"] == "" {
		r.Text += ", no proxy"
	}
	if conf.SSLMode.Value == config.Require {
		r.Status, r.Fix = Warning, "leave out --sslmode require: with it the database's certificate is not verified"
	}
	return nil
}

// sslRootCert returns the file with the database's root certificates; empty with
// sslmode=require.
func (x *run) sslRootCert() (string, error) {
	if x.conf.SSLMode.Value == config.Require {
		return "", nil
	}
	return x.Roots.Bundle(x.conf.SSLRootCert.Value)
}

var userinfo = regexp.MustCompile(`^(\w+://)?.*@`)

// withoutUserinfo returns a proxy's address without its user and password.
func withoutUserinfo(address string) string { return userinfo.ReplaceAllString(address, "$1") }

// checkRuntimeDir opens the directory for locks and records of logins.
func (x *run) checkRuntimeDir(_ context.Context, r *Result) error {
	path, err := x.Local.RuntimeDir(x.conf)
	x.noRuntimeDir = err != nil
	if err != nil && !x.conf.RuntimeDir.Given() {
		return warning{err}
	}
	r.Text = path
	r.fact("path", path)
	return err
}

// usable returns the configuration without what earlier checks found unusable.
func (x *run) usable() config.Config {
	conf := x.conf
	if x.noRuntimeDir {
		conf.RuntimeDir = config.Value[string]{}
	}
	if x.blocked[Workspace] == Trust {
		conf.CACert = config.Value[string]{}
	}
	if x.blocked[Database] == Trust {
		conf.SSLMode.Value = config.Require
	}
	return conf
}

// checkCache describes the token store in use.
func (x *run) checkCache(_ context.Context, r *Result) error {
	store, notes, err := x.Local.TokenStore(x.usable())
	if err != nil {
		return err
	}
	x.keychainUsed = store == config.CacheKeychain
	r.fact("store", store)
	r.fact("notes", strings.Join(notes, "; "))
	r.Text = map[string]string{
		config.CacheKernel:   "tokens are kept in the kernel's keyring",
		config.CacheKeychain: "tokens are kept in the keychain",
		config.CacheFile:     "tokens are kept in files in the runtime directory",
		config.CacheOff:      "off: each start signs in",
	}[store]
	if len(notes) > 0 {
		r.Text += " (" + r.Facts["notes"] + ")"
	}
	return nil
}

// checkKeychain checks that there is a keychain and that it is unlocked. A failure is
// a warning only if the keychain is needed.
func (x *run) checkKeychain(ctx context.Context, r *Result) error {
	err := x.Local.KeychainState(ctx, x.conf)
	var e *keychain.Error
	state := "failed"
	switch {
	case err == nil || errors.As(err, &e) && e.Missing():
		state, r.Text, err = "present", "present, and unlocked", nil
	case errors.Is(err, keychain.ErrAbsent):
		state, r.Text, err = "absent", "absent: this machine has none", nil
		if x.keychainUsed {
			r.Text += ", so each start signs in"
		}
	case errors.As(err, &e) && e.Locked():
		state = "locked"
	case errors.Is(err, keychain.ErrTimeout):
		state = "silent"
	}
	r.fact("state", state)
	if err != nil && x.keychainUsed {
		return warning{err}
	}
	if err != nil {
		r.Text, _ = x.explain(err)
	}
	return nil
}

// checkChild describes the environment of a command, without its secrets.
func (x *run) checkChild(_ context.Context, r *Result) error {
	const hidden, later = "<not shown>", "<asked at start>"
	conf := x.conf
	roots, _ := x.sslRootCert() // see checkTrust
	result, err := pgenv.Build(x.Environ, pgenv.Values{
		Host: cmp.Or(x.host, later), HostAddr: conf.PGHostAddr.Value, Port: conf.PGPort.Value, Database: conf.Database.Value, User: cmp.Or(conf.User.Value, later),
		SSLMode: conf.ChildSSLMode.Value, SSLRootCert: roots, Profile: conf.Profile.Value,
		Password: credential.NewSecret(hidden), ExpiresAt: x.password.ExpiresAt,
	}, conf.Keep.Value)
	if err != nil {
		return err
	}
	var set []string
	for _, e := range result.Environ {
		if name, value, _ := strings.Cut(e, "="); slices.Contains(result.Set, name) {
			set = append(set, e)
			r.Facts[name] = value
		}
	}
	r.Text = strings.Join(set, " ")
	if len(result.Removed) > 0 {
		r.Text += "; removed: " + strings.Join(result.Removed, " ")
	}
	for _, v := range conf.URLVar.Value {
		r.Text += "; " + v + " (--url-var)"
	}
	for _, v := range conf.Set {
		r.Text += fmt.Sprintf("; %s (%s)", v.Name, v.Source)
	}
	return nil
}

// versionTimeout bounds a program that prints its version.
const versionTimeout = 5 * time.Second

// lastWithoutSNI is the last libpq that does not send the host's name in TLS
// (PostgreSQL 14 release notes, sslsni).
const lastWithoutSNI = 13

var libpqVersion = regexp.MustCompile(`PostgreSQL\)? ([0-9]+)(\S*)`)

// checkLibpq reads the version of libpq from psql or pg_config.
func (x *run) checkLibpq(ctx context.Context, r *Result) error {
	r.Status, r.Text = NotTried, "neither psql nor pg_config is in PATH"
	for _, name := range []string{"psql", "pg_config"} {
		found, err := process.Find([]string{name, "--version"}, x.Search)
		if err != nil {
			continue
		}
		out, err := x.version(ctx, found)
		m := libpqVersion.FindStringSubmatch(out)
		if err != nil || m == nil {
			r.Text = found.Path + " does not print its version"
			continue
		}
		version := m[1] + m[2]
		r.Status, r.Text = OK, fmt.Sprintf("%s (%s)", version, found.Path)
		r.fact("version", version)
		r.fact("path", found.Path)
		if major, _ := strconv.Atoi(m[1]); major <= lastWithoutSNI {
			r.Status, r.Fix = Warning, "install a client with libpq 14 or later"
			r.Text += ": it sends no host name in TLS (SNI), which Lakebase needs"
		}
		break
	}
	return nil
}

func (x *run) version(ctx context.Context, found process.Command) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, found.Path)
	cmd.Args, cmd.Dir, cmd.WaitDelay = found.Argv, os.TempDir(), time.Second
	for _, name := range []string{"PATH", "HOME", "LD_LIBRARY_PATH", "SYSTEMROOT"} {
		if v := x.Settings.Env(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	out, err := cmd.Output()
	return string(out[:min(len(out), 1024)]), err
}
