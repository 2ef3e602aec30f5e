package pgproxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func TestLogin(t *testing.T) {
	p := start(t, Options{}, echo, func(f *fakeUpstream) { f.pending = []byte("pending") })
	for _, addr := range []string{p.unix, p.tcp} {
		c := dial(t, addr)
		c.send(startup("user", user, "application_name", "psql", "options", "-c x=y"))
		c.expectPasswordRequest()
		c.send(passwordMessage(password))
		eventually(t, "the login", func() bool { return len(p.events(LoggedIn)) > 0 })
		b := make([]byte, 4096)
		n, err := c.Read(b) // all in one write
		must(t, err)
		if !bytes.HasSuffix(b[:n], []byte("Z\x00\x00\x00\x05Ipending")) || !bytes.HasPrefix(b[:n], []byte("R\x00\x00\x00\x08\x00\x00\x00\x00S")) {
			t.Errorf("got startup reply %q", b[:n])
		}
		c.echo("select 1")
		want := map[string]string{"user": user, "database": user, "application_name": "psql", "options": "-c x=y"}
		if diff := cmp.Diff(want, p.up.lastParams()); diff != "" {
			t.Error(diff)
		}
	}
	c := dial(t, p.unix).login()
	if diff := cmp.Diff([]string{"application_name\x00\x00", "client_encoding\x00UTF8\x00", "server_version\x0017.5\x00"}, c.params); diff != "" {
		t.Error(diff)
	}
	if c.pid != 3 || binary.BigEndian.Uint32(c.key) != 0xC0DE0003 {
		t.Errorf("got key %d %x, want 3 c0de0003", c.pid, c.key)
	}
	if got := p.up.lastParams()["database"]; got != "shop" {
		t.Errorf("got database %q, want shop", got)
	}
	if s := p.Stats(); s.Logins != 3 || s.Open != 3 || s.Waiting+s.HalfOpen+s.Rejected+s.FailedLogins != 0 {
		t.Errorf("got %+v, want 3 logins, 3 open", s)
	}
}

func TestLogin_BuffersInput(t *testing.T) {
	resume := make(chan struct{})
	p := start(t, Options{}, echo, suspended(resume))
	unix := dial(t, p.unix).authenticate()
	tls := dial(t, p.tcp).startTLS().authenticate()
	large := dial(t, p.unix).authenticate()
	eventually(t, "three logins", func() bool { return p.Stats().Waiting == 3 })
	text := strings.Repeat("x", 3*maxBuffered)
	go func() { _, _ = large.Write([]byte(text)) }()
	unix.send([]byte("first "))
	tls.send([]byte("first "))
	time.Sleep(50 * time.Millisecond)
	unix.send([]byte("second "))
	close(resume)
	for c, want := range map[*client]string{unix: "first second ", tls: "first ", large: text} {
		if got := string(c.expectReady().bytes(len(want))); got != want {
			t.Errorf("got %.20q, want %.20q", got, want)
		}
		c.echo("next")
	}
	if s := p.Stats(); s.Open != 3 || s.Waiting != 0 {
		t.Errorf("got %+v, want 3 open", s)
	}
}

func TestLogin_ClientCloses(t *testing.T) {
	p := start(t, Options{}, echo, suspended(nil))
	cause := make(chan error, 3)
	wait := p.up.before
	p.up.before = func(ctx context.Context, params map[string]string) (*ServerConn, error) {
		s, err := wait(ctx, params)
		cause <- context.Cause(ctx)
		return s, err
	}
	conns := []*client{dial(t, p.unix).authenticate(), dial(t, p.tcp).authenticate(), dial(t, p.tcp).startTLS().authenticate()}
	eventually(t, "three logins", func() bool { return p.Stats().Waiting == 3 })
	for _, c := range conns {
		must(t, c.Close())
	}
	for range conns {
		select {
		case err := <-cause:
			if !errors.Is(err, errClientGone) {
				t.Errorf("got cause %v, want errClientGone", err)
			}
		case <-time.After(guard):
			t.Fatal("the login was not cancelled")
		}
	}
	eventually(t, "the sessions to end", func() bool { return len(p.events(ClientGone)) == 3 && p.Stats().Waiting == 0 })
	if s := p.Stats(); s.FailedLogins != 0 || s.Logins != 0 {
		t.Errorf("got %+v, want no logins", s)
	}
}

