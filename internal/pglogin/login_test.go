package pglogin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// endable is a context whose deadline comes when end is called.
type endable struct {
	context.Context
	over chan struct{}
	end  func()
}

func newEndable() endable {
	over := make(chan struct{})
	return endable{context.Background(), over, sync.OnceFunc(func() { close(over) })}
}

func (e endable) Deadline() (time.Time, bool) { return time.Now().Add(time.Hour), true }
func (e endable) Done() <-chan struct{}       { return e.over }

func (e endable) Err() error {
	select {
	case <-e.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func wantKind(t *testing.T, err error, k Kind) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != k {
		t.Fatalf("got %v, want kind %q", err, k)
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", err, e, *e), "a-token-of") {
		t.Fatalf("the password is in the error: %v", err)
	}
	return e
}

func TestLoginOnceAndGoodbye(t *testing.T) {
	f := newFake(t, func(_ int, s *session) { welcome(s) })
	w := &Waker{Beside: guard}
	must(t, w.Wait(within(t, guard), f.target(), secret))
	seen := f.seen()
	if len(seen) != 1 {
		t.Fatalf("%d connections, want 1", len(seen))
	}
	s := seen[0]
	if s.password != secretText || !s.terminated || s.sni != name {
		t.Errorf("password %q, terminated %v, SNI %q", s.password, s.terminated, s.sni)
	}
	want := map[string]string{"user": "a user", "database": "databricks_postgres", "application_name": "lakebase-exec"}
	if len(s.startup) != len(want) {
		t.Errorf("start-up message is %v", s.startup)
	}
	for k, v := range want {
		if s.startup[k] != v {
			t.Errorf("%s is %q, want %q", k, s.startup[k], v)
		}
	}
}

func TestRequireLogsInUnverified(t *testing.T) {
	f := newFake(t, func(_ int, s *session) { welcome(s) })
	target := f.target()
	target.Host, target.SSLMode, target.SSLRootCert = "other.example.com", Require, ""
	must(t, Login(within(t, guard), target, secret))
}

// Each way a compute may wake: one or two bad answers, then a login.
func TestWakesAfter(t *testing.T) {
	for what, bad := range map[string]func(*session){
		"57P03":              func(s *session) { refuse(s, "FATAL", "57P03", "the database system is starting up") },
		"reset":              func(s *session) { s.reset() },
		"closed in start-up": func(s *session) { s.start() },
		"closed after TLS":   func(s *session) { s.tls() },
		"closed at password": func(s *session) { s.ask() },
		"error before TLS":   func(s *session) { _, _ = io.ReadFull(s.raw, make([]byte, 8)); _, _ = s.raw.Write([]byte("Eno")) },
		"too many":           func(s *session) { refuse(s, "FATAL", "53300", "sorry, too many clients already") },
	} {
		t.Run(what, func(t *testing.T) {
			f := newFake(t, func(n int, s *session) {
				if n < 2 {
					bad(s)
					return
				}
				welcome(s)
			})
			failures := 0
			w := &Waker{Beside: guard, Progress: func(Status) { failures++ }}
			must(t, w.Wait(within(t, guard), f.target(), secret))
			// A third connection without a failure before it is a cancel request.
			if seen := f.seen(); len(seen) != 3 || !seen[2].terminated || failures != 2 {
				t.Errorf("%d connections, want 3; %d failures, want 2", len(seen), failures)
			}
		})
	}
}

func TestRefusedPortThenOpen(t *testing.T) {
	f := newFake(t, func(_ int, s *session) { welcome(s) })
	addr := f.addr
	f.close()
	w := &Waker{Beside: guard}
	opened := make(chan struct{})
	w.Progress = func(s Status) {
		if s.Attempts == 5 {
			if s.Last == nil || s.Last.Kind != Unreachable {
				t.Errorf("last is %v, want unreachable", s.Last)
			}
			f.listen(t, addr)
			close(opened)
		}
	}
	must(t, w.Wait(within(t, guard), f.target(), secret))
	<-opened
	if n := len(f.seen()); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestHeldIsKept(t *testing.T) {
	held := make(chan struct{})
	f := newFake(t, func(n int, s *session) {
		if n == 0 {
			<-held // the first is answered late
			welcome(s)
			return
		}
		if n == 3 {
			close(held)
		}
		s.drain()
	})
	w := &Waker{Beside: 50 * time.Millisecond}
	must(t, w.Wait(within(t, guard), f.target(), secret))
	seen := f.seen()
	if !seen[0].terminated || f.max != 2 {
		t.Errorf("first proved: %v; %d open at once, want 2", seen[0].terminated, f.max)
	}
}

func TestSilentThenFoundBeside(t *testing.T) {
	f := newFake(t, func(n int, s *session) {
		if n < 2 {
			s.drain()
			return
		}
		welcome(s)
	})
	w := &Waker{Beside: 50 * time.Millisecond}
	must(t, w.Wait(within(t, guard), f.target(), secret))
	// Where the third is slow, a fourth may be made beside it.
	seen := f.seen()
	if len(seen) < 3 || !slices.ContainsFunc(seen[2:], func(s *session) bool { return s.terminated }) || f.max > 2 {
		t.Errorf("%d connections, %d at once", len(seen), f.max)
	}
}

func TestNeverWakes(t *testing.T) {
	f := newFake(t, func(_ int, s *session) { refuse(s, "ERROR", "XX000", "Couldn't connect to compute node") })
	ctx := newEndable()
	w := &Waker{Beside: guard, Progress: func(s Status) {
		if s.Attempts >= 3 {
			ctx.end()
		}
	}}
	err := w.Wait(ctx, f.target(), secret)
	e := wantKind(t, err, NotAwake)
	if !errors.Is(err, context.DeadlineExceeded) || e.Last == nil || e.Last.Kind != Starting || e.Attempts < 3 || e.Elapsed <= 0 {
		t.Errorf("got %#v", e)
	}
	if !strings.Contains(err.Error(), "Couldn't connect to compute node (SQLSTATE XX000)") {
		t.Errorf("the text does not say what the server said: %v", err)
	}
	if n := len(f.seen()); n != e.Attempts && n != e.Attempts-1 { // the last may not have got out
		t.Errorf("%d connections, %d attempts", len(f.sessions), e.Attempts)
	}
}

func TestSilenceTellsHowFar(t *testing.T) {
	for want, script := range map[string]func(*session){
		"connected, but no answer to the request for TLS": func(s *session) { _, _ = io.ReadFull(s.raw, make([]byte, 8)) },
		"connected, but no answer to the login":           func(s *session) { s.ask() },
	} {
		ctx := newEndable()
		f := newFake(t, func(_ int, s *session) { script(s); ctx.end(); s.drain() })
		e := wantKind(t, (&Waker{Beside: guard}).Wait(ctx, f.target(), secret), NotAwake)
		if e.Last == nil || e.Last.Message != want {
			t.Errorf("last is %v, want %q", e.Last, want)
		}
		f.seen()
	}
}

func TestCancelled(t *testing.T) {
	f := newFake(t, func(_ int, s *session) { s.drain() })
	ctx, cancel := context.WithCancelCause(within(t, guard))
	why := errors.New("interrupt")
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	err := (&Waker{}).Wait(ctx, f.target(), secret)
	wantKind(t, err, Cancelled)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}

func TestServerThatEchoesThePassword(t *testing.T) {
	f := newFake(t, func(_ int, s *session) {
		refuse(s, "FATAL", "28P01", strings.Repeat("x", 480)+" cannot use "+secretText+strings.Repeat("\xff", 9000))
	})
	e := wantKind(t, Login(within(t, guard), f.target(), secret), Refused)
	if len(e.Message) > 500 || !strings.Contains(e.Message, "xxx") {
		t.Errorf("message of %d bytes: %s", len(e.Message), e.Message)
	}
	f.seen()
	g := newFake(t, func(_ int, s *session) { refuse(s, "FATAL", "28P01", "cannot use "+secretText) })
	e = wantKind(t, Login(within(t, guard), g.target(), secret), Refused)
	if e.Message != "cannot use "+credential.Redacted {
		t.Errorf("message is %q", e.Message)
	}
}

func TestNames(t *testing.T) {
	e := wantKind(t, (&Waker{Beside: guard}).Wait(within(t, guard), Target{
		Host: "no-such-host.invalid", Port: 5432, Database: "d", User: "u", SSLMode: Require}, secret), NameNotResolved)
	var dns *net.DNSError
	if !errors.As(e, &dns) {
		t.Fatalf("no DNS error in %v", e)
	}
	if dns.IsNotFound == e.Retry {
		t.Errorf("found: %v, retry: %v", !dns.IsNotFound, e.Retry)
	}
}

func TestBadRoots(t *testing.T) {
	f := newFake(t, func(_ int, s *session) { welcome(s) })
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	must(t, os.WriteFile(empty, []byte("no certificate here\n"), 0o600))
	for _, path := range []string{filepath.Join(dir, "absent.pem"), empty, dir} {
		target := f.target()
		target.SSLRootCert = path
		e := wantKind(t, (&Waker{Beside: guard}).Wait(within(t, guard), target, secret), BadRootCert)
		if !strings.Contains(e.Message, path) {
			t.Errorf("%q does not name %s", e.Message, path)
		}
	}
	if n := len(f.seen()); n != 0 {
		t.Errorf("%d connections, want none", n)
	}
}
