package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

const (
	client     = "client-1"
	ada        = "ada@example.com"
	secretText = "dose-secret-0123456789"
)

// fake is all that strategies use. It records the calls, in order.
type fake struct {
	mu    sync.Mutex
	calls []string
	notes []string

	stored     map[string]string // secrets by account
	storedErr  error
	replaceErr error
	fileErr    error

	signInErr func(n int) error // of the nth sign-in
	signIns   int
	secret    string // the last one that was sent
	refresh   string // the refresh token that is accepted
	rotates   bool   // a refresh returns a new refresh token
	subject   string // the workload token that is accepted
	user      string
	doc       exchange.Discovery
	docErr    error
	code      exchange.Grant
	codeErr   error

	gitHubErr error
	toolOut   string
	toolErr   error
}

func newFake() *fake {
	return &fake{stored: map[string]string{}, refresh: "refresh-0", subject: "workload", user: ada}
}

func (f *fake) record(call string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
}

// took returns the calls since the last time, in order.
func (f *fake) took() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := strings.Join(f.calls, " ")
	f.calls = nil
	return out
}

type errMissing struct{}

func (errMissing) Error() string { return "no such item" }

func (f *fake) Get(_ context.Context, account string) (credential.Secret, error) {
	f.record("get")
	return f.lookUp(account)
}

func (f *fake) Read(_ context.Context, account string) (credential.Secret, error) {
	f.record("read")
	return f.lookUp(account)
}

func (f *fake) lookUp(account string) (credential.Secret, error) {
	text, ok := f.stored[account]
	switch {
	case f.storedErr != nil:
		return credential.Secret{}, f.storedErr
	case !ok:
		return credential.Secret{}, errMissing{}
	}
	return credential.NewSecret(text), nil
}

func (f *fake) Replace(_ context.Context, account string, s credential.Secret) error {
	f.record("replace")
	if f.replaceErr == nil {
		f.stored[account] = s.Reveal()
	}
	return f.replaceErr
}

func (f *fake) Accounts(context.Context) ([]string, error) {
	return slices.Sorted(maps.Keys(f.stored)), f.storedErr
}

func (f *fake) ReadSecretFile(path string) (credential.Secret, error) {
	f.record("file:" + path)
	return credential.NewSecret(secretText), f.fileErr
}

func (f *fake) RunTool(_ context.Context, argv ...string) ([]byte, error) {
	f.record(strings.Join(argv, "_"))
	return []byte(f.toolOut), f.toolErr
}

func (f *fake) GitHubToken(_ context.Context, _ config.GitHubSource, audience string) (credential.Secret, error) {
	f.record("github:" + audience)
	err := f.gitHubErr
	f.gitHubErr = nil
	return credential.NewSecret(f.subject), err
}

func (f *fake) Lock(_ context.Context, name string) func() {
	f.record("lock")
	return func() {}
}

func (f *fake) Stage(Stage, string) {}
func (f *fake) Note(text string)    { f.notes = append(f.notes, text) }
func (f *fake) Warn(text string)    { f.notes = append(f.notes, "warning: "+text) }

func newToken(text string) credential.Token {
	now := time.Now().UTC()
	return credential.Token{Value: credential.NewSecret(text), MintedAt: now, ExpiresAt: now.Add(time.Hour)}
}

func (f *fake) WorkspaceToken(_ context.Context, id string, secret credential.Secret) (credential.Token, error) {
	f.record("sign-in")
	f.signIns++
	f.secret = secret.Reveal()
	if id != client || secret.IsZero() {
		return credential.Token{}, errors.New("not the client's secret")
	}
	if f.signInErr != nil {
		return newToken("bearer"), f.signInErr(f.signIns)
	}
	return newToken("bearer"), nil
}

func refusal(call exchange.Call, kind exchange.Kind) error {
	return &exchange.Error{Call: call, Host: "w.example", Kind: kind, Status: 401, Code: "invalid_grant"}
}

func (f *fake) RefreshedToken(_ context.Context, refresh credential.Secret) (exchange.Grant, error) {
	f.record("refresh")
	if refresh.Reveal() != f.refresh {
		return exchange.Grant{}, refusal(exchange.CallRefresh, exchange.KindRefreshRefused)
	}
	g := exchange.Grant{Token: newToken("bearer")}
	if f.rotates {
		f.refresh = fmt.Sprintf("refresh-%s", f.refresh)
		g.Refresh = credential.NewSecret(f.refresh)
	}
	return g, nil
}

func (f *fake) FederatedToken(_ context.Context, id string, subject credential.Secret) (credential.Token, error) {
	f.record("federation")
	if id != client || subject.Reveal() != f.subject {
		return credential.Token{}, refusal("federation", exchange.KindFederationRefused)
	}
	return newToken("bearer"), nil
}

func (f *fake) Discover(context.Context) (exchange.Discovery, error) {
	f.record("discover")
	return f.doc, f.docErr
}

func (f *fake) Audience(d exchange.Discovery) (string, error) {
	return "audience-of-" + d.AccountID, nil
}

func (f *fake) AuthorizeURL(state, challenge, redirectURI string) string {
	return "https://w.example/authorize?" + state + "&" + challenge + "&" + redirectURI
}

func (f *fake) CodeToken(_ context.Context, code, verifier credential.Secret, _ string) (exchange.Grant, error) {
	f.record("code:" + code.Reveal())
	return f.code, f.codeErr
}

func (f *fake) Me(_ context.Context, bearer credential.Secret) (exchange.Identity, error) {
	f.record("me")
	return exchange.Identity{UserName: f.user, ID: "1"}, nil
}

// resolve returns a configuration for client at w.example from options and
// environment: name, value pairs, where names in capitals are variables.
func resolve(t *testing.T, more ...string) config.Config {
	t.Helper()
	in := config.Input{Options: map[string][]string{}, Environ: map[string]string{"DATABRICKS_HOST": "w.example", "DATABRICKS_CLIENT_ID": client}, Dir: "/", NoEndpoint: true}
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

// resolveUser is resolve without a client ID.
func resolveUser(t *testing.T, more ...string) config.Config {
	t.Helper()
	return resolve(t, append([]string{"DATABRICKS_CLIENT_ID", ""}, more...)...)
}

func (f *fake) chain(c config.Config) *Chain {
	return NewChain(c, Deps{Workspace: f, Secrets: f, Process: f, Locks: f, Observer: f})
}

// token signs in through chain.
func token(t *testing.T, chain *Chain) (id Identity, err error) {
	t.Helper()
	err = chain.Do(t.Context(), func(s Source, configured Identity) error {
		id = configured
		_, err := s.Token(t.Context())
		return err
	})
	return id, err
}

// refreshed refreshes through chain.
func refreshed(t *testing.T, chain *Chain) error {
	t.Helper()
	return chain.Do(t.Context(), func(s Source, _ Identity) error {
		_, err := s.Refresh(t.Context(), credential.NewSecret("bearer"))
		return err
	})
}

// login stores a refresh token for users.
func (f *fake) login(users ...string) *fake {
	for _, u := range users {
		f.stored[config.RefreshAccount("w.example", u)] = "refresh-0"
	}
	return f
}
