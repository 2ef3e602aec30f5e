package pgproxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func TestLogin(t *testing.T) {
	p := start(t, Options{}, echo, func(f *fakeUpstream) { f.pending = []byte("pending") })
	for _, addr := range []string{p.unix, p.tcp} {
		c := dial(t, addr)
		c.send(startup("user", user, "application_name", "psql", "options", "-c x=y"))
		c.send(append(passwordMessage(password), "select 1"...))
		c.expectPasswordRequest()
		if got, want := string(c.expectReady().bytes(15)), "pendingselect 1"; got != want {
			t.Errorf("got %q behind the login, want %q", got, want)
		}
		want := map[string]string{"database": user, "application_name": "psql", "options": "-c x=y"}
		got, _ := p.up.received()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	c := dial(t, p.unix).login()
	if diff := cmp.Diff([]string{"client_encoding\x00UTF8\x00", "server_version\x0017.5\x00"}, c.params); diff != "" {
		t.Error(diff)
	}
	if got, _ := p.up.received(); c.pid != 3 || got["database"] != "shop" {
		t.Errorf("got pid %d, parameters %v; want 3, database shop", c.pid, got)
	}
	if s := p.Stats(); s.Logins != 3 || s.Open != 3 || s.Waiting+s.FailedLogins != 0 {
		t.Errorf("got %+v, want 3 logins, 3 open", s)
	}
}

func TestLogin_BuffersInput(t *testing.T) {
	resume := make(chan struct{})
	p := start(t, Options{}, echo, suspended(resume))
	unix := dial(t, p.unix).begin()
	tls := dial(t, p.tcp).startTLS().begin()
	large := dial(t, p.unix).begin()
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

// Neither clients that close nor the end of Serve make a login fail.
func TestLogin_Canceled(t *testing.T) {
	p := start(t, Options{LoginTimeout: time.Hour}, echo, suspended(nil))
	conns := []*client{dial(t, p.unix).begin(), dial(t, p.tcp).begin(), dial(t, p.tcp).startTLS().begin()}
	last := dial(t, p.unix).begin()
	eventually(t, "four logins", func() bool { return p.Stats().Waiting == 4 })
	for _, c := range conns {
		must(t, c.Close())
	}
	eventually(t, "the sessions to end", func() bool { return p.Stats().Waiting == 1 })
	p.stop()
	last.ended()
	if s := p.Stats(); s.FailedLogins != 0 || s.Logins != 0 || len(p.rejected) != 0 {
		t.Errorf("got %+v, want no logins", s)
	}
}

// A login that succeeds although its client has closed is terminated.
func TestLogin_SucceedsAfterClientClosed(t *testing.T) {
	received := make(chan []byte, 1)
	serve := func(c net.Conn) {
		b, _ := io.ReadAll(c)
		received <- b
	}
	p := start(t, Options{}, serve, func(f *fakeUpstream) {
		f.before = func(ctx context.Context) error { <-ctx.Done(); return nil } // it succeeds nevertheless
	})
	must(t, dial(t, p.unix).begin().Close())
	if b := <-received; string(b) != "X\x00\x00\x00\x04" {
		t.Errorf("got %q, want Terminate", b)
	}
}

func TestLogin_Fails(t *testing.T) {
	failure := &pglogin.Error{Code: "08001", Message: "a\r\n\x1b[2J" + strings.Repeat("b", 10_000)}
	p := start(t, Options{}, echo, func(f *fakeUpstream) {
		f.before = func(context.Context) error { return fmt.Errorf("x: %w", failure) }
	})
	e := dial(t, p.unix).begin().failure()
	if e.Severity != "FATAL" || e.Code != "08001" || e.Message != sanitize.Line(failure.Message) {
		t.Errorf("got %+v, want the error in printable characters", e)
	}
	if rejected, _ := p.observed(); len(rejected) != 1 || !rejected[0].upstream || p.Stats().FailedLogins != 1 {
		t.Errorf("got %+v, want one rejection, by the upstream", rejected)
	}
	p = start(t, Options{LoginTimeout: 100 * time.Millisecond}, echo, suspended(nil))
	if e := dial(t, p.unix).begin().failure(); e.Code != "57P03" || e.Message != "our message" {
		t.Errorf("after LoginTimeout: got %+v, want 57P03", e)
	}
}
