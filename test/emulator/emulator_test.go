package emulator

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// pgconn reads PG* from the environment; these tests give all they mean.
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "PG") {
			_ = os.Unsetenv(name)
		}
	}
	// A server lingers for half a second after it has closed a connection.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// workspace is an emulator and a client of its API, which trusts the emulator's CA alone
// and follows no redirect.
type workspace struct {
	*Lakebase
	t      *testing.T
	http   *http.Client
	bearer string // sent with calls of the API
}

// begin starts an emulator that ends with the test.
func begin(t *testing.T, o Options) *workspace {
	t.Helper()
	l, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	pem, err := os.ReadFile(l.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &workspace{Lakebase: l, t: t, bearer: l.MintToken(TokenSpec{Kind: WorkspaceToken}),
		http: &http.Client{Transport: transport, Timeout: time.Minute,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// apiOnly starts an emulator without Postgres.
func apiOnly(t *testing.T) *workspace { t.Helper(); return begin(t, Options{NoPostgres: true}) }

// connect logs in through the gateway with verify-full, and leaves again.
func (w *workspace) connect(user, password, database string) error {
	c, err := pgconn.ParseConfig(fmt.Sprintf("host=localhost port=%s dbname=%s sslmode=verify-full sslrootcert=%s connect_timeout=60",
		w.PGPort(), database, w.CAFile()))
	if err != nil {
		return err
	}
	c.User, c.Password = user, password
	conn, err := pgconn.ConnectConfig(w.t.Context(), c)
	if err == nil {
		_ = conn.Close(w.t.Context())
	}
	return err
}

// wantState checks the SQLSTATE and the message of a failed login; code "" means success.
func wantState(t *testing.T, err error, code, message string) {
	t.Helper()
	var pg *pgconn.PgError
	if code == "" && err == nil {
		return
	}
	if !errors.As(err, &pg) || pg.Code != code || !strings.Contains(pg.Message, message) {
		t.Errorf("got %v, want a PostgreSQL error %s %q", err, code, message)
	}
}

type answer struct {
	status int
	header http.Header
	body   map[string]any
	text   string
}

// str returns a field of the body if it is a string.
func (a answer) str(key string) string { s, _ := a.body[key].(string); return s }

// want checks the status, and that the answer holds a text.
func (a answer) want(t *testing.T, name string, status int, text string) {
	t.Helper()
	if message := a.str("message") + a.str("error_description"); a.status != status || !strings.Contains(a.text+message, text) {
		t.Errorf("%s: got %+v, want status %d and %q", name, a, status, text)
	}
}

// send sends a request, with the bearer token unless that is empty.
func (w *workspace) send(method, path, contentType, body, bearer string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.WorkspaceURL()+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := w.http.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, text: string(b)}
	_ = json.Unmarshal(b, &a.body)
	return a
}

// call calls the API with the bearer token.
func (w *workspace) call(method, path, body string) answer {
	w.t.Helper()
	return w.send(method, path, "application/json", body, w.bearer)
}

func (w *workspace) get(path string) answer { w.t.Helper(); return w.call("GET", path, "") }

// as returns the workspace with another bearer token.
func (w *workspace) as(bearer string) *workspace {
	other := *w
	other.bearer = bearer
	return &other
}

const tokenPath = "/oidc/v1/token"

// post sends a form without a client secret.
func (w *workspace) post(url string, form url.Values) answer {
	w.t.Helper()
	return w.send("POST", url, "application/x-www-form-urlencoded", form.Encode(), "")
}

// The reasons to refuse a login that no fact of test/live and no script of test/e2e has.
func TestLogin_Refusals(t *testing.T) {
	t.Parallel()
	l, other := begin(t, Options{}), "eve@example.com"
	if err := l.AddUser(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	const disabled = "projects/shop/branches/dev/endpoints/e"
	if err := l.Put(Resource{Name: disabled, Disabled: true}); err != nil {
		t.Fatal(err)
	}
	good := l.MintToken(TokenSpec{})
	for _, tt := range []struct {
		name, user, password string
		settings             Settings
		code, message        string
	}{
		{name: "the other user", user: other, password: l.MintToken(TokenSpec{Subject: other})},
		{name: "another's token", user: other, password: good, code: "28P01", message: "for user '" + other + "'"},
		{name: "foreign signature", password: l.MintToken(TokenSpec{Foreign: true}), code: "28P01",
			message: "password authentication failed for user '" + l.ClientID + "'"},
		{name: "workspace token of an instance", password: l.bearer, settings: Settings{WorkspacePassword: true}},
		{name: "the same, foreign", password: l.MintToken(TokenSpec{Kind: WorkspaceToken, Foreign: true}),
			settings: Settings{WorkspacePassword: true}, code: "28P01", message: "password authentication failed"},
		{name: "disabled endpoint", password: l.MintToken(TokenSpec{Endpoint: disabled}), code: "XX000", message: UID(disabled) + ": endpoint is disabled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			user := cmp.Or(tt.user, l.ClientID)
			l.Set(func(s *Settings) { *s = tt.settings })
			l.ResetCounters()
			wantState(t, l.connect(user, tt.password, l.Database), tt.code, tt.message)
			logins := l.Logins()
			if len(logins) != 1 || logins[0].User != user || logins[0].SQLState != cmp.Or(tt.code, "00000") ||
				!strings.Contains(logins[0].Result, tt.message) {
				t.Errorf("recorded %+v", logins)
			}
		})
	}
	// With no other endpoint left, the login does not wake the compute.
	if err := errors.Join(l.Put(Resource{Name: Endpoint, Disabled: true}), l.Suspend(t.Context())); err != nil {
		t.Fatal(err)
	}
	l.Set(func(s *Settings) { *s = Settings{} })
	err := l.connect(l.ClientID, good, l.Database)
	if wantState(t, err, "XX000", ": endpoint is disabled"); l.State() != Suspended {
		t.Error("a disabled endpoint woke")
	}
}
