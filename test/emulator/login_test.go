package emulator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Every reason to refuse a login, and its message.
func TestLogin_Refusals(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	roleless := newUUID()
	l.AddPrincipalWithoutRole(roleless, newSecret())
	other := newUUID()
	if err := l.AddPrincipal(t.Context(), other, newSecret()); err != nil {
		t.Fatal(err)
	}
	good := mint(t, l, TokenSpec{})
	tests := []struct {
		name, user, password, database string
		set                            func(*Settings)
		code, message                  string
	}{
		{name: "no JWT", password: "hunter2", code: "XX000", message: "Provided authentication token is not a valid JWT encoding"},
		{name: "three parts are no JWT", password: "a.b.c", code: "XX000", message: "not a valid JWT encoding"},
		{name: "expired", password: mint(t, l, TokenSpec{Life: -time.Minute}), code: "XX000", message: "JWT token has expired (exp="},
		{name: "expired, other message", password: mint(t, l, TokenSpec{Life: -time.Minute}), set: func(s *Settings) { s.PlainExpiredText = true }, code: "XX000", message: "Invalid authorization"},
		{name: "foreign signature", password: mint(t, l, TokenSpec{Foreign: true}), code: "28P01", message: "password authentication failed for user '" + l.ClientID + "'"},
		{name: "tampered", password: tamper(good), code: "28P01", message: "password authentication failed"},
		{name: "workspace token", password: mint(t, l, TokenSpec{Kind: WorkspaceToken}), code: "28P01", message: "password authentication failed"},
		{name: "another's token", user: other, password: good, code: "28P01", message: "for user '" + other + "'"},
		{name: "superuser", user: superuser, password: good, code: "28P01", message: "for user '" + superuser + "'"},
		{name: "no role", user: roleless, password: mint(t, l, TokenSpec{Subject: roleless}), code: "28000", message: `role "` + roleless + `" does not exist`},
		{name: "role missing by setting", password: good, set: func(s *Settings) { s.RoleMissing = true }, code: "28000", message: `role "` + l.ClientID + `" does not exist`},
		{name: "no database", password: good, database: "nowhere", code: "3D000", message: `database "nowhere" does not exist`},
		{name: "disabled", password: good, set: func(s *Settings) { s.EndpointDisabled = true }, code: "XX000", message: ": endpoint is disabled"},
		{name: "the other principal", user: other, password: mint(t, l, TokenSpec{Subject: other})},
		{name: "accepted", password: good},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.set != nil {
				l.Set(tt.set)
				defer l.Set(func(s *Settings) { *s = Settings{} })
			}
			user, database := orDefault(tt.user, l.ClientID), orDefault(tt.database, l.Database)
			l.ResetCounters()
			c, err := connect(t.Context(), l, user, tt.password, database)
			logins := l.Logins()
			if len(logins) != 1 || logins[0].User != user {
				t.Errorf("got logins %+v, want one of %s", logins, user)
			}
			if tt.code != "" {
				wantState(t, err, tt.code, tt.message)
				if len(logins) == 1 && (logins[0].SQLState != tt.code || !strings.Contains(logins[0].Result, tt.message)) {
					t.Errorf("recorded %+v", logins[0])
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer closeNow(c)
			if got, err := ask(c, "SELECT current_user"); err != nil || got != user {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// tamper changes one claim and leaves the signature.
func tamper(token string) string {
	b := []byte(token)
	i := strings.IndexByte(token, '.') + 40
	if b[i]++; b[i] > 'z' || b[i] == '[' || b[i] == ':' {
		b[i] = 'A'
	}
	return string(b)
}

// A token's expiry counts at the login only.
func TestLogin_TokenExpiresLater(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	token := mint(t, l, TokenSpec{})
	c, err := connect(t.Context(), l, l.ClientID, token, l.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(c)
	l.Set(func(s *Settings) { s.ClockSkew = 2 * time.Hour })
	_, err = connect(t.Context(), l, l.ClientID, token, l.Database)
	wantState(t, err, "XX000", "JWT token has expired (exp=")
	if got, err := ask(c, "SELECT 1"); err != nil || got != "1" {
		t.Errorf("the open connection: got %q, %v", got, err)
	}
}

// A login without TLS is refused, and GSS encryption is declined.
func TestLogin_TLSOnly(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	dial := func(sslmode string) error {
		cfg, err := pgconn.ParseConfig(fmt.Sprintf("host=localhost port=%s user=%s dbname=%s sslmode=%s", l.PGPort(), l.ClientID, l.Database, sslmode))
		if err != nil {
			t.Fatal(err)
		}
		_, err = pgconn.ConnectConfig(t.Context(), cfg)
		return err
	}
	wantState(t, dial("disable"), "08P01", "Invalid protocol version. Protocol version: 196608")
	if err := dial("verify-full"); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("with the system's roots: got %v, want an unknown authority", err)
	}
	c, err := net.Dial("tcp", "127.0.0.1:"+l.PGPort())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := make([]byte, 1)
	if _, err := c.Write(packet(gssEncRequest)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got); err != nil || got[0] != 'N' {
		t.Errorf("GSS encryption: got %q, %v, want N", got, err)
	}
}

func packet(code uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, code)
}

// A client of protocol 3.2 with options is negotiated down to 3.0.
func TestLogin_NegotiatesProtocol(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	raw, err := net.Dial("tcp", "127.0.0.1:"+l.PGPort())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	got := make([]byte, 1)
	if _, err := raw.Write(packet(sslRequest)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(raw, got); err != nil || got[0] != 'S' {
		t.Fatalf("SSLRequest: got %q, %v", got, err)
	}
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	f := pgproto3.NewFrontend(c, c)
	receive := func() pgproto3.BackendMessage {
		t.Helper()
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
		m, err := f.Receive()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	f.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion32, Parameters: map[string]string{"user": l.ClientID, "database": l.Database, "_pq_.grease": "1"}})
	m := receive()
	if n, ok := m.(*pgproto3.NegotiateProtocolVersion); !ok || n.NewestMinorProtocol != 0 || len(n.UnrecognizedOptions) != 1 {
		t.Fatalf("got %+v", m)
	}
	if m := receive(); reflect.TypeOf(m) != reflect.TypeFor[*pgproto3.AuthenticationCleartextPassword]() {
		t.Fatalf("got %T", m)
	}
	f.Send(&pgproto3.PasswordMessage{Password: mint(t, l, TokenSpec{})})
	if m := receive(); reflect.TypeOf(m) != reflect.TypeFor[*pgproto3.AuthenticationOk]() {
		t.Errorf("got %T %+v", m, m)
	}
}

// A cancel request reaches the real backend.
func TestCancel(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	c := mustConnect(t, l)
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

// Large copies pass whole in both directions.
func TestRelay_LargeCopies(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	c := mustConnect(t, l)
	const lines = 200_000
	if _, err := ask(c, "CREATE TABLE big (n int)"); err != nil {
		t.Fatal(err)
	}
	var in strings.Builder
	for i := range lines {
		fmt.Fprintln(&in, i)
	}
	tag, err := c.CopyFrom(t.Context(), strings.NewReader(in.String()), "COPY big FROM STDIN")
	if err != nil || tag.RowsAffected() != lines {
		t.Fatalf("copied %d, %v", tag.RowsAffected(), err)
	}
	var out strings.Builder
	if _, err := c.CopyTo(t.Context(), &out, "COPY (SELECT n FROM big ORDER BY n) TO STDOUT"); err != nil || out.String() != in.String() {
		t.Errorf("came back with %d of %d bytes, %v", out.Len(), in.Len(), err)
	}
}

// Each login fault applies once, at its stage, and the next login succeeds.
func TestLoginFaults(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	for _, stage := range Stages() {
		for _, action := range append(Actions(), "") {
			t.Run(string(stage)+" "+string(action), func(t *testing.T) { testLoginFault(t, l, stage, action) })
		}
	}
}

func testLoginFault(t *testing.T, l *Lakebase, stage Stage, action Action) {
	l.ResetCounters()
	const message = "sorry, too many clients already"
	l.Set(func(s *Settings) {
		s.LoginFaults = []LoginFault{{At: stage, Action: action, Code: "53300", Message: message}}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if action == ActionHang || action == ActionFlood { // which end when the client leaves
		go func() {
			waitFor(t, "the fault", func() bool { return l.Counters().LoginFaults == 1 })
			cancel()
		}()
	}
	c, err := connect(ctx, l, l.ClientID, mint(t, l, TokenSpec{}), l.Database)
	if err == nil {
		closeNow(c)
		t.Fatal("the login succeeded")
	}
	var refused *pgconn.PgError
	encrypted := stage != StageAccept && stage != StageRequest && stage != StageHandshake
	switch {
	case action == ActionHang && !errors.Is(err, context.Canceled):
		t.Errorf("got %v, want no answer", err)
	case action == ActionReset && !errors.Is(err, syscall.ECONNRESET):
		t.Errorf("got %v, want a reset", err)
	case action == ActionClose && errors.Is(err, syscall.ECONNRESET):
		t.Errorf("got %v, want an orderly close", err)
	case action == "" && encrypted && (!errors.As(err, &refused) || refused.Code != "53300" || refused.Message != message):
		t.Errorf("got %v, want %q", err, message)
	}
	if c, err = connect(t.Context(), l, l.ClientID, mint(t, l, TokenSpec{}), l.Database); err != nil {
		t.Fatalf("the next login: %v", err)
	}
	closeNow(c)
	want := string(action) + " at " + string(stage)
	if action == "" {
		want = message
	}
	waitFor(t, "the record "+want, func() bool {
		return slices.ContainsFunc(l.Logins(), func(l Login) bool { return l.Result == want })
	})
}

// A fault sends its bytes unchanged, and lasts for as many logins as it says.
func TestLoginFaults_SendAndTimes(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	l.Set(func(s *Settings) {
		s.LoginFaults = []LoginFault{{At: StageRequest, Times: 2, Action: ActionClose, Send: "HTTP/1.1 400 Bad Request\r\n\r\n"}}
	})
	for range 2 {
		if _, err := connect(t.Context(), l, l.ClientID, mint(t, l, TokenSpec{}), l.Database); err == nil || !strings.Contains(err.Error(), "refused TLS") {
			t.Errorf("got %v, want TLS refused", err)
		}
	}
	mustConnect(t, l)
}
