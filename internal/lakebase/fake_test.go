package lakebase

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
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

// fakeWorkspace is a workspace, keychain and database. It records the calls, in order.
// Unused methods of the embedded interfaces panic.
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
	cache  memory
	proofs memory

	fail     map[string]func(ctx context.Context, n int) error // by call; n counts from 1
	endpoint exchange.Resource
	target   string // the one that must be asked for
	user     string
	login    func(ctx context.Context, t pglogin.Target, password string) error
	lists    map[string][]exchange.Resource // by parent
}

func newFake() *fakeWorkspace {
	return &fakeWorkspace{target: endpointID, endpoint: exchange.Resource{Name: endpointID, Host: ownHost}, user: "ada@example.com",
		counts: map[string]int{}, cache: memory{}, proofs: memory{}, fail: map[string]func(context.Context, int) error{}}
}

func (f *fakeWorkspace) record(ctx context.Context, call string) error {
	f.mu.Lock()
	f.calls = append(f.calls, call)
	f.counts[call]++
	n, fail := f.counts[call], f.fail[call]
	f.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail(ctx, n)
}

// took returns the calls since the last time, in order.
func (f *fakeWorkspace) took() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := strings.Join(f.calls, " ")
	f.calls = nil
	return out
}

func (f *fakeWorkspace) Get(ctx context.Context, account string) (credential.Secret, error) {
	if account != "secret:w.example:"+client {
		return credential.Secret{}, fmt.Errorf("unexpected account %s", account)
	}
	return credential.NewSecret(secretText), f.record(ctx, "keychain")
}

func (f *fakeWorkspace) Read(ctx context.Context, account string) (credential.Secret, error) {
	return f.Get(ctx, account)
}

func newToken(text string) credential.Token {
	now := time.Now().UTC()
	return credential.Token{Value: credential.NewSecret(text), MintedAt: now, ExpiresAt: now.Add(time.Hour)}
}

func (f *fakeWorkspace) WorkspaceToken(ctx context.Context, id string, secret credential.Secret) (credential.Token, error) {
	if id != client || secret.IsZero() {
		return credential.Token{}, errors.New("not the client's secret")
	}
	return newToken("bearer"), f.record(ctx, "sign-in")
}

// Token, Refresh and Check are those of a login whose workspace token processes share.
func (f *fakeWorkspace) Token(ctx context.Context) (credential.Token, error) {
	return newToken("bearer"), f.record(ctx, "token")
}

func (f *fakeWorkspace) Refresh(ctx context.Context, _ credential.Secret) (credential.Token, error) {
	return newToken("bearer"), f.record(ctx, "refresh")
}

func (f *fakeWorkspace) Check(context.Context) error { return nil }

// check returns an error unless a call is about the target.
func (f *fakeWorkspace) check(ctx context.Context, call string, bearer credential.Secret, target string) error {
	if bearer.Reveal() != "bearer" || target != f.target {
		return errors.New("not the bearer, or another endpoint")
	}
	return f.record(ctx, call)
}

func (f *fakeWorkspace) DatabaseCredential(ctx context.Context, bearer credential.Secret, name string, _ time.Duration) (credential.Token, error) {
	if err := f.check(ctx, "credential", bearer, name); err != nil {
		return credential.Token{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts["minted"]++
	return newToken(fmt.Sprintf("token-%d", f.counts["minted"])), nil
}

func (f *fakeWorkspace) Endpoint(ctx context.Context, bearer credential.Secret, name string) (exchange.Resource, error) {
	return f.endpoint, f.check(ctx, "endpoint", bearer, name)
}

func (f *fakeWorkspace) Me(ctx context.Context, _ credential.Secret) (exchange.Identity, error) {
	return exchange.Identity{UserName: f.user, ID: "1"}, f.record(ctx, "me")
}

func (f *fakeWorkspace) List(ctx context.Context, _ credential.Secret, parent string) ([]exchange.Resource, error) {
	call := []string{"projects", "branches", "", "endpoints"}[min(len(strings.Split(parent, "/"))-1, 3)]
	return f.lists[parent], f.record(ctx, call)
}

func (f *fakeWorkspace) Login(ctx context.Context, t pglogin.Target, password credential.Secret) error {
	if err := f.record(ctx, "login:"+password.Reveal()); err != nil || f.login == nil {
		return err
	}
	return f.login(ctx, t, password.Reveal())
}

func (f *fakeWorkspace) Note(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notes = append(f.notes, text)
}
func (f *fakeWorkspace) Warn(text string)                    { f.Note("warning: " + text) }
func (f *fakeWorkspace) Stage(s auth.Stage, _ string)        { f.stages = append(f.stages, s) }
func (f *fakeWorkspace) Lock(context.Context, string) func() { return func() {} }
func (f *fakeWorkspace) CacheFailed(store string, err error) { f.Note(store + ": " + err.Error()) }
func (f *fakeWorkspace) CacheWaits()                         {}
func (f *fakeWorkspace) refuse(call string, err error) {
	f.fail[call] = func(context.Context, int) error { return err }
}

// memory is a store of tokens, and of the files of login proofs.
type memory map[string]string

func (m memory) Get(_ context.Context, id string) (credential.Secret, error) {
	text, err := m.ReadFile(id, 0)
	return credential.NewSecret(string(text)), err
}

func (m memory) Set(_ context.Context, id string, item credential.Secret, _ time.Time) error {
	return m.WriteFile(id, []byte(item.Reveal()))
}

func (m memory) Delete(context.Context, ...string) error { return nil }
func (m memory) List(context.Context) ([]string, error)  { return nil, nil }

func (m memory) ReadFile(name string, _ int64) ([]byte, error) {
	text, ok := m[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

func (m memory) WriteFile(name string, data []byte) error {
	m[name] = string(data)
	return nil
}

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
	c.KeychainTimeout.Value = 5 * time.Second
	return c
}

// instance resolves a configuration for an instance; more as in resolve.
func instance(t *testing.T, more ...string) config.Config {
	return resolve(t, append([]string{"LAKEBASE_ENDPOINT", "", "LAKEBASE_INSTANCE", "shop"}, more...)...)
}

// source is a Source of one run of a program.
func (f *fakeWorkspace) source(c config.Config) *Source {
	cache := &tokencache.Cache{Store: f.cache, Observer: f}
	chain := auth.NewChain(c, auth.Deps{Workspace: f, Secrets: f, Process: f, Locks: f, Observer: f})
	return NewSource(c, chain, f, cache, f)
}

func (f *fakeWorkspace) open(ctx context.Context, c config.Config) (Session, error) {
	return Open(ctx, f.source(c), f, Proofs{Files: f.proofs, Now: time.Now}, "/roots.pem")
}
