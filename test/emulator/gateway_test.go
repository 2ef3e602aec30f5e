//go:build unix

package emulator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// The whole flow of the guide: secret, workspace token, database token, login. Close
// leaves nothing.
func TestGuide(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	a := l.token(l.ClientID, l.ClientSecret)
	bearer := a.str("access_token")
	if a.status != 200 || a.body["expires_in"] != 3600.0 || a.body["token_type"] != "Bearer" {
		t.Fatalf("token: got %+v", a)
	}
	a = l.as(bearer).call("POST", credentialsPath, `{"endpoint":"`+l.Endpoint+`"}`)
	token := a.str("token")
	at, err := time.Parse(time.RFC3339Nano, a.str("expire_time"))
	if left := time.Until(at); err != nil || left < 55*time.Minute || left > time.Hour {
		t.Errorf("expire_time: %v left, %v", left, err)
	}
	for name, s := range map[string]string{"workspace": bearer, "database": token} {
		if len(s) < 700 || len(s) > 1200 {
			t.Errorf("%s token has %d bytes, want 700 to 1200 as a real one", name, len(s))
		}
	}
	pg, err := l.connect(t.Context(), l.ClientID, token, l.Database)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ask(pg, "SELECT current_user, current_database(), current_setting('application_name')")
	if want := l.ClientID + "|databricks_postgres|unit"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if n := l.Counters(); n.Requests != 2 || n.ByCall[CallToken] != 1 || n.ByCall[CallCredentials] != 1 || n.Connections != 1 ||
		n.Logins != 1 || n.LoginsOK != 1 {
		t.Errorf("got counters %+v", n)
	}
	if q := l.Requests(); q[0].Proto != "HTTP/2.0" || q[1].Status != 200 {
		t.Errorf("got requests %+v", q)
	}
	// A token's expiry counts at the login only.
	l.Set(func(s *Settings) { s.ClockSkew = 2 * time.Hour })
	_, err = l.connect(t.Context(), l.ClientID, token, l.Database)
	wantState(t, err, "XX000", "JWT token has expired (exp=")
	if got, err := ask(pg, "SELECT 1"); err != nil || got != "1" {
		t.Errorf("the open connection: got %q, %v", got, err)
	}

	pid := l.compute.server.proc.Pid
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(pg, "SELECT 1"); err == nil {
		t.Error("a connection outlived Close")
	}
	if _, err := os.Stat(l.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is left: %v", err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("postgres %d is left: %v", pid, err)
	}
}

// Every reason to refuse a login, and its message.
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
		name, user, password, database string
		set                            func(*Settings)
		code, message                  string
	}{
		{name: "no JWT", password: "hunter2", code: "XX000", message: "Provided authentication token is not a valid JWT encoding"},
		{name: "expired", password: l.MintToken(TokenSpec{Life: -time.Minute}), code: "XX000", message: "JWT token has expired (exp="},
		{name: "expired, other message", password: l.MintToken(TokenSpec{Life: -time.Minute}),
			set: func(s *Settings) { s.PlainExpiredText = true }, code: "XX000", message: "Invalid authorization"},
		{name: "foreign signature", password: l.MintToken(TokenSpec{Foreign: true}), code: "28P01",
			message: "password authentication failed for user '" + l.ClientID + "'"},
		{name: "workspace token", password: l.bearer, code: "28P01", message: "password authentication failed"},
		{name: "another's token", user: other, password: good, code: "28P01", message: "for user '" + other + "'"},
		{name: "role missing by setting", password: good, set: func(s *Settings) { s.RoleMissing = true }, code: "28000",
			message: `role "` + l.ClientID + `" does not exist`},
		{name: "no database", password: good, database: "nowhere", code: "3D000", message: `database "nowhere" does not exist`},
		{name: "disabled", password: good, set: func(s *Settings) { s.EndpointDisabled = true }, code: "XX000",
			message: UID(Endpoint) + ": endpoint is disabled"},
		{name: "disabled endpoint", password: l.MintToken(TokenSpec{Endpoint: disabled}), code: "XX000",
			message: UID(disabled) + ": endpoint is disabled"},
		{name: "address", password: good, set: func(s *Settings) { s.IPNotAllowed = true }, code: "XX000",
			message: "This IP address 127.0.0.1 is not allowed"},
		{name: "the other user", user: other, password: l.MintToken(TokenSpec{Subject: other})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.set != nil {
				l.Set(tt.set)
				defer l.Set(func(s *Settings) { *s = Settings{} })
			}
			user := orDefault(tt.user, l.ClientID)
			l.ResetCounters()
			_, err := l.connect(t.Context(), user, tt.password, orDefault(tt.database, l.Database))
			wantState(t, err, tt.code, tt.message)
			logins := l.Logins()
			if len(logins) != 1 || logins[0].User != user || logins[0].SQLState != orDefault(tt.code, "00000") ||
				!strings.Contains(logins[0].Result, tt.message) {
				t.Errorf("recorded %+v", logins)
			}
		})
	}
	// With no other endpoint left, the login does not wake the compute.
	if err := errors.Join(l.Put(Resource{Name: Endpoint, Disabled: true}), l.Suspend(t.Context())); err != nil {
		t.Fatal(err)
	}
	_, err := l.connect(t.Context(), l.ClientID, good, l.Database)
	if wantState(t, err, "XX000", ": endpoint is disabled"); l.State() != Suspended {
		t.Error("a disabled endpoint woke")
	}
}

