package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

const (
	clientID     = "client-1"
	endpointName = "projects/p/branches/b/endpoints/e"
	endpointHost = "ep-x.database.us-east-1.cloud.databricks.com"
	otherHost    = "ep-y.database.eu-west-1.cloud.databricks.com"
)

// fakeWorld implements everything a Doctor needs. Without errors all is well.
type fakeWorld struct {
	environ map[string]string
	calls   []string

	runtimeErr, keychainErr               error
	store                                 string // in use
	proxyErr, secretErr, clockErr         error
	skew                                  time.Duration
	tokenErr, meErr, targetErr, branchErr error
	probeErr, credentialErr, loginErr     error
	expires                               time.Time // of the secret
	secrets                               []exchange.ClientSecret
	endpoint                              exchange.Resource
	branch                                exchange.Resource
	now, certificateEnds                  time.Time
}

func newFakeWorld(t *testing.T) *fakeWorld {
	return &fakeWorld{
		environ:  map[string]string{"DATABRICKS_HOST": "w.example", "DATABRICKS_CLIENT_ID": clientID, "LAKEBASE_ENDPOINT": endpointName},
		store:    config.CacheKernel,
		endpoint: exchange.Resource{Name: endpointName, Host: endpointHost, State: "ACTIVE"},
		branch:   exchange.Resource{Name: "projects/p/branches/b", State: "READY"},
		now:      time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC),

		certificateEnds: time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC),
	}
}

// run runs all checks; more are name, value pairs of options, or of variables if
// the name is in upper case.
func (w *fakeWorld) run(t *testing.T, more ...string) Report {
	t.Helper()
	options := map[string][]string{}
	for i := 0; i+1 < len(more); i += 2 {
		if strings.ToUpper(more[i]) == more[i] {
			w.environ[more[i]] = more[i+1]
		} else {
			options[more[i]] = []string{more[i+1]}
		}
	}
	w.calls = nil
	return Doctor{
		Options: options, Local: w, Database: w, Observer: w,
		ToolPath: t.TempDir(), Now: func() time.Time { return w.now },
	}.Run(t.Context())
}

// summary lists the results that are not ok, each with its status or what it needs.
// libpq is left out.
func summary(report Report) string {
	var out []string
	for _, r := range report.Results {
		switch {
		case r.Status == OK || r.ID == Libpq:
		case r.Status == NotTried:
			out = append(out, fmt.Sprintf("%s<%s", r.ID, r.Needs))
		default:
			out = append(out, fmt.Sprintf("%s:%s", r.ID, r.Status))
		}
	}
	return strings.Join(out, ", ")
}

func find(t *testing.T, report Report, id CheckID) Result {
	t.Helper()
	for _, r := range report.Results {
		if r.ID == id {
			return r
		}
	}
	t.Fatalf("no result of %s", id)
	return Result{}
}

func (w *fakeWorld) called(name string, err error) error {
	w.calls = append(w.calls, name)
	return err
}

func (w *fakeWorld) Resolve(options map[string][]string, change func(*config.Input) error) (config.Config, error) {
	in := config.Input{Options: options, Environ: w.environ, Dir: "/", Profiles: func() (*config.Profiles, error) { return config.ParseProfiles("profiles.ini", nil) }}
	if err := change(&in); err != nil {
		return config.Config{}, err
	}
	return config.Resolve(in)
}

func (w *fakeWorld) Env(name string) string                             { return w.environ[name] }
func (w *fakeWorld) RunTool(context.Context, ...string) ([]byte, error) { return nil, nil }

func (w *fakeWorld) RuntimeDir(config.Config) (string, error) { return "/run/x", w.runtimeErr }

func (w *fakeWorld) TokenStore(config.Config) (string, []string, error) {
	return w.store, nil, nil
}
func (w *fakeWorld) KeychainState(context.Context, config.Config) error { return w.keychainErr }

func (w *fakeWorld) Stored(context.Context, config.Config, auth.Identity) (store, path string, expires time.Time) {
	return "keychain", "", w.expires
}

func (w *fakeWorld) SSLRootCert(conf config.Config) (string, error) {
	return "/roots.pem", readable(conf.SSLRootCert.Value)
}

