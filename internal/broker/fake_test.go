package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/loginproof"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	client     = "client-1"
	endpointID = "projects/p/branches/b/endpoints/e"
	ownHost    = "ep-x.database.us-east-1.cloud.databricks.com"
	secretText = "dose-secret-0123456789"
)

// world is everything around a Broker, and what was asked of it, in order.
type world struct {
	mu    sync.Mutex
	calls []string

	secretErr error
	token     func(n int) error // of the n-th try at a call, from 1; nil: no error
	credError func(ctx context.Context, n int) error
	endError  func(ctx context.Context, n int) error
	endpoint  exchange.Endpoint
	target    string // what must be asked for
	login     func(ctx context.Context, t pglogin.Target, password string) error

	counts map[string]int
	minted int
	items  map[string]string
	stamps map[string]string
}

func newWorld() *world {
	return &world{target: endpointID, endpoint: exchange.Endpoint{Name: endpointID, Host: ownHost}, counts: map[string]int{}, items: map[string]string{}, stamps: map[string]string{}}
}

func (w *world) note(call string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, call)
	w.counts[call]++
	return w.counts[call]
}

// did gives what was asked since the last time, in order.
func (w *world) did() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := strings.Join(w.calls, " ")
	w.calls = nil
	return out
}

func (w *world) Get(_ context.Context, account string) (credential.Secret, error) {
	w.note("keychain")
	if account != "secret:w.example:"+client {
		return credential.Secret{}, fmt.Errorf("the wrong account %s", account)
	}
	if w.secretErr != nil {
		return credential.Secret{}, w.secretErr
	}
	return credential.NewSecret(secretText), nil
}

func aToken(text string) credential.Token {
	now := time.Now().UTC()
	return credential.Token{Value: credential.NewSecret(text), MintedAt: now, ExpiresAt: now.Add(time.Hour)}
}

func (w *world) WorkspaceToken(ctx context.Context, id string, secret credential.Secret) (credential.Token, error) {
	n := w.note("sign-in")
	if id != client || secret.IsZero() {
		return credential.Token{}, errors.New("not the client's secret")
	}
	if w.token != nil {
		if err := w.token(n); err != nil {
			return credential.Token{}, err
		}
	}
	return aToken("bearer"), ctx.Err()
}

func (w *world) DatabaseCredential(ctx context.Context, bearer credential.Secret, name string, _ time.Duration) (credential.Token, error) {
	n := w.note("credential")
	if bearer.Reveal() != "bearer" || name != w.target {
		return credential.Token{}, errors.New("not the bearer, or another endpoint")
	}
	if w.credError != nil {
		if err := w.credError(ctx, n); err != nil {
			return credential.Token{}, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.minted++
	return aToken(fmt.Sprintf("token-%d", w.minted)), nil
}

func (w *world) Endpoint(ctx context.Context, bearer credential.Secret, name string) (exchange.Endpoint, error) {
	n := w.note("endpoint")
	if bearer.Reveal() != "bearer" || name != w.target {
		return exchange.Endpoint{}, errors.New("not the bearer, or another endpoint")
	}
	if w.endError != nil {
		if err := w.endError(ctx, n); err != nil {
			return exchange.Endpoint{}, err
		}
	}
	return w.endpoint, nil
}

func (w *world) Login(ctx context.Context, t pglogin.Target, password credential.Secret) error {
	w.note("login:" + password.Reveal())
	if w.login != nil {
		return w.login(ctx, t, password.Reveal())
	}
	return nil
}

type absent struct{}

func (absent) Error() string { return "no such item" }
func (absent) Missing() bool { return true }

// store and files are the world's memory between runs.
type store struct{ w *world }

func (s store) Get(_ context.Context, id string) (credential.Secret, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	text, ok := s.w.items[id]
	if !ok {
		return credential.Secret{}, absent{}
	}
	return credential.NewSecret(text), nil
}

func (s store) Set(_ context.Context, id string, item credential.Secret, _ time.Time) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.items[id] = item.Reveal()
	return nil
}

func (s store) Delete(context.Context, ...string) error { return nil }
func (s store) List(context.Context) ([]string, error)  { return nil, nil }

// quietCache ignores what a cache reports.
type quietCache struct{}

func (quietCache) CacheFailed(string, error) {}
func (quietCache) CacheWaits()               {}

type files struct{ w *world }

func (f files) ReadFile(name string, _ int64) ([]byte, error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	text, ok := f.w.stamps[name]
	if !ok {
		return nil, absent{}
	}
	return []byte(text), nil
}

func (f files) WriteFile(name string, data []byte) error {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.w.stamps[name] = string(data)
	return nil
}

// resolve makes a configuration from options and environment; more are
// name, value pairs, where names in capitals are variables.
func resolve(t *testing.T, more ...string) config.Config {
	t.Helper()
	in := config.Input{Options: map[string][]string{}, Environ: map[string]string{"DATABRICKS_HOST": "w.example", "DATABRICKS_CLIENT_ID": client, "LAKEBASE_ENDPOINT": endpointID}, Dir: "/"}
	for i := 0; i+1 < len(more); i += 2 {
		if strings.ToUpper(more[i]) == more[i] {
			in.Environ[more[i]] = more[i+1]
		} else {
			in.Options[more[i]] = []string{more[i+1]}
		}
	}
	in.Profiles = func() (*config.Profiles, error) {
		return config.ParseProfiles("F", []byte("[prod]\nhost = w.example\nclient_id = "+client+"\nendpoint = "+endpointID+"\n"))
	}
	c, err := config.Resolve(in)
	if err != nil {
		t.Fatal(err)
	}
	if c.KeychainTimeout.Value == 0 {
		c.KeychainTimeout.Value = 5 * time.Second
	}
	return c
}

// broker is one run of a program in this world.
func (w *world) broker(c config.Config) *Broker {
	return &Broker{
		Config: c, Secrets: w, Waker: w, Now: time.Now, SSLRootCert: "/roots.pem",
		Workspace: w,
		Cache:     tokencache.New(tokencache.Options{Store: store{w}, Observer: quietCache{}, Now: time.Now}),
		Logins:    loginproof.New(files{w}, time.Now),
		ReadSecretFile: func(path string) (credential.Secret, error) {
			w.note("file:" + path)
			return credential.NewSecret(secretText), nil
		},
	}
}

func (w *world) ready(t *testing.T, c config.Config) (Session, error) {
	t.Helper()
	return w.broker(c).Ready(t.Context())
}

func unavailable() error {
	return &exchange.Error{Call: exchange.CallDatabaseCredential, Host: "w.example", Kind: exchange.KindUnavailable, Status: 503}
}