// startTLS sends a request for TLS and returns the answer.
func startTLS(t *testing.T, l *workspace, request pgproto3.FrontendMessage) (net.Conn, string) {
	t.Helper()
	c, err := net.Dial("tcp", "127.0.0.1:"+l.PGPort())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	packet, err := request.Encode(nil)
	if err == nil {
		_, err = c.Write(packet)
	}
	got := make([]byte, 1)
	if _, err2 := io.ReadFull(c, got); err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return c, string(got)
}

// A login without TLS is refused, GSS encryption is declined, and a client of protocol
// 3.2 with options is negotiated down to 3.0.
func TestLogin_Protocol(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	_, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=localhost port=%s user=%s dbname=%s sslmode=disable", l.PGPort(), l.ClientID, l.Database))
	wantState(t, err, "08P01", "Invalid protocol version. Protocol version: 196608")
	if _, got := startTLS(t, l, &pgproto3.GSSEncRequest{}); got != "N" {
		t.Errorf("GSS encryption: got %q, want N", got)
	}
	raw, got := startTLS(t, l, &pgproto3.SSLRequest{})
	if got != "S" {
		t.Fatalf("SSLRequest: got %q", got)
	}
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	f := pgproto3.NewFrontend(c, c)
	f.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion32,
		Parameters: map[string]string{"user": l.ClientID, "database": l.Database, "_pq_.grease": "1"}})
	for _, want := range []pgproto3.BackendMessage{&pgproto3.NegotiateProtocolVersion{}, &pgproto3.AuthenticationCleartextPassword{},
		&pgproto3.AuthenticationOk{}} {
		err := f.Flush()
		m, err2 := f.Receive()
		if err != nil || err2 != nil || reflect.TypeOf(m) != reflect.TypeOf(want) {
			t.Fatalf("got %T, %v, %v, want %T", m, err, err2, want)
		}
		if _, asked := m.(*pgproto3.AuthenticationCleartextPassword); asked {
			f.Send(&pgproto3.PasswordMessage{Password: l.MintToken(TokenSpec{})})
		}
		if n, ok := m.(*pgproto3.NegotiateProtocolVersion); ok && (n.NewestMinorProtocol != 0 || len(n.UnrecognizedOptions) != 1) {
			t.Errorf("got %+v", n)
		}
	}
}

// A cancel request reaches the real backend.
func TestCancel(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	c := l.mustLogin()
	go func() {
		waitFor(t, "the query", func() bool {
			rows, err := l.SQL(context.Background(), "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")
			return err == nil && rows[0][0] == "1"
		})
		_ = c.CancelRequest(context.Background())
	}()
	_, err := ask(c, "SELECT pg_sleep(600)")
	wantState(t, err, "57014", "canceling statement due to user request")
	waitFor(t, "the count", func() bool { return l.Counters().Cancels == 1 })
}

