package lakebase

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
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

// fakeWorkspace is a workspace, keychain, database and cache. It records the calls,
// in order. Unused methods of the embedded interfaces panic.
type fakeWorkspace struct {
	auth.Workspace
	auth.Secrets
	auth.Process
	API

	mu     sync.Mutex
	calls  []string
	counts map[string]int
	notes  []string // and warnings
	stages []auth.Stage
	minted int
	items  map[string]string // of the cache
	files  map[string]string // of the login proofs

	secretErr error
	signIn    func(n int) error // for the nth call of its kind
	credError func(ctx context.Context, n int) error
	endError  func(ctx context.Context, n int) error
	endpoint  exchange.Endpoint
	target    string // the one that must be asked for
	user      string
	login     func(ctx context.Context, t pglogin.Target, password string) error
	branches  map[string][]exchange.Branch   // by project
	endpoints map[string][]exchange.Endpoint // by branch
}

func newFake() *fakeWorkspace {
	return &fakeWorkspace{target: endpointID, endpoint: exchange.Endpoint{Name: endpointID, Host: ownHost}, user: "ada@example.com",
		counts: map[string]int{}, items: map[string]string{}, files: map[string]string{}}
}

func (f *fakeWorkspace) record(call string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
	f.counts[call]++
	return f.counts[call]
}

// took returns the calls since the last time, in order.
func (f *fakeWorkspace) took() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := strings.Join(f.calls, " ")
	f.calls = nil
	return out
}

func (f *fakeWorkspace) Get(_ context.Context, account string) (credential.Secret, error) {
	f.record("keychain")
	if account != "secret:w.example:"+client {
		return credential.Secret{}, fmt.Errorf("unexpected account %s", account)
	}
	return credential.NewSecret(secretText), f.secretErr
}

func (f *fakeWorkspace) Read(ctx context.Context, account string) (credential.Secret, error) {
	return f.Get(ctx, account)
}

func newToken(text string) credential.Token {
	now := time.Now().UTC()
	return credential.Token{Value: credential.NewSecret(text), MintedAt: now, ExpiresAt: now.Add(time.Hour)}
}

func (f *fakeWorkspace) WorkspaceToken(ctx context.Context, id string, secret credential.Secret) (credential.Token, error) {
	n := f.record("sign-in")
	if id != client || secret.IsZero() {
		return credential.Token{}, errors.New("not the client's secret")
	}
	if f.signIn != nil {
		if err := f.signIn(n); err != nil {
			return credential.Token{}, err
		}
	}
	return newToken("bearer"), ctx.Err()
}

func (f *fakeWorkspace) DatabaseCredential(ctx context.Context, bearer credential.Secret, name string, _ time.Duration) (credential.Token, error) {
	n := f.record("credential")
	if bearer.Reveal() != "bearer" || name != f.target {
		return credential.Token{}, errors.New("not the bearer, or another endpoint")
	}
	if f.credError != nil {
		if err := f.credError(ctx, n); err != nil {
			return credential.Token{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.minted++
	return newToken(fmt.Sprintf("token-%d", f.minted)), nil
}

func (f *fakeWorkspace) Endpoint(ctx context.Context, bearer credential.Secret, name string) (exchange.Endpoint, error) {
	n := f.record("endpoint")
	if bearer.Reveal() != "bearer" || name != f.target {
		return exchange.Endpoint{}, errors.New("not the bearer, or another endpoint")
	}
	if f.endError != nil {
		if err := f.endError(ctx, n); err != nil {
			return exchange.Endpoint{}, err
		}
	}
	return f.endpoint, nil
}

func (f *fakeWorkspace) Me(context.Context, credential.Secret) (exchange.Identity, error) {
	f.record("me")
	return exchange.Identity{UserName: f.user, ID: "1"}, nil
}

func (f *fakeWorkspace) Projects(context.Context, credential.Secret) (out []exchange.Project, err error) {
	f.record("projects")
	for name := range f.branches {
		out = append(out, exchange.Project{Name: name})
	}
	return out, nil
}

func (f *fakeWorkspace) Branches(_ context.Context, _ credential.Secret, project string) ([]exchange.Branch, error) {
	f.record("branches")
	return f.branches[project], nil
}

func (f *fakeWorkspace) Endpoints(_ context.Context, _ credential.Secret, branch string) ([]exchange.Endpoint, error) {
	f.record("endpoints")
	return f.endpoints[branch], nil
}

func (f *fakeWorkspace) Login(ctx context.Context, t pglogin.Target, password credential.Secret) error {
	f.record("login:" + password.Reveal())
	if f.login != nil {
		return f.login(ctx, t, password.Reveal())
	}
	return nil
}

func (f *fakeWorkspace) Note(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notes = append(f.notes, text)
}
func (f *fakeWorkspace) Warn(text string) { f.Note("warning: " + text) }
func (f *fakeWorkspace) Stage(s auth.Stage, _ string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stages = append(f.stages, s)
}

func (f *fakeWorkspace) Lock(context.Context, string) func() { return func() {} }

type errMissing struct{}

func (errMissing) Error() string { return "no such item" }
func (errMissing) Missing() bool { return true }

// store is the cache's store, and files are those of the login proofs.
type store struct{ f *fakeWorkspace }

func (s store) Get(_ context.Context, id string) (credential.Secret, error) {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	text, ok := s.f.items[id]
	if !ok {
		return credential.Secret{}, errMissing{}
	}
	return credential.NewSecret(text), nil
}

func (s store) Set(_ context.Context, id string, item credential.Secret, _ time.Time) error {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	s.f.items[id] = item.Reveal()
	return nil
}

func (s store) Delete(context.Context, ...string) error { return nil }
func (s store) List(context.Context) ([]string, error)  { return nil, nil }

type files struct{ f *fakeWorkspace }

func (s files) ReadFile(name string, _ int64) ([]byte, error) {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	text, ok := s.f.files[name]
	if !ok {
		return nil, errMissing{}
	}
	return []byte(text), nil
}

func (s files) WriteFile(name string, data []byte) error {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	s.f.files[name] = string(data)
	return nil
}

type noCacheEvents struct{}

func (noCacheEvents) CacheFailed(string, error) {}
func (noCacheEvents) CacheWaits()               {}

// resolve returns a configuration from options and environment: name, value pairs,
// where names in capitals are variables.
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
	c, err := config.Resolve(in)
	if err != nil {
		t.Fatal(err)
	}
	if c.KeychainTimeout.Value == 0 {
		c.KeychainTimeout.Value = 5 * time.Second
	}
	return c
}

// source is a Source of one run of a program.
func (f *fakeWorkspace) source(c config.Config) *Source {
	cache := tokencache.New(tokencache.Options{Store: store{f}, Observer: noCacheEvents{}, Now: time.Now})
	chain := auth.NewChain(c, auth.Deps{Workspace: f, Secrets: f, Process: f, Locks: f, Observer: f})
	return NewSource(c, chain, f, cache, f)
}

func (f *fakeWorkspace) open(ctx context.Context, c config.Config) (Session, error) {
	return Open(ctx, f.source(c), f, loginproof.New(files{f}, time.Now), "/roots.pem")
}

func unavailable() error {
	return &exchange.Error{Call: exchange.CallDatabaseCredential, Host: "w.example", Kind: exchange.KindUnavailable, Status: 503}
}
