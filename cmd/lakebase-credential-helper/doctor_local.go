package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
)

// trust says by whose certificates the two hosts are known, and which proxies hold.
func (x *examination) trust() {
	conf := x.conf
	s := step{Name: partTrust, Status: broker.StatusOK, Facts: map[string]string{}}
	_, workspaceErr := x.Roots().Workspace(conf.CACert.Value)
	if workspaceErr == nil && !conf.Workspace.Value.IsZero() {
		_, workspaceErr = x.client()
	}
	roots, databaseErr := x.SSLRootCert(conf)
	var parts []string
	put := func(name, value, from string) {
		if value != "" {
			parts = append(parts, fmt.Sprintf("%s %s (%s)", name, value, from))
			s.Facts[name], s.Facts[name+"_from"] = value, from
		}
	}
	put("sslmode", conf.SSLMode.Value, conf.SSLMode.Source.String())
	put("sslrootcert", roots, x.rootsFrom(conf))
	put("cacert", conf.CACert.Value, conf.CACert.Source.String())
	if f := x.Env("SSL_CERT_FILE"); f != "" && conf.SSLRootCert.Value != "" {
		put("workspace_roots", f, "SSL_CERT_FILE")
	}
	for _, names := range [][2]string{{"HTTPS_PROXY", "https_proxy"}, {"NO_PROXY", "no_proxy"}} {
		for _, name := range names {
			if v := x.Env(name); v != "" {
				put(strings.ToLower(names[0]), withoutUser(v), name)
				break
			}
		}
	}
	if s.Facts["https_proxy"] == "" {
		parts = append(parts, "no proxy")
	}
	s.Text = strings.Join(parts, ", ")
	if workspaceErr != nil {
		x.blocked[broker.PartWorkspace] = partTrust
		s = failed(partTrust, workspaceErr, x.described())
	}
	if databaseErr != nil {
		x.blocked[broker.PartDatabase] = partTrust
		s = failed(partTrust, databaseErr, x.described())
	}
	if s.Status == broker.StatusOK && conf.SSLMode.Value == config.Require {
		s.Status, s.Cure = broker.StatusWarning, "leave --sslmode require out: with it the database's certificate is not checked"
	}
	x.add(s)
}

// rootsFrom says who named the roots of the database.
func (x *examination) rootsFrom(conf config.Config) string {
	switch {
	case conf.SSLRootCert.Value != "":
		return conf.SSLRootCert.Source.String()
	case x.Env("SSL_CERT_FILE") != "":
		return "SSL_CERT_FILE"
	}
	return "the default"
}

// withoutUser takes the user and password out of a proxy's address.
func withoutUser(address string) string {
	if !strings.Contains(address, "@") {
		return address
	}
	bare := !strings.Contains(address, "://")
	if bare {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return "(not a URL)"
	}
	u.User = nil
	if bare {
		return u.Host
	}
	return u.Scheme + "://" + u.Host
}

// runtime looks at the folder for what does not outlive a session.
func (x *examination) runtime() {
	dir, err := x.RuntimeDir(x.conf)
	if err == nil {
		x.add(step{Name: partRuntime, Status: broker.StatusOK, Text: dir.Path(), Facts: map[string]string{"path": dir.Path()}})
		_ = dir.Close()
		return
	}
	s := failed(partRuntime, err, x.described())
	if !x.conf.RuntimeDir.Given() {
		s.Status, s.err = broker.StatusWarning, nil
	}
	x.add(s)
}

// keychainState looks whether there is a keychain, and whether it is open. No
// dialog is shown.
func (x *examination) keychainState(ctx context.Context, chain *keychain.Keychain, stores cli.TokenStores) step {
	s := step{Name: partKeychain, Status: broker.StatusOK, Facts: map[string]string{}}
	_, err := chain.NonInteractive().Get(ctx, keychain.IndexAccount)
	caches := stores.InUse == config.CacheKeychain
	var e *keychain.Error
	switch {
	case err == nil || errors.As(err, &e) && e.Missing():
		s.Text, s.Facts["state"] = "present, and open", "present"
	case errors.Is(err, keychain.ErrAbsent):
		s.Text, s.Facts["state"] = "absent: there is none on this machine", "absent"
		if caches {
			s.Text += ", so that each start signs in anew"
		}
	default:
		s.Text, s.Cure = cli.Describe(err, x.described())
		s.Facts["state"] = "failed"
		switch {
		case errors.As(err, &e) && e.Locked():
			s.Facts["state"] = "locked"
		case errors.Is(err, keychain.ErrTimeout):
			s.Facts["state"] = "silent"
		}
		if caches {
			s.Status = broker.StatusWarning
		} else {
			s.Cure = ""
		}
	}
	return s
}

