package live

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
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
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// workspace is what the facts are checked in, with what earlier facts found.
type workspace struct {
	conf    config.Config
	patient bool // wait for the end of a token

	client *http.Client
	roots  *x509.CertPool // of the database
	secret credential.Secret
	bearer credential.Secret // zero: the sign-in failed
	token  credential.Secret // of the database; zero: none
	scimID string
	host   string // of the endpoint
	pooled string

	secrets []credential.Secret // to be hidden
	names   []string            // hosts and IDs to be shortened
}

// open resolves the target as the programs do.
func open(ctx context.Context, profile string, environ map[string]string) (*workspace, error) {
	w, options := &workspace{}, map[string][]string{}
	if profile != "" {
		options["profile"] = []string{profile}
	}
	path := environ["LAKEBASE_CONFIG_FILE"]
	if path == "" {
		dir := environ["XDG_CONFIG_HOME"]
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(environ["HOME"], ".config")
		}
		path = filepath.Join(dir, "lakebase", "profiles.ini")
	}
	var err error
	w.conf, err = config.Resolve(config.Input{Options: options, Environ: environ, Dir: environ["LIVE_DIR"],
		Profiles: func() (*config.Profiles, error) {
			data, err := securefile.ReadProfile(path)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
			return config.ParseProfiles(path, data)
		}})
	switch {
	case err != nil:
		return nil, err
	case w.conf.Endpoint.Value == "" || !w.conf.EndpointWhole():
		return nil, errors.New("the target must be an endpoint by its full name, " + config.EndpointForm)
	case w.conf.ClientID.Value == "":
		return nil, errors.New("a service principal must sign in: give its client ID")
	}
	switch s := w.conf.Secret; s.Kind {
	case config.SecretInFile:
		w.secret, err = securefile.ReadSecret(s.Path, securefile.SecretRules{CredentialsDir: environ["CREDENTIALS_DIRECTORY"]})
	case config.SecretInKeychain:
		w.secret, err = keychain.Open(time.Minute, os.Getenv("DBUS_SESSION_BUS_ADDRESS")).Get(ctx, w.conf.SecretAccount())
	default:
		w.secret = s.Text
	}
	if err != nil {
		return nil, err
	}
	w.secrets = []credential.Secret{w.secret, w.conf.Secret.Text, credential.NewSecret(environ["DATABRICKS_TOKEN"])}
	w.shorten(w.conf.Workspace.Value.Hostname(), w.conf.ClientID.Value, w.conf.PGHost.Value, w.conf.User.Value)
	for _, part := range strings.Split(w.conf.Endpoint.Value, "/") {
		if !slices.Contains([]string{"projects", "branches", "endpoints", "production", "primary"}, part) {
			w.shorten(part)
		}
	}
	return w, w.readRoots(environ)
}

// readRoots reads the root certificates of the workspace and of the database.
func (w *workspace) readRoots(environ map[string]string) error {
	finder := rootcerts.Finder{SSLCertFile: environ["SSL_CERT_FILE"], CacheDir: os.UserCacheDir}
	roots, err := finder.Workspace(w.conf.CACert.Value)
	if err != nil {
		return err
	}
	w.client = &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
	}
	bundle, err := finder.Bundle(w.conf.SSLRootCert.Value, "--sslrootcert")
	if err != nil {
		return err
	}
	pem, err := os.ReadFile(bundle)
	w.roots = x509.NewCertPool()
	if err == nil && !w.roots.AppendCertsFromPEM(pem) {
		err = fmt.Errorf("%s holds no certificate", bundle)
	}
	return err
}

// reply is the workspace's reply to one request.
type reply struct {
	status int
	date   time.Time
	kind   string // Content-Type
	fields map[string]any
}

