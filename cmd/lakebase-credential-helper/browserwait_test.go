package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
)

// fixture is a browserWait with a callback server.
type fixture struct {
	browserWait
	login  auth.Login
	shows  atomic.Int32
	warned chan error
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	m := &fixture{login: auth.NewLogin(), warned: make(chan error, 9)}
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	server, err := m.login.ListenPorts(port, port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	m.browserWait = browserWait{server: server, timeout: 30 * time.Second, showAfter: time.Hour, terminal: true,
		show: func() { m.shows.Add(1) }, warn: func(err error) { m.warned <- err }}
	return m
}

// redirect returns the address that the browser ends up at.
func (m *fixture) redirect() string {
	return m.server.RedirectURI() + "/?" + url.Values{"code": {"code-of-this-login"}, "state": {m.login.State}}.Encode()
}

// browse acts as a browser that signs in.
func (m *fixture) browse() error {
	r, err := http.Get(m.redirect())
	if err != nil {
		return err
	}
	defer r.Body.Close()
	_, err = io.Copy(io.Discard, r.Body)
	return err
}

func (m *fixture) expect(t *testing.T, shows int32) {
	t.Helper()
	r, err := m.wait(t.Context())
	if err != nil || r.Code.Reveal() != "code-of-this-login" {
		t.Fatalf("%v: %q", err, r.Code.Reveal())
	}
	if got := m.shows.Load(); got != shows {
		t.Errorf("the address is shown %d times, want %d", got, shows)
	}
}

func TestBrowserWait_BrowserWorks(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		m := newFixture(t)
		m.terminal = terminal
		m.open = []func() error{func() error { return errors.New("broken") }, m.browse, func() error { t.Error("one too many"); return nil }}
		m.expect(t, 0)
	}
}

func TestBrowserWait_ShowsAddress(t *testing.T) {
	m := newFixture(t) // no answer
	m.showAfter = 20 * time.Millisecond
	silent := make(chan struct{})
	m.show = func() { m.shows.Add(1); close(silent) }
	m.open = []func() error{func() error { <-silent; return m.browse() }}
	m.expect(t, 1)

	m = newFixture(t) // no browser
	shown := make(chan struct{})
	m.show = func() { m.shows.Add(1); close(shown) }
	go func() { <-shown; _ = m.browse() }()
	m.expect(t, 1)

	m = newFixture(t) // --no-browser
	m.shown = true
	m.open = []func() error{func() error { t.Error("a browser is started"); return nil }}
	go func() { _ = m.browse() }()
	m.expect(t, 0)
}

func TestBrowserWait_NoBrowserNoTerminal(t *testing.T) {
	m := newFixture(t)
	m.terminal = false
	m.open = []func() error{func() error { return errors.New("broken") }}
	var way *auth.SourceError
	if _, err := m.wait(t.Context()); !errors.As(err, &way) || !strings.Contains(way.Problem, "cannot start a browser (broken)") || cli.ExitCode(err) != cli.ExitNoSecret {
		t.Errorf("%v", err)
	}
}

func TestBrowserWait_Paste(t *testing.T) {
	m := newFixture(t)
	r, w := io.Pipe()
	m.paste, m.shown = r, true
	go func() { fmt.Fprintf(w, "\nhello\n%s\nlate\n", m.redirect()) }()
	m.expect(t, 0)
	if err := <-m.warned; !errors.Is(err, auth.ErrNotRedirect) {
		t.Errorf("%v", err)
	}
	if len(m.warned) != 0 {
		t.Errorf("then %v", <-m.warned)
	}
	_ = r.Close()

	m = newFixture(t) // a refusal ends it
	m.shown = true
	m.paste = strings.NewReader(m.server.RedirectURI() + "/?error=access_denied&state=" + m.login.State + "\n")
	var denied *auth.DeniedError
	if _, err := m.wait(t.Context()); !errors.As(err, &denied) || cli.ExitCode(err) != cli.ExitWorkspace {
		t.Errorf("%v", err)
	}

	m = newFixture(t) // the end of standard input does not
	m.shown, m.paste = true, strings.NewReader("")
	go func() { time.Sleep(50 * time.Millisecond); _ = m.browse() }()
	m.expect(t, 0)

	m = newFixture(t) // what is too long is told, and waited on
	m.shown, m.paste = true, strings.NewReader(strings.Repeat("x", maxPastedLine+1)+"\n")
	go func() { m.warned <- <-m.warned; _ = m.browse() }()
	m.expect(t, 0)
}

func TestBrowserWait_Timeout(t *testing.T) {
	m := newFixture(t)
	m.timeout, m.shown = 50*time.Millisecond, true
	begun := time.Now()
	_, err := m.wait(t.Context())
	var way *auth.SourceError
	if !errors.As(err, &way) || way.Problem != "no login within 50ms" || way.Fix == "" {
		t.Errorf("%v", err)
	}
	if took := time.Since(begun); took < m.timeout {
		t.Errorf("after %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m = newFixture(t)
	if _, err := m.wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