// openStores opens the token stores and reports which one is in use, and why
// others are not.
func (x *examination) openStores(chain *keychain.Keychain) cli.TokenStores {
	conf := x.conf
	conf.RuntimeDir = x.usableRuntimeDir()
	stores, err := x.TokenStores(conf, chain)
	if err != nil {
		x.add(failed(partCache, err, x.described()))
		return stores
	}
	s := step{Name: partCache, Status: broker.StatusOK, Facts: map[string]string{"store": stores.InUse}}
	s.Text = map[string]string{
		config.CacheKernel:   "tokens are kept in the kernel's keyring",
		config.CacheKeychain: "tokens are kept in the keychain",
		config.CacheFile:     "tokens are kept in files of the runtime folder",
		config.CacheOff:      "off: each start signs in",
	}[stores.InUse]
	if len(stores.Notes) > 0 {
		s.Facts["notes"] = strings.Join(stores.Notes, "; ")
		s.Text += " (" + s.Facts["notes"] + ")"
	}
	x.add(s)
	return stores
}

// life adds where the secret or login stands, and when it ends, where that is known.
func (x *examination) life(ctx context.Context, s *step, stores cli.TokenStores, chain *keychain.Keychain) {
	host, id, person := x.conf.Workspace.Value.HostPort(), x.conf.ClientID.Value, x.conf.Auth.Value == credential.AuthBrowser
	if x.conf.Secret.Kind != config.SecretInKeychain || !person && x.conf.Auth.Value != credential.AuthM2M {
		return
	}
	account := config.SecretAccount(host, id)
	if person {
		account = config.RefreshAccount(host, x.seen.Person)
	}
	s.Facts["store"] = storeKeychain
	files := x.SecretFiles()
	if _, err := files.Get(account); err == nil {
		path := files.Path(account)
		s.Facts["store"], s.Facts["path"] = storeFile, path
		s.Text += ", from the file " + path
	} else {
		s.Text += ", from the keychain"
	}
	if person { // the workspace alone knows when it ends
		return
	}
	v := x.vault(stores, chain, host, id)
	secret, err := v.peek(ctx)
	if err != nil {
		return
	}
	ends, _ := v.life(ctx, secret)
	if ends.IsZero() {
		s.Text += "; when it ends is not known here"
		return
	}
	s.Facts["ends"] = ends.UTC().Format(time.RFC3339)
	left := ends.Sub(time.Now())
	s.Text += "; it " + lifeLeft(left)
	if left < soon {
		s.Status, s.Cure = broker.StatusWarning, "make a new one with: "+program+" rotate"
	}
}

// libpqTime bounds a run that asks for a version.
const libpqTime = 5 * time.Second

// oldLibpq is the last libpq that does not send the host's name in TLS
// (PostgreSQL 14 release notes, sslsni).
const oldLibpq = 13

// libpq asks for the version of what is found in PATH.
func (x *examination) libpq(ctx context.Context) {
	s := step{Name: partLibpq, Status: broker.StatusNotTried, Text: "neither psql nor pg_config is in PATH"}
	defer func() { x.add(s) }()
	versionText := regexp.MustCompile(`PostgreSQL\)? ([0-9]+)(\S*)`)
	for _, name := range []string{"psql", "pg_config"} {
		found, err := process.Find([]string{name, "--version"}, x.ToolSearch())
		if err != nil {
			continue
		}
		out, err := x.version(ctx, found)
		m := versionText.FindStringSubmatch(out)
		if err != nil || m == nil {
			s.Text = found.Path + " does not tell its version"
			continue
		}
		major, _ := strconv.Atoi(m[1])
		s.Status, s.Text = broker.StatusOK, fmt.Sprintf("%s%s (%s)", m[1], m[2], found.Path)
		s.Facts = map[string]string{"version": m[1] + m[2], "path": found.Path}
		if major <= oldLibpq {
			s.Status = broker.StatusWarning
			s.Text += ": it sends no host name in TLS (SNI), which Lakebase needs"
			s.Cure = "install a client with libpq 14 or later"
		}
		return
	}
}

func (x *examination) version(ctx context.Context, found process.Command) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, libpqTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, found.Path)
	cmd.Args = found.Argv
	for _, name := range []string{"PATH", "HOME", "LD_LIBRARY_PATH", "SYSTEMROOT"} {
		if v := x.Env(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	cmd.Dir, cmd.WaitDelay = os.TempDir(), time.Second
	out, err := cmd.Output()
	return string(out[:min(len(out), 1024)]), err
}