// call sends one request to a path of the workspace, or to a URL: a form if body is url.Values, else JSON. Without a bearer,
// a form is sent with the client's ID and the given secret.
func (w *workspace) call(ctx context.Context, method, path string, bearer credential.Secret, body any) (reply, error) {
	var text []byte
	form, isForm := body.(url.Values)
	if isForm {
		text = []byte(form.Encode())
	} else if body != nil {
		text, _ = json.Marshal(body)
	}
	if !strings.HasPrefix(path, "https://") {
		path = w.conf.Workspace.Value.URL() + path
	}
	req, err := http.NewRequestWithContext(ctx, method, path, strings.NewReader(string(text)))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("User-Agent", "lakebase-exec-verify")
	req.Header.Set("Content-Type", map[bool]string{true: "application/x-www-form-urlencoded", false: "application/json"}[isForm])
	if id := w.conf.Workspace.Value.WorkspaceID; id != "" {
		req.Header.Set("X-Databricks-Workspace-Id", id)
	}
	switch {
	case isForm:
		req.SetBasicAuth(w.conf.ClientID.Value, bearer.Reveal())
	case !bearer.IsZero():
		req.Header.Set("Authorization", "Bearer "+bearer.Reveal())
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	r := reply{status: resp.StatusCode, kind: resp.Header.Get("Content-Type")}
	r.date, _ = http.ParseTime(resp.Header.Get("Date"))
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	_ = json.Unmarshal(data, &r.fields)
	for _, name := range []string{"access_token", "token"} {
		w.secrets = append(w.secrets, credential.NewSecret(r.field(name)))
	}
	return r, err
}

func (w *workspace) get(ctx context.Context, path string) (reply, error) {
	return w.call(ctx, http.MethodGet, path, w.bearer, nil)
}

// signIn requests a workspace token with a scope.
func (w *workspace) signIn(ctx context.Context, secret credential.Secret, scope string) (reply, error) {
	return w.call(ctx, http.MethodPost, "/oidc/v1/token", secret, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}})
}

// mint requests a database credential with further fields.
func (w *workspace) mint(ctx context.Context, bearer credential.Secret, more map[string]any) (reply, error) {
	body := map[string]any{"endpoint": w.conf.Endpoint.Value}
	for k, v := range more {
		body[k] = v
	}
	return w.call(ctx, http.MethodPost, "/api/2.0/postgres/credentials", bearer, body)
}

// field returns a field of the reply's JSON by its path, as text.
func (r reply) field(path ...string) string {
	var v any = r.fields
	for _, name := range path {
		m, _ := v.(map[string]any)
		if v = m[name]; v == nil {
			return ""
		}
	}
	return fmt.Sprint(v)
}

// life returns how long a credential lives by the server's clock; 0: unknown.
func (r reply) life() time.Duration {
	ends, err := time.Parse(time.RFC3339, r.field("expire_time"))
	if err != nil || r.date.IsZero() {
		return 0
	}
	return ends.Sub(r.date)
}

// String returns the status and the fields that describe errors.
func (r reply) String() string {
	text := fmt.Sprintf("HTTP %d", r.status)
	for _, name := range []string{"error", "error_code", "error_description", "message", "detail"} {
		if v := r.field(name); v != "" {
			text += " " + name + "=" + v
		}
	}
	if r.status >= 400 && r.field("error")+r.field("error_code") == "" {
		text += " (" + r.kind + ")"
	}
	return text
}

// shorten has names shown by their first characters only.
func (w *workspace) shorten(names ...string) {
	for _, n := range names {
		if len(n) > 3 && n != "localhost" {
			w.names = append(w.names, n)
		}
	}
	slices.SortFunc(w.names, func(a, b string) int { return len(b) - len(a) }) // a name may be part of another
}

// revealing matches tokens, IDs and addresses that a server may mention.
var revealing = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|dose[0-9a-f]{8,}|dapi[0-9a-f]{8,}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-f]{16,}|\b[0-9]{1,3}(\.[0-9]{1,3}){3}\b|\b(ep|br)-[a-z0-9-]{8,}|\b[0-9]{9,}\b`)

// public returns text on one line that can be shown to others.
func (w *workspace) public(text string) string {
	text = sanitize.Line(text, w.secrets...)
	for _, n := range w.names {
		text = strings.ReplaceAll(text, n, n[:3]+"…")
	}
	return revealing.ReplaceAllStringFunc(text, func(s string) string { return s[:3] + "…" })
}
