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

// meeting is an encounter at a door of its own.
type meeting struct {
	encounter
	login  auth.Login
	shows  atomic.Int32
	warned chan error
}

func newMeeting(t *testing.T) *meeting {
	t.Helper()
	m := &meeting{login: auth.NewLogin(), warned: make(chan error, 9)}
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	door, err := m.login.ListenPorts(port, port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(door.Close)
	m.encounter = encounter{door: door, limit: 30 * time.Second, silence: time.Hour, watched: true,
		show: func() { m.shows.Add(1) }, warn: func(err error) { m.warned <- err }}
	return m
}

// back is the redirect of this login.
func (m *meeting) back() string {
	return m.door.RedirectURI() + "/?" + url.Values{"code": {"code-of-this-login"}, "state": {m.login.State}}.Encode()
}

// browse is a browser that signs in.
func (m *meeting) browse() error {
	r, err := http.Get(m.back())
	if err != nil {
		return err
	}
	defer r.Body.Close()
	_, err = io.Copy(io.Discard, r.Body)
	return err
}

func (m *meeting) wants(t *testing.T, shows int32) {
	t.Helper()
	r, err := m.wait(t.Context())
	if err != nil || r.Code.Reveal() != "code-of-this-login" {
		t.Fatalf("%v: %q", err, r.Code.Reveal())
	}
	if got := m.shows.Load(); got != shows {
		t.Errorf("the address is shown %d times, not %d", got, shows)
	}
}

func TestABrowserThatWorksNeedsNoAddress(t *testing.T) {
	for _, watched := range []bool{true, false} {
		m := newMeeting(t)
		m.watched = watched
		m.open = []func() error{func() error { return errors.New("broken") }, m.browse, func() error { t.Error("one too many"); return nil }}
		m.wants(t, 0)
	}
}

func TestTheAddressIsShownWhenItIsNeeded(t *testing.T) {
	m := newMeeting(t) // nothing comes up
	m.silence = 20 * time.Millisecond
	silent := make(chan struct{})
	m.show = func() { m.shows.Add(1); close(silent) }
	m.open = []func() error{func() error { <-silent; return m.browse() }}
	m.wants(t, 1)

	m = newMeeting(t) // no browser
	shown := make(chan struct{})
	m.show = func() { m.shows.Add(1); close(shown) }
	go func() { <-shown; _ = m.browse() }()
	m.wants(t, 1)

	m = newMeeting(t) // told to
	m.shown = true
	m.open = []func() error{func() error { t.Error("a browser is started"); return nil }}
	go func() { _ = m.browse() }()
	m.wants(t, 0)
}

func TestNobodyWouldSeeTheAddress(t *testing.T) {
	m := newMeeting(t)
	m.watched = false
	m.open = []func() error{func() error { return errors.New("broken") }}
	var way *cli.WayError
	if _, err := m.wait(t.Context()); !errors.As(err, &way) || !strings.Contains(way.Problem, "no browser can be started here (broken)") || cli.ExitCode(err) != cli.ExitNoSecret {
		t.Errorf("%v", err)
	}
}

func TestWhatIsPasted(t *testing.T) {
	m := newMeeting(t)
	r, w := io.Pipe()
	m.reads, m.shown = r, true
	go func() { fmt.Fprintf(w, "\nhello\n%s\nlate\n", m.back()) }()
	m.wants(t, 0)
	if err := <-m.warned; !errors.Is(err, auth.ErrNotRedirect) {
		t.Errorf("%v", err)
	}
	if len(m.warned) != 0 {
		t.Errorf("then %v", <-m.warned)
	}
	_ = r.Close()

	m = newMeeting(t) // a refusal ends it
	m.shown = true
	m.reads = strings.NewReader(m.door.RedirectURI() + "/?error=access_denied&state=" + m.login.State + "\n")
	var denied *auth.DeniedError
	if _, err := m.wait(t.Context()); !errors.As(err, &denied) || cli.ExitCode(err) != cli.ExitWorkspace {
		t.Errorf("%v", err)
	}

	m = newMeeting(t) // the end of standard input does not
	m.shown, m.reads = true, strings.NewReader("")
	go func() { time.Sleep(50 * time.Millisecond); _ = m.browse() }()
	m.wants(t, 0)

	m = newMeeting(t) // what is too long is told, and waited on
	m.shown, m.reads = true, strings.NewReader(strings.Repeat("x", maxPastedLine+1)+"\n")
	go func() { m.warned <- <-m.warned; _ = m.browse() }()
	m.wants(t, 0)
}

func TestTheWaitEnds(t *testing.T) {
	m := newMeeting(t)
	m.limit, m.shown = 50*time.Millisecond, true
	begun := time.Now()
	_, err := m.wait(t.Context())
	var way *cli.WayError
	if !errors.As(err, &way) || way.Problem != "nobody has signed in within 50ms" || way.Fix == "" {
		t.Errorf("%v", err)
	}
	if took := time.Since(begun); took < m.limit {
		t.Errorf("after %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m = newMeeting(t)
	if _, err := m.wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