// asleep starts an emulator whose next wake does not end by itself.
func asleep(t *testing.T, mode WakeMode) *workspace {
	t.Helper()
	l := begin(t, Options{Suspended: true})
	if l.State() != Suspended || !l.UpAt().IsZero() {
		t.Fatalf("started %s, up at %v", l.State(), l.UpAt())
	}
	l.SetWake(mode, Never)
	return l
}

func wantErrno(t *testing.T, err error, want syscall.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// Each mode shows what its name says while the compute wakes, to the first login and to
// later ones. A suspend ends the wake, and the next one lets logins through.
func TestWakeModes(t *testing.T) {
	for mode, check := range map[WakeMode]func(t *testing.T, first, second error){
		Refused: func(t *testing.T, first, second error) {
			wantErrno(t, first, syscall.ECONNRESET)
			wantErrno(t, second, syscall.ECONNREFUSED)
		},
		Reset: func(t *testing.T, first, second error) {
			wantErrno(t, first, syscall.ECONNRESET)
			wantErrno(t, second, syscall.ECONNRESET)
		},
		StartingUp: func(t *testing.T, first, second error) {
			wantState(t, first, "57P03", "the database system is starting up")
			wantState(t, second, "57P03", "the database system is starting up")
		},
		NoCompute: func(t *testing.T, first, second error) {
			wantState(t, first, "XX000", "Couldn't connect to compute node")
			wantState(t, second, "XX000", "Couldn't connect to compute node")
		},
	} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			l := asleep(t, mode)
			_, first := l.login()
			_, second := l.login()
			if l.State() != Waking {
				t.Errorf("got state %s, want waking", l.State())
			}
			check(t, first, second)
			l.SetWake(Held, 500*time.Millisecond)
			if err := l.Suspend(t.Context()); err != nil || l.State() != Suspended {
				t.Fatalf("got state %s, %v", l.State(), err)
			}
			l.ResetCounters()
			l.mustLogin()
			if took := l.UpAt().Sub(l.WokenAt()); took < 500*time.Millisecond {
				t.Errorf("the wake took %v", took)
			}
			// One of the refused logins may be recorded only now.
			logins := slices.DeleteFunc(l.Logins(), func(n Login) bool { return n.Application == "" })
			if len(logins) != 1 || logins[0].Result != "ok" || logins[0].Application != "unit" {
				t.Errorf("got logins %+v", logins)
			}
		})
	}
}

// The gateway sees that a waiting client leaves, and the wake goes on.
func TestWakeHeld_ClientLeaves(t *testing.T) {
	t.Parallel()
	l := asleep(t, Held)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		waitFor(t, "the wake", func() bool { return l.State() == Waking })
		cancel()
	}()
	if _, err := l.connect(ctx, l.ClientID, l.MintToken(TokenSpec{}), l.Database); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	waitFor(t, "the record", func() bool { return len(l.Logins()) == 1 })
	if got := l.Logins()[0].Result; l.State() != Waking || !strings.Contains(got, "client left") {
		t.Errorf("got state %s, result %q", l.State(), got)
	}
}

// Suspend really stops Postgres, and a login really starts it; the data stays. SQL starts
// it without a login.
func TestSuspend(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	c := l.mustLogin()
	if _, err := ask(c, "CREATE TABLE kept AS SELECT 42 AS n"); err != nil {
		t.Fatal(err)
	}
	pid := l.compute.server.proc.Pid
	if err := l.Suspend(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantErrno(t, syscall.Kill(pid, 0), syscall.ESRCH)
	if _, err := ask(c, "SELECT 1"); err == nil {
		t.Error("an open connection outlived the suspend")
	}
	c = l.mustLogin()
	if got, err := ask(c, "SELECT n FROM kept"); err != nil || got != "42" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := l.Suspend(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.ResetCounters()
	if rows, err := l.SQL(t.Context(), "SELECT 7"); err != nil || rows[0][0] != "7" || len(l.Logins()) != 0 {
		t.Errorf("got %v, %v, logins %v", rows, err, l.Logins())
	}
}
