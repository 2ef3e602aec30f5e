package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
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
	calls  []string
	counts map[string]int
	notes  []string

	fail    map[string]func(ctx context.Context, n int) error // by call; n counts from 1
	stored  map[string]string                                 // secrets by account
	secret  string                                            // the last one that was sent
	refresh string                                            // the refresh token that is accepted
	rotates bool                                              // a refresh returns a new refresh token
	subject string                                            // the workload token that is accepted
	user    string
	doc     exchange.Discovery
	code    exchange.Grant
	toolOut string
}

func newFake() *fake {
	return &fake{stored: map[string]string{}, refresh: "refresh-0", subject: "workload", user: ada,
		counts: map[string]int{}, fail: map[string]func(context.Context, int) error{}}
}

// withSecret has the client's secret stored.
func withSecret() *fake {
	f := newFake()
	f.stored[config.SecretAccount("w.example", client)] = secretText
	return f
}

// login stores a refresh token for users.
func (f *fake) login(users ...string) *fake {
	for _, u := range users {
		f.stored[config.RefreshAccount("w.example", u)] = "refresh-0"
	}
	return f
}

// call records a call. Its name ends before a colon, or at the first space.
func (f *fake) call(ctx context.Context, call string) error {
	f.calls = append(f.calls, call)
	name, _, _ := strings.Cut(call, ":")
	f.counts[name]++
	if fail := f.fail[name]; fail != nil {
		return fail(ctx, f.counts[name])
	}
	return nil
}

// refuse has all later calls fail.
func (f *fake) refuse(call string, err error) {
	f.fail[call] = func(context.Context, int) error { return err }
}

// took returns the calls since the last time, in order.
func (f *fake) took() string {
	out := strings.Join(f.calls, " ")
	f.calls = nil
	return out
}

func (f *fake) read(ctx context.Context, call, account string) (credential.Secret, error) {
	text, ok := f.stored[account]
	err := f.call(ctx, call)
	if err == nil && !ok {
		err = errors.New("no such item")
	}
	return credential.NewSecret(text), err
}

func (f *fake) Get(ctx context.Context, account string) (credential.Secret, error) {
	return f.read(ctx, "get", account)
}

func (f *fake) Read(ctx context.Context, account string) (credential.Secret, error) {
	return f.read(ctx, "read", account)
}

func (f *fake) Replace(ctx context.Context, account string, s credential.Secret) error {
	err := f.call(ctx, "replace")
	if err == nil {
		f.stored[account] = s.Reveal()
	}
	return err
}

func (f *fake) Accounts(ctx context.Context) ([]string, error) {
	if fail := f.fail["accounts"]; fail != nil {
		return nil, fail(ctx, 1)
	}
	return slices.Sorted(maps.Keys(f.stored)), nil
}

func (f *fake) ReadSecretFile(path string, _ bool) (credential.Secret, error) {
	return credential.NewSecret(secretText), f.call(context.Background(), "file:"+filepath.ToSlash(path))
}

func (f *fake) RunTool(ctx context.Context, argv ...string) ([]byte, error) {
	return []byte(f.toolOut), f.call(ctx, "tool:"+strings.Join(argv, "_"))
}

func (f *fake) GitHubToken(ctx context.Context, _ string, _ credential.Secret, audience string) (credential.Secret, error) {
	return credential.NewSecret(f.subject), f.call(ctx, "github:"+audience)
}

func (f *fake) Lock(ctx context.Context, _ string) func() { _ = f.call(ctx, "lock"); return func() {} }
func (f *fake) Stage(Stage, string)                       {}
func (f *fake) Note(text string)                          { f.notes = append(f.notes, text) }
func (f *fake) Warn(text string)                          { f.Note("warning: " + text) }

func newToken(text string) credential.Token {
	now := time.Now().UTC()
	return credential.Token{Value: credential.NewSecret(text), MintedAt: now, ExpiresAt: now.Add(time.Hour)}
}

func (f *fake) WorkspaceToken(ctx context.Context, id string, secret credential.Secret) (credential.Token, error) {
	f.secret = secret.Reveal()
	if id != client || secret.IsZero() {
		return credential.Token{}, errors.New("not the client's secret")
	}
	return newToken("bearer"), f.call(ctx, "sign-in")
}

func refusal(call exchange.Call, kind exchange.Kind) error {
	return &exchange.Error{Call: call, Host: "w.example", Kind: kind, Status: 401, Code: "invalid_grant"}
}

func (f *fake) RefreshedToken(ctx context.Context, refresh credential.Secret) (exchange.Grant, error) {
	if err := f.call(ctx, "refresh"); err != nil || refresh.Reveal() != f.refresh {
		return exchange.Grant{}, cmp.Or(err, refusal(exchange.CallRefresh, exchange.KindRefreshRefused))
	}
	g := exchange.Grant{Token: newToken("bearer")}
	if f.rotates {
		f.refresh = fmt.Sprintf("refresh-%s", f.refresh)
		g.Refresh = credential.NewSecret(f.refresh)
	}
	return g, nil
}

func (f *fake) FederatedToken(ctx context.Context, id string, subject credential.Secret) (credential.Token, error) {
	if err := f.call(ctx, "federation"); err != nil || id != client || subject.Reveal() != f.subject {
		return credential.Token{}, cmp.Or(err, refusal(exchange.CallFederation, exchange.KindFederationRefused))
	}
	return newToken("bearer"), nil
}

func (f *fake) Discover(ctx context.Context) (exchange.Discovery, error) {
	return f.doc, f.call(ctx, "discover")
}

func (f *fake) Audience(d exchange.Discovery) (string, error) {
	return "audience-of-" + d.AccountID, nil
}

func (f *fake) AuthorizeURL(state, challenge, redirectURI string) string {
	return "https://w.example/authorize?" + state + "&" + challenge + "&" + redirectURI
}

func (f *fake) CodeToken(ctx context.Context, code, verifier credential.Secret, _ string) (exchange.Grant, error) {
	return f.code, f.call(ctx, "code:"+code.Reveal())
}

func (f *fake) Me(ctx context.Context, _ credential.Secret) (exchange.Identity, error) {
	return exchange.Identity{UserName: f.user, ID: "1"}, f.call(ctx, "me")
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

// job is resolve in a job of GitHub Actions, at a Databricks host.
func job(t *testing.T, more ...string) config.Config {
	t.Helper()
	return resolve(t, append([]string{"DATABRICKS_HOST", "https://dbc-1.cloud.databricks.com",
		"ACTIONS_ID_TOKEN_REQUEST_URL", "https://github.example/token?x=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request"}, more...)...)
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
func refreshed(ctx context.Context, chain *Chain) error {
	return chain.Do(ctx, func(s Source, _ Identity) error {
		_, err := s.Refresh(ctx, credential.NewSecret("bearer"))
		return err
	})
}

// check calls Check through chain.
func check(t *testing.T, chain *Chain) error {
	return chain.Do(t.Context(), func(s Source, _ Identity) error { return s.Check(t.Context()) })
}
