package emulator

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

// connect logs in through the gateway with verify-full.
func (w *workspace) connect(ctx context.Context, user, password, database string) (*pgconn.PgConn, error) {
	c, err := pgconn.ParseConfig(fmt.Sprintf("host=localhost port=%s dbname=%s sslmode=verify-full sslrootcert=%s application_name=unit connect_timeout=60",
		w.PGPort(), database, w.CAFile()))
	if err != nil {
		return nil, err
	}
	c.User, c.Password = user, password
	conn, err := pgconn.ConnectConfig(ctx, c)
	if err == nil {
		w.t.Cleanup(func() { closeNow(conn) })
	}
	return conn, err
}

// login is connect with a right token.
func (w *workspace) login() (*pgconn.PgConn, error) {
	return w.connect(w.t.Context(), w.ClientID, w.MintToken(TokenSpec{}), w.Database)
}

func (w *workspace) mustLogin() *pgconn.PgConn {
	w.t.Helper()
	c, err := w.login()
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func closeNow(c *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Close(ctx)
}

func ask(c *pgconn.PgConn, query string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	res, err := c.Exec(ctx, query).ReadAll()
	if err != nil || len(res) == 0 || len(res[0].Rows) == 0 {
		return "", err
	}
	var cells []string
	for _, v := range res[0].Rows[0] {
		cells = append(cells, string(v))
	}
	return strings.Join(cells, "|"), nil
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

// waitFor waits until done returns true; it fails after a time that nothing takes.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waiting for %s", what)
		}
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

// try sends a request; url may be a path.
func (w *workspace) try(method, url, contentType, body string, set func(*http.Request)) (answer, error) {
	w.t.Helper()
	if strings.HasPrefix(url, "/") {
		url = w.WorkspaceURL() + url
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	set(r)
	resp, err := w.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	a := answer{status: resp.StatusCode, header: resp.Header, text: string(b)}
	_ = json.Unmarshal(b, &a.body)
	return a, err
}

func (w *workspace) must(a answer, err error) answer {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// call calls the API with the bearer token.
func (w *workspace) call(method, path, body string) answer {
	w.t.Helper()
	return w.must(w.try(method, path, "application/json", body, func(r *http.Request) {
		if w.bearer != "" {
			r.Header.Set("Authorization", "Bearer "+w.bearer)
		}
	}))
}

func (w *workspace) get(path string) answer { w.t.Helper(); return w.call("GET", path, "") }

// as returns the workspace with another bearer token.
func (w *workspace) as(bearer string) *workspace {
	other := *w
	other.bearer = bearer
	return &other
}

const formType = "application/x-www-form-urlencoded"

// post sends a form without a client secret.
func (w *workspace) post(url string, form url.Values) answer {
	w.t.Helper()
	return w.must(w.try("POST", url, formType, form.Encode(), func(*http.Request) {}))
}

const (
	tokenPath       = "/oidc/v1/token"
	credentialsPath = "/api/2.0/postgres/credentials"
	mePath          = "/api/2.0/preview/scim/v2/Me"
)

// tryToken asks for a workspace token with a client secret.
func (w *workspace) tryToken(id, secret string) (answer, error) {
	w.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"all-apis"}}
	return w.try("POST", tokenPath, formType, form.Encode(), func(r *http.Request) { r.SetBasicAuth(id, secret) })
}

func (w *workspace) token(id, secret string) answer {
	w.t.Helper()
	return w.must(w.tryToken(id, secret))
}