func (w *fakeWorld) Workspace(conf config.Config) (WorkspaceAPI, error) {
	return w, errors.Join(w.proxyErr, readable(conf.CACert.Value))
}

// readable returns an error for a named file.
func readable(path string) error {
	if path != "" {
		return errors.New(path + " does not exist")
	}
	return nil
}

func (w *fakeWorld) Auth(conf config.Config) (Auth, error) {
	if conf.Cache.Value != config.CacheOff {
		return nil, errors.New("the cache is on")
	}
	return w, nil
}

func (w *fakeWorld) ServerTime(context.Context) (time.Duration, error) {
	return w.skew, w.called("clock", w.clockErr)
}
func (w *fakeWorld) Proxy() string { return "" }

func (w *fakeWorld) Do(_ context.Context, use func(auth.Source, auth.Identity) error) error {
	id := auth.Identity{Type: auth.AuthM2M, Principal: clientID, User: clientID}
	if w.environ["DATABRICKS_CLIENT_ID"] == "" {
		id = auth.Identity{Type: auth.AuthBrowser}
	}
	return use(w, id)
}

func (w *fakeWorld) Check(context.Context) error { return w.called("secret", w.secretErr) }

func (w *fakeWorld) Token(context.Context) (credential.Token, error) {
	return credential.Token{Value: credential.NewSecret("bearer"), ExpiresAt: w.now}, w.called("sign-in", w.tokenErr)
}

func (w *fakeWorld) Refresh(ctx context.Context, _ credential.Secret) (credential.Token, error) {
	return w.Token(ctx)
}

func (w *fakeWorld) Me(context.Context, credential.Secret) (exchange.Identity, error) {
	return exchange.Identity{UserName: "ada@example.com"}, w.called("me", w.meErr)
}

func (w *fakeWorld) ClientSecrets(context.Context, credential.Secret, string) ([]exchange.ClientSecret, error) {
	return w.secrets, w.called("secrets", nil)
}

func (w *fakeWorld) List(context.Context, credential.Secret, string) ([]exchange.Resource, error) {
	return []exchange.Resource{w.branch}, w.called("branches", w.branchErr)
}

func (w *fakeWorld) DatabaseCredential(_ context.Context, _ credential.Secret, target string, _ time.Duration) (credential.Token, error) {
	return credential.Token{Value: credential.NewSecret("token"), ExpiresAt: w.now}, w.called("credential:"+target, w.credentialErr)
}

func (w *fakeWorld) Endpoint(context.Context, credential.Secret, string) (exchange.Resource, error) {
	return w.endpoint, w.called("target", w.targetErr)
}

func (w *fakeWorld) Probe(_ context.Context, t pglogin.Target) (pglogin.Peer, error) {
	return pglogin.Peer{Chain: []*x509.Certificate{{NotBefore: w.now.AddDate(0, -3, 0), NotAfter: w.certificateEnds}}}, w.called("probe:"+t.Host, w.probeErr)
}

func (w *fakeWorld) Login(_ context.Context, t pglogin.Target, password credential.Secret) error {
	return w.called("login:"+t.User+":"+password.Reveal(), w.loginErr)
}

func (w *fakeWorld) Checking(CheckID, config.Config) {}
func (w *fakeWorld) Stage(auth.Stage, string)        {}
func (w *fakeWorld) Note(string)                     {}
func (w *fakeWorld) Warn(string)                     {}

func (w *fakeWorld) Explain(err error, _ config.Config) (text, fix string) {
	var hint interface{ Hint() string }
	if errors.As(err, &hint) {
		fix = hint.Hint()
	}
	return err.Error(), fix
}

func locked() error  { return &keychain.Error{Err: keychain.ErrLocked} }
func missing() error { return &keychain.Error{Err: keychain.ErrNotFound} }

func refused(call exchange.Call, kind exchange.Kind) error {
	return &exchange.Error{Call: call, Host: "w.example", Kind: kind, Status: 403}
}

func certificateError() error {
	return &exchange.Error{Call: exchange.CallDiscovery, Kind: exchange.KindCertificate, Err: x509.UnknownAuthorityError{}}
}
