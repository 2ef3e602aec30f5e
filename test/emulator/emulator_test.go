package emulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"crypto/tls"
	"crypto/x509"

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

// begin starts an emulator that ends with the test.
func begin(t *testing.T, o Options) *Lakebase {
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
	return l
}

// connect logs in through the gateway with verify-full.
func connect(ctx context.Context, l *Lakebase, user, password, database string) (*pgconn.PgConn, error) {
	c, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%s dbname=%s sslmode=verify-full sslrootcert=%s application_name=unit connect_timeout=60",
		l.PGHost(), l.PGPort(), database, l.CAFile()))
	if err != nil {
		return nil, err
	}
	c.User, c.Password = user, password
	return pgconn.ConnectConfig(ctx, c)
}

func mustConnect(t *testing.T, l *Lakebase) *pgconn.PgConn {
	t.Helper()
	c, err := connect(t.Context(), l, l.ClientID, mint(t, l, TokenSpec{}), l.Database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNow(c) })
	return c
}

func closeNow(c *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Close(ctx)
}

func mint(t *testing.T, l *Lakebase, spec TokenSpec) string {
	t.Helper()
	token, err := l.MintToken(spec)
	if err != nil {
		t.Fatal(err)
	}
	return token
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

// waitFor waits until done returns true; it fails after a time that nothing takes.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waiting for %s", what)
		}
	}
}

// workspace is an emulator and a client of its API, which trusts the emulator's CA alone
// and follows no redirect.
type workspace struct {
	*Lakebase
	t      *testing.T
	http   *http.Client
	bearer string // sent with calls of the API
}

// newWorkspace starts an emulator.
func newWorkspace(t *testing.T, o Options) *workspace {
	t.Helper()
	l := begin(t, o)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots(t, l)}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	w := &workspace{Lakebase: l, t: t, bearer: mint(t, l, TokenSpec{Kind: WorkspaceToken}),
		http: &http.Client{Transport: transport, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	return w
}

// apiOnly starts an emulator without Postgres.
func apiOnly(t *testing.T) *workspace { return newWorkspace(t, Options{NoPostgres: true}) }

func roots(t *testing.T, l *Lakebase) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(l.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return pool
}

type answer struct {
	status int
	header http.Header
	body   map[string]any
	text   string
}

// str returns a field of the body if it is a string.
func (a answer) str(key string) string {
	s, _ := a.body[key].(string)
	return s
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

// post sends a form without a client secret.
func (w *workspace) post(url string, form url.Values) answer {
	w.t.Helper()
	return w.must(w.try("POST", url, "application/x-www-form-urlencoded", form.Encode(), func(*http.Request) {}))
}

const tokenPath = "/oidc/v1/token"

// tryToken asks for a workspace token with a client secret.
func (w *workspace) tryToken(id, secret string) (answer, error) {
	w.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"all-apis"}}
	return w.try("POST", tokenPath, "application/x-www-form-urlencoded", form.Encode(), func(r *http.Request) { r.SetBasicAuth(id, secret) })
}

func (w *workspace) token(id, secret string) answer {
	w.t.Helper()
	return w.must(w.tryToken(id, secret))
}

const credentialsPath = "/api/2.0/postgres/credentials"

// The whole flow of the guide: secret, workspace token, database token, login.
func TestGuide(t *testing.T) {
	l := newWorkspace(t, Options{})
	a := l.token(l.ClientID, l.ClientSecret)
	if a.status != 200 || a.body["expires_in"] != 3600.0 || a.body["token_type"] != "Bearer" {
		t.Fatalf("token: got %+v", a)
	}
	bearer := a.str("access_token")
	a = l.as(bearer).call("POST", credentialsPath, `{"endpoint":"`+l.Endpoint+`"}`)
	if a.status != 200 {
		t.Fatalf("credentials: got %+v", a)
	}
	token := a.str("token")
	for name, s := range map[string]string{"workspace": bearer, "database": token} {
		if len(s) < 800 || len(s) > 1200 {
			t.Errorf("%s token has %d bytes, want 800 to 1200 as a real one", name, len(s))
		}
	}
	at, err := time.Parse(time.RFC3339Nano, a.body["expire_time"].(string))
	if left := time.Until(at); err != nil || left < 59*time.Minute || left > time.Hour {
		t.Errorf("expire_time %v: %v left, %v", a.body["expire_time"], left, err)
	}
	pg, err := connect(t.Context(), l.Lakebase, l.ClientID, token, l.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(pg)
	got, err := ask(pg, "SELECT current_user, current_database(), current_setting('application_name')")
	if want := l.ClientID + "|databricks_postgres|unit"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if _, err := ask(pg, "CREATE TABLE t AS SELECT generate_series(1, 100000) AS n; CREATE SCHEMA s; SELECT count(*) FROM t"); err != nil {
		t.Error(err)
	}
	rows, err := l.SQL(t.Context(), "SELECT count(*), NULL FROM t")
	if err != nil || len(rows) != 1 || rows[0][0] != "100000" || rows[0][1] != "" {
		t.Errorf("SQL: %v %v", rows, err)
	}
	if n := l.Counters(); n.Requests != 2 || n.ByCall[CallToken] != 1 || n.ByCall[CallCredentials] != 1 || n.Connections != 1 || n.Handshakes != 1 || n.Logins != 1 || n.LoginsOK != 1 {
		t.Errorf("counters %+v", n)
	}
	if q := l.Requests(); q[0].Proto != "HTTP/2.0" || q[1].Status != 200 {
		t.Errorf("requests %+v", q)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	l := begin(t, Options{})
	held := mustConnect(t, l)
	pid := l.compute.server.proc.Pid
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(held, "SELECT 1"); err == nil {
		t.Error("a connection outlived Close")
	}
	if _, err := os.Stat(l.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder is left: %v", err)
	}
	if p, err := os.FindProcess(pid); err == nil && p.Signal(syscall.Signal(0)) == nil {
		t.Errorf("postgres %d is left", pid)
	}
	for _, addr := range []string{"localhost:" + l.PGPort(), strings.TrimPrefix(l.WorkspaceURL(), "https://")} {
		if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			c.Close()
			t.Errorf("%s still listens", addr)
		}
	}
}

func TestTwoAtOnce(t *testing.T) {
	a, b := begin(t, Options{}), begin(t, Options{})
	if a.ClientID == b.ClientID || a.ClientSecret == b.ClientSecret || a.PGPort() == b.PGPort() {
		t.Error("two emulators share what each must have for itself")
	}
	if _, err := ask(mustConnect(t, a), "CREATE TABLE only_a (n int)"); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(mustConnect(t, b), "SELECT * FROM only_a"); err == nil {
		t.Error("b sees a's table")
	}
	_, err := connect(t.Context(), b, a.ClientID, mint(t, a, TokenSpec{}), b.Database)
	wantState(t, err, "28P01", "password authentication failed for user '"+a.ClientID+"'")
}

func wantState(t *testing.T, err error, code, message string) {
	t.Helper()
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		t.Errorf("got %v, want a PostgreSQL error %s", err, code)
		return
	}
	if pg.Code != code || !strings.Contains(pg.Message, message) {
		t.Errorf("got %s %s %q, want %s %q", pg.Severity, pg.Code, pg.Message, code, message)
	}
}
