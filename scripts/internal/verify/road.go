package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// road is what the facts are looked at with, and what earlier ones have brought.
type road struct {
	conf    config.Config
	environ map[string]string
	patient bool

	client    *http.Client
	roots     *x509.CertPool // of the database, as configured
	secret    credential.Secret
	bearer    credential.Secret // of the workspace; zero: the sign-in failed
	token     credential.Secret // of the database; zero: there is none
	short     credential.Secret // one that ends in five minutes; with --patient
	shortEnds time.Time

	endpoint endpoint
	me       me
	secrets  []credential.Secret // all of them, to be hidden
	names    []string            // of hosts and ids, to be shortened
}

type endpoint struct {
	UID    string `json:"uid"`
	Parent string `json:"parent"`
	Status struct {
		State   string `json:"current_state"`
		Suspend string `json:"suspend_timeout_duration"`
		Hosts   struct {
			Host   string `json:"host"`
			Pooled string `json:"read_write_pooled_host"`
		} `json:"hosts"`
	} `json:"status"`
}

type me struct {
	UserName string `json:"userName"`
	ID       string `json:"id"`
}

// open resolves the target as the programs do.
func open(ctx context.Context, args []string, environ map[string]string) (*road, error) {
	r := &road{environ: environ}
	given, err := r.options(args)
	if err != nil {
		return nil, err
	}
	home, _ := os.UserHomeDir()
	path := environ["LAKEBASE_CONFIG_FILE"]
	if path == "" {
		dir := environ["XDG_CONFIG_HOME"]
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(home, ".config")
		}
		path = filepath.Join(dir, "lakebase", "profiles.ini")
	}
	dir, _ := os.Getwd()
	r.conf, err = config.Resolve(config.Input{Options: given, Environ: environ, Dir: dir, ProfilesPath: path, Profiles: func() (*config.Profiles, error) {
		data, err := securefile.ReadProfile(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return config.ParseProfiles(path, data)
	}})
	switch {
	case err != nil:
		return nil, err
	case r.conf.Endpoint.Value == "" || !r.conf.EndpointWhole():
		return nil, errors.New("the target must be an endpoint by its whole name, " + config.EndpointForm)
	case r.conf.ClientID.Value == "":
		return nil, errors.New("a service principal must sign in: give its client id")
	}
	if r.secret, err = r.readSecret(ctx); err != nil {
		return nil, err
	}
	r.hide(r.secret, r.conf.Secret.Text)
	return r, r.transport()
}

// options takes those of the programs, and --patient.
func (r *road) options(args []string) (map[string][]string, error) {
	set := flag.NewFlagSet("scripts/verify-live", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.BoolVar(&r.patient, "patient", false, "")
	given := map[string][]string{}
	for _, s := range config.Settings() {
		take := func(v string) error { given[s.Option] = append(given[s.Option], v); return nil }
		for _, name := range []string{s.Option, s.Alias} {
			switch {
			case name == "":
			case s.Bool:
				set.BoolFunc(name, "", take)
			default:
				set.Func(name, "", take)
			}
		}
	}
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if set.NArg() > 0 { // not shown: it may be a secret
		return nil, errors.New("options are taken, and nothing else")
	}
	return given, nil
}

// readSecret takes the secret from where the programs would.
func (r *road) readSecret(ctx context.Context) (credential.Secret, error) {
	switch s := r.conf.Secret; s.Kind {
	case config.SecretInFile:
		return securefile.ReadSecret(s.Path, securefile.SecretRules{CredentialsDir: r.environ["CREDENTIALS_DIRECTORY"]})
	case config.SecretInKeychain:
		return keychain.Open(keychain.Options{Timeout: time.Minute, Environ: os.Getenv}).Get(ctx, r.conf.SecretAccount())
	default:
		return s.Text, nil
	}
}

// transport makes the client of the workspace, and reads the database's roots.
func (r *road) transport() error {
	cache, _ := os.UserCacheDir()
	finder := rootcerts.Finder{SSLCertFile: r.environ["SSL_CERT_FILE"], CacheDir: cache}
	workspace, err := finder.Workspace(r.conf.CACert.Value)
	if err != nil {
		return err
	}
	bundle, err := finder.Bundle(r.conf.SSLRootCert.Value)
	if err != nil {
		return err
	}
	pem, err := os.ReadFile(bundle)
	if err != nil {
		return err
	}
	r.roots = x509.NewCertPool()
	if !r.roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate", bundle)
	}
	r.client = &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: workspace, MinVersion: tls.VersionTLS12}},
	}
	id := r.conf.ClientID.Value
	r.name(r.conf.Workspace.Value.Hostname(), id, r.conf.PGHost.Value, r.conf.User.Value)
	for _, part := range strings.Split(r.conf.Endpoint.Value, "/") {
		if !slices.Contains([]string{"projects", "branches", "endpoints", "production", "primary"}, part) {
			r.name(part)
		}
	}
	return nil
}

func (r *road) close() { r.client.CloseIdleConnections() }

// hide has a secret never shown.
func (r *road) hide(secrets ...credential.Secret) { r.secrets = append(r.secrets, secrets...) }

// name has a name shown by its beginning alone.
func (r *road) name(names ...string) {
	for _, n := range names {
		if len(n) > 3 && n != "localhost" && !slices.Contains(r.names, n) {
			r.names = append(r.names, n)
		}
	}
	slices.SortFunc(r.names, func(a, b string) int { return len(b) - len(a) }) // a name may be part of another
}

// revealing are forms of tokens, ids and addresses that a server may speak of.
var revealing = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|dose[0-9a-f]{8,}|dapi[0-9a-f]{8,}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-f]{16,}|\b[0-9]{1,3}(\.[0-9]{1,3}){3}\b|\b(ep|br)-[a-z0-9-]{8,}|\b[0-9]{9,}\b`)

// maxSeen bounds what is shown of one answer, in bytes.
const maxSeen = 200

// shorten makes what was seen fit to be shown to others, on one line.
func (r *road) shorten(text string) string {
	text = credential.Scrub(text, r.secrets...)
	for _, n := range r.names {
		text = strings.ReplaceAll(text, n, n[:min(3, len(n))]+"…")
	}
	text = revealing.ReplaceAllStringFunc(text, func(s string) string { return s[:3] + "…" })
	text = strings.ToValidUTF8(strings.Join(strings.Fields(text), " "), "?")
	text = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c != '…' {
			return '?'
		}
		return c
	}, text)
	if len(text) > maxSeen {
		text = strings.ToValidUTF8(text[:maxSeen], "") + "…"
	}
	return text
}
