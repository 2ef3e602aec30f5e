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
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Every reason to refuse a login, and its words.
func TestRefusals(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	stranger := newUUID()
	l.AddPrincipalWithoutRole(stranger, newSecret())
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
		{name: "expired, other words", password: mint(t, l, TokenSpec{Life: -time.Minute}), set: func(s *Settings) { s.PlainExpiredText = true }, code: "XX000", message: "Invalid authorization"},
		{name: "foreign signature", password: mint(t, l, TokenSpec{Foreign: true}), code: "28P01", message: "password authentication failed for user '" + l.ClientID + "'"},
		{name: "tampered", password: tamper(good), code: "28P01", message: "password authentication failed"},
		{name: "workspace token", password: mint(t, l, TokenSpec{Kind: WorkspaceToken}), code: "28P01", message: "password authentication failed"},
		{name: "another's token", user: other, password: good, code: "28P01", message: "for user '" + other + "'"},
		{name: "superuser", user: superuser, password: good, code: "28P01", message: "for user '" + superuser + "'"},
		{name: "no role", user: stranger, password: mint(t, l, TokenSpec{Subject: stranger}), code: "28000", message: `role "` + stranger + `" does not exist`},
		{name: "role missing by switch", password: good, set: func(s *Settings) { s.RoleMissing = true }, code: "28000", message: `role "` + l.ClientID + `" does not exist`},
		{name: "no database", password: good, database: "nowhere", code: "3D000", message: `database "nowhere" does not exist`},
		{name: "disabled", password: good, set: func(s *Settings) { s.EndpointDisabled = true }, code: "XX000", message: ": endpoint is disabled"},
		{name: "the other principal", user: other, password: mint(t, l, TokenSpec{Subject: other})},
		{name: "all well", password: good},
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
				t.Errorf("logins %+v, want one of %s", logins, user)
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

// A token's end counts at login only.
func TestExpiryAtLoginOnly(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	token := mint(t, l, TokenSpec{Life: 1500 * time.Millisecond})
	expiry := time.Now().Add(1500 * time.Millisecond)
	c, err := connect(t.Context(), l, l.ClientID, token, l.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(c)
	time.Sleep(time.Until(expiry) + 10*time.Millisecond)
	_, err = connect(t.Context(), l, l.ClientID, token, l.Database)
	wantState(t, err, "XX000", "JWT token has expired (exp=")
	if got, err := ask(c, "SELECT 1"); err != nil || got != "1" {
		t.Errorf("the open connection: %q, %v", got, err)
	}
}

// Without TLS nobody comes in, and GSS encryption is declined.
func TestTLSOnly(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	cfg, err := pgconn.ParseConfig(fmt.Sprintf("host=localhost port=%s user=%s dbname=%s sslmode=disable", l.PGPort(), l.ClientID, l.Database))
	if err != nil {
		t.Fatal(err)
	}
	_, err = pgconn.ConnectConfig(t.Context(), cfg)
	wantState(t, err, "08P01", "Invalid protocol version. Protocol version: 196608")

	cfg, err = pgconn.ParseConfig(fmt.Sprintf("host=localhost port=%s user=%s dbname=%s sslmode=verify-full", l.PGPort(), l.ClientID, l.Database))
	if err != nil {
		t.Fatal(err)
	}
	_, err = pgconn.ConnectConfig(t.Context(), cfg)
	if unknown := (x509.UnknownAuthorityError{}); !errors.As(err, &unknown) {
		t.Errorf("with the system's roots: %v, want an unknown authority", err)
	}

	c, err := net.Dial("tcp", "127.0.0.1:"+l.PGPort())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	for code, want := range map[uint32]byte{gssEncRequest: 'N'} {
		got := make([]byte, 1)
		if _, err := c.Write(packet(code)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, got); err != nil || got[0] != want {
			t.Errorf("%d: got %q, %v, want %q", code, got, err, want)
		}
	}
}

func packet(code uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, code)
}

// A client of protocol 3.2 with options is brought down to 3.0 and let in.
func TestNegotiate(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	c := secure(t, l)
	m := pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion32, Parameters: map[string]string{"user": l.ClientID, "database": l.Database, "_pq_.grease": "1"}}
	f := pgproto3.NewFrontend(c, c)
	f.Send(&m)
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	got, err := f.Receive()
	if n, ok := got.(*pgproto3.NegotiateProtocolVersion); err != nil || !ok || n.NewestMinorProtocol != 0 || len(n.UnrecognizedOptions) != 1 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if got, err = f.Receive(); err != nil {
		t.Fatal(err)
	}
	if _, ok := got.(*pgproto3.AuthenticationCleartextPassword); !ok {
		t.Fatalf("got %T", got)
	}
	f.Send(&pgproto3.PasswordMessage{Password: mint(t, l, TokenSpec{})})
	_ = f.Flush()
	if got, err = f.Receive(); err != nil {
		t.Fatal(err)
	}
	if _, ok := got.(*pgproto3.AuthenticationOk); !ok {
		t.Errorf("got %T %+v", got, got)
	}
}

// secure is a connection just after its TLS handshake.
func secure(t *testing.T, l *Lakebase) net.Conn {
	t.Helper()
	pem, err := os.ReadFile(l.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	raw, err := net.Dial("tcp", "127.0.0.1:"+l.PGPort())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := raw.Write(packet(sslRequest)); err != nil {
		t.Fatal(err)
	}
	if got := make([]byte, 1); readAll(raw, got) != nil || got[0] != 'S' {
		t.Fatalf("SSLRequest answered with %q", got)
	}
	c := tls.Client(raw, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func readAll(r io.Reader, b []byte) error { _, err := io.ReadFull(r, b); return err }

// A cancel request reaches the real backend.
func TestCancel(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	c := mustConnect(t, l)
	go func() {
		time.Sleep(200 * time.Millisecond)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = c.CancelRequest(ctx)
	}()
	at := time.Now()
	_, err := ask(c, "SELECT pg_sleep(8)")
	wantState(t, err, "57014", "canceling statement due to user request")
	if took := time.Since(at); took > 4*time.Second {
		t.Errorf("took %v", took)
	}
	if n := l.Counters().Cancels; n != 1 {
		t.Errorf("%d cancels counted", n)
	}
}

// Large results and large copies pass whole in both directions.
func TestJoin(t *testing.T) {
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