// A login that succeeds although its client has closed is terminated.
func TestLogin_SucceedsAfterClientClosed(t *testing.T) {
	received := make(chan []byte, 1)
	p := start(t, Options{}, func(c net.Conn) { b, _ := io.ReadAll(c); received <- b }, func(f *fakeUpstream) {
		f.before = func(ctx context.Context, _ map[string]string) (*ServerConn, error) {
			<-ctx.Done() // ignored
			c, err := f.dial(context.Background())
			return &ServerConn{Conn: c}, err
		}
	})
	must(t, dial(t, p.unix).authenticate().Close())
	select {
	case b := <-received:
		if string(b) != "X\x00\x00\x00\x04" {
			t.Errorf("got %q, want Terminate", b)
		}
	case <-time.After(guard):
		t.Fatal("the server's connection was not closed")
	}
}

func TestLogin_Fails(t *testing.T) {
	secret := errors.New("dial tcp 10.1.2.3: token eyJhbGciOi")
	for _, c := range []struct {
		name             string
		err              error
		code, text, hint string
	}{
		{"ServerError", &ServerError{Severity: "ERROR", Code: "28P01", Message: "no\x1b[31m such\trole", Hint: "create it"}, "28P01", `no\x1B[31m such role`, "create it"},
		{"wrapped ServerError", fmt.Errorf("x: %w", &ServerError{Code: "3D000", Message: "no database"}), "3D000", "no database", ""},
		{"other error", secret, "08006", "login to the database failed", "output of the proxy"},
		{"deadline of the upstream", fmt.Errorf("x: %w", context.DeadlineExceeded), "57P03", "after 1m0s", "Connect again"},
	} {
		p := start(t, Options{}, echo, func(f *fakeUpstream) {
			f.before = func(context.Context, map[string]string) (*ServerConn, error) { return nil, c.err }
		})
		e := dial(t, p.unix).authenticate().failure()
		if e.Code != c.code || !strings.Contains(e.Message, c.text) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s: got %+v, want %s %s", c.name, e, c.code, c.text)
		}
		if strings.Contains(fmt.Sprintf("%+v", e), "eyJ") {
			t.Errorf("%s: the client is told the internal error: %+v", c.name, e)
		}
		if ev := p.events(LoginFailed); len(ev) != 1 || !errors.Is(ev[0].Err, c.err) || p.Stats().FailedLogins != 1 {
			t.Errorf("%s: got events %+v, want one LoginFailed", c.name, ev)
		}
	}
}

func TestLogin_Timeout(t *testing.T) {
	up := &fakeUpstream{}
	suspended(nil)(up)
	inFakeTime(t, Options{LoginTimeout: 3 * time.Second, StartupTimeout: 2 * time.Second, Upstream: up}, func(t *testing.T, _ *Proxy, dial func() *client) {
		start := time.Now()
		e := dial().authenticate().failure()
		if took := time.Since(start); took < 3*time.Second || took > 3*time.Second+lingerTimeout {
			t.Errorf("got an error after %v, want 3s", took)
		}
		if e.Code != "57P03" || e.Message != "login to the database timed out after 3s" {
			t.Errorf("got %+v, want 57P03", e)
		}
	})
}

func TestLogin_ServeEnds(t *testing.T) {
	p := start(t, Options{LoginTimeout: time.Hour}, echo, suspended(nil))
	c := dial(t, p.unix).authenticate()
	eventually(t, "the login", func() bool { return p.Stats().Waiting == 1 })
	must(t, p.stop())
	c.ended()
	if n := p.Stats().FailedLogins; n != 0 {
		t.Errorf("got %d failed logins, want 0", n)
	}
}

func TestServerError_Encode(t *testing.T) {
	for _, c := range []struct {
		in                                    ServerError
		severity, code, message, detail, hint string
	}{
		{ServerError{Severity: "ERROR", Code: "57P03", Message: "a", Detail: "b", Hint: "c"}, "ERROR", "57P03", "a", "b", "c"},
		{ServerError{Severity: "NOTICE", Code: "a\x00b c"}, "FATAL", "08006", "the connection failed", "", ""},
		{ServerError{Message: "a\r\n\x1b[2Jb", Hint: strings.Repeat("x", 10_000)}, "FATAL", "08006", `a \x1B[2Jb`, "", sanitize.Line(strings.Repeat("x", 10_000))},
	} {
		var e pgproto3.ErrorResponse
		must(t, e.Decode(c.in.encode()[5:]))
		if e.Severity != c.severity || e.Code != c.code || e.Message != c.message || e.Detail != c.detail || e.Hint != c.hint {
			t.Errorf("got %.300s, want %.300s", fmt.Sprint(e), fmt.Sprint(c))
		}
	}
	if got, want := (&ServerError{Message: "m"}).Error(), "m (SQLSTATE 08006)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
