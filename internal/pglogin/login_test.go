package pglogin

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// connector returns one that does not hedge.
func connector() *Connector { return &Connector{hedgeDelay: testTimeout} }

func TestLogin_Success(t *testing.T) {
	f := newFakeServer(t, func(_ int, s *session) { acceptLogin(s) })
	must(t, connector().Login(within(t, testTimeout), f.target(), secret))
	all := f.ended()
	if len(all) != 1 {
		t.Fatalf("got %d connections, want 1", len(all))
	}
	s := all[0]
	if s.password != password || !s.terminated || s.sni != host {
		t.Errorf("got password %q, terminated %v, SNI %q", s.password, s.terminated, s.sni)
	}
	if want := map[string]string{"user": "a user", "database": "databricks_postgres", "application_name": "lakebase-exec"}; !maps.Equal(s.startup, want) {
		t.Errorf("got start-up parameters %v, want %v", s.startup, want)
	}
}

func TestLogin_RequireDoesNotVerify(t *testing.T) {
	f := newFakeServer(t, func(_ int, s *session) { acceptLogin(s) })
	target := f.target()
	target.Host, target.SSLMode, target.SSLRootCert = "other.example.com", Require, ""
	must(t, connector().Login(within(t, testTimeout), target, secret))
}

// A compute may fail in each of these ways while it wakes.
func TestLogin_RetriesUntilAwake(t *testing.T) {
	for name, fail := range map[string]func(*session){
		"57P03":              func(s *session) { refuse(s, "FATAL", "57P03", "the database system is starting up") },
		"reset":              func(s *session) { s.reset() },
		"closed in start-up": func(s *session) { s.start() },
		"closed after TLS":   func(s *session) { s.tls() },
		"closed at password": func(s *session) { s.ask() },
		"error before TLS":   func(s *session) { s.readSSLRequest(); _, _ = s.raw.Write([]byte("Eno")) },
		"too many":           func(s *session) { refuse(s, "FATAL", "53300", "sorry, too many clients already") },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeServer(t, func(n int, s *session) {
				if n < 2 {
					fail(s)
					return
				}
				acceptLogin(s)
			})
			failures := 0
			c := connector()
			c.Progress = func(*Error) { failures++ }
			must(t, c.Login(within(t, testTimeout), f.target(), secret))
			// A third connection without a failure before it would be a cancel request.
			if all := f.ended(); len(all) != 3 || !all[2].terminated || failures != 2 {
				t.Errorf("got %d connections and %d failures, want 3 and 2", len(all), failures)
			}
		})
	}
}

func TestLogin_PortOpensLater(t *testing.T) {
	f := newFakeServer(t, func(_ int, s *session) { acceptLogin(s) })
	addr := f.addr
	f.close()
	c, failures := connector(), 0
	c.Progress = func(last *Error) {
		if failures++; failures == 3 {
			if last.Kind != Unreachable {
				t.Errorf("got last error %v, want kind %q", last, Unreachable)
			}
			f.listen(t, addr)
		}
	}
	must(t, c.Login(within(t, testTimeout), f.target(), secret))
	if n := len(f.ended()); n != 1 {
		t.Errorf("got %d connections, want 1", n)
	}
}

func TestLogin_NeverWakes(t *testing.T) {
	f := newFakeServer(t, func(_ int, s *session) { refuse(s, "ERROR", "XX000", "Couldn't connect to compute node") })
	ctx := newManualDeadline()
	c, failures := connector(), 0
	c.Progress = func(*Error) {
		if failures++; failures == 3 {
			ctx.end()
		}
	}
	err := c.Login(ctx, f.target(), secret)
	e := wantKind(t, err, WakeTimeout)
	if !errors.Is(err, context.DeadlineExceeded) || e.Last == nil || e.Last.Kind != Starting || e.Attempts < 3 || e.Elapsed <= 0 || e.Target != f.target() {
		t.Errorf("got %#v", e)
	}
	if want := "last error: starting: Couldn't connect to compute node (SQLSTATE XX000)"; !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %q, want suffix %q", err, want)
	}
}

func TestLogin_NoAnswerTellsHowFar(t *testing.T) {
	for want, script := range map[string]func(*session){
		"connected, but no answer to the request for TLS": func(s *session) { s.readSSLRequest() },
		"connected, but no answer to the login":           func(s *session) { s.ask() },
	} {
		ctx := newManualDeadline()
		f := newFakeServer(t, func(_ int, s *session) { script(s); ctx.end(); s.drain() })
		e := wantKind(t, connector().Login(ctx, f.target(), secret), WakeTimeout)
		if e.Last == nil || e.Last.Message != want {
			t.Errorf("got last error %v, want %q", e.Last, want)
		}
		f.ended()
	}
}

func TestConnect_Canceled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(within(t, testTimeout))
	cause := errors.New("interrupt")
	f := newFakeServer(t, func(_ int, s *session) { cancel(cause); s.drain() })
	_, err := connector().Connect(ctx, f.target(), secret, nil)
	wantKind(t, err, Canceled)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
		t.Errorf("got %v, want the context's error and its cause", err)
	}
	f.ended()
}

func TestLogin_ServerEchoesThePassword(t *testing.T) {
	f := newFakeServer(t, func(_ int, s *session) {
		refuse(s, "FATAL", "28P01", strings.Repeat("x ", 200)+" cannot use "+password+" "+strings.Repeat("\xff", 9000))
	})
	e := wantKind(t, connector().Login(within(t, testTimeout), f.target(), secret), Refused)
	if want := " cannot use " + credential.Redacted; !strings.Contains(e.Message, want) || len(e.Message) > 500 {
		t.Errorf("got message %q of %d bytes, want %q in it", e.Message, len(e.Message), want)
	}
}

// A server that wants no password is described in our words.
func TestLogin_OtherAuthentication(t *testing.T) {
	for name, m := range map[string]pgproto3.BackendMessage{"GSS": &pgproto3.AuthenticationGSS{}, "SSPI": &sspi{}} {
		f := newFakeServer(t, func(_ int, s *session) {
			if s.start() {
				s.be.Send(m)
				_ = s.be.Flush()
			}
		})
		err := connector().Login(within(t, testTimeout), f.target(), secret)
		if err == nil || !strings.Contains(err.Error(), "requires GSSAPI, SSPI") || strings.Contains(err.Error(), "http") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// sspi is a request for SSPI, which pgproto3 does not have.
type sspi struct{ pgproto3.AuthenticationGSS }

func (sspi) Encode(dst []byte) ([]byte, error) { return append(dst, 'R', 0, 0, 0, 8, 0, 0, 0, 9), nil }

func TestConnector_ContextWithoutDeadline(t *testing.T) {
	f := newFakeServer(t, func(_ int, s *session) { t.Error("a connection was made") })
	if e := wantKind(t, connector().Login(context.Background(), f.target(), secret), BadTarget); !strings.Contains(e.Message, "no deadline") {
		t.Errorf("got %v", e)
	}
}

// The connection comes with all that the server sent besides the login, and reads
// more than a login may.
func TestConnect_HandsOver(t *testing.T) {
	const bulk = maxStartup + 1<<20
	notice := &pgproto3.NoticeResponse{Severity: "NOTICE", Code: "00000", Message: "besides the login"}
	status := &pgproto3.ParameterStatus{Name: "TimeZone", Value: "UTC"}
	f := newFakeServer(t, func(_ int, s *session) {
		if s.ask() && s.accept(notice, status) {
			s.echo()
			_, _ = s.Conn.Write(make([]byte, bulk))
		}
	})
	target := f.target()
	target.Database = "another"
	c, err := connector().Connect(within(t, testTimeout), target, secret, map[string]string{"application_name": "app", "options": "-c work_mem=1MB"})
	must(t, err)
	defer c.Close()
	if c.PID != 7 || !slices.Equal(c.SecretKey, []byte{1, 2, 3, 4}) || c.Parameters["server_version"] != "17.5" || c.TxStatus != 'I' || c.Waited {
		t.Errorf("got %+v", c)
	}
	want, err := notice.Encode(nil)
	must(t, err)
	want, _ = status.Encode(want)
	if string(c.Pending) != string(want) {
		t.Errorf("got pending %q, want %q", c.Pending, want)
	}
	wantEcho(t, c)
	if n, err := io.CopyN(io.Discard, c, bulk); err != nil {
		t.Errorf("got %d of %d bytes, %v", n, bulk, err)
	}
	_ = c.Close()
	startup := map[string]string{"user": "a user", "database": "another", "application_name": "app", "options": "-c work_mem=1MB"}
	if got := f.ended()[0].startup; !maps.Equal(got, startup) {
		t.Errorf("got start-up parameters %v, want %v", got, startup)
	}
}

// Only a server that says so, or is silent for long, may have been suspended.
func TestConnect_Waited(t *testing.T) {
	silent := func(_ int, s *session) {
		if s.ask() {
			time.Sleep(silenceOfWake + 50*time.Millisecond)
			s.accept()
		}
	}
	refusedAtFirst := func(code, text string) func(int, *session) {
		return func(n int, s *session) {
			if n == 0 {
				refuse(s, "FATAL", code, text)
			} else if s.ask() {
				s.accept()
			}
		}
	}
	for _, c := range []struct {
		name   string
		hedge  time.Duration
		script func(int, *session)
		waited bool
	}{
		{"at once", time.Hour, func(_ int, s *session) { _ = s.ask() && s.accept() }, false},
		{"starting up", time.Hour, refusedAtFirst("57P03", "the database system is starting up"), true},
		{"no compute", time.Hour, refusedAtFirst("XX000", "Couldn't connect to compute node"), true},
		{"closed", time.Hour, func(n int, s *session) { _ = n > 0 && s.ask() && s.accept() }, true},
		{"awake, with too many connections", time.Hour, refusedAtFirst("53300", "sorry, too many clients already"), false},
		{"held", 10 * time.Millisecond, silent, true},
	} {
		f := newFakeServer(t, c.script)
		connector := connector()
		connector.hedgeDelay = c.hedge
		conn, err := connector.Connect(within(t, testTimeout), f.target(), secret, nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if conn.Waited != c.waited {
			t.Errorf("%s: got Waited %v, want %v", c.name, conn.Waited, c.waited)
		}
		_ = conn.Close()
		f.ended()
	}
}

// slowWrites returns long after it has written, as on a busy machine.
type slowWrites struct{ net.Conn }

func (c slowWrites) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	time.Sleep(100 * time.Millisecond)
	return n, err
}

// pgconn reads in the background during a slow write. That read must not outlive
// the login: it would swallow the answer to the first query.
func TestConnect_LeavesNoReadBehind(t *testing.T) {
	f := newFakeServer(t, func(_ int, s *session) {
		if s.ask() && s.accept() {
			s.echo()
		}
	})
	dialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		return slowWrites{c}, err
	}
	defer func() { dialContext = new(net.Dialer).DialContext }()
	c, err := connector().Connect(within(t, testTimeout), f.target(), secret, nil)
	must(t, err)
	defer c.Close()
	wantEcho(t, c)
}

// Data after the login in the same TLS record: the beginning of a message is completed,
// and an invalid message closes the connection.
func TestConnect_DataBehindTheLogin(t *testing.T) {
	status, err := (&pgproto3.ParameterStatus{Name: "TimeZone", Value: "UTC"}).Encode(nil)
	must(t, err)
	serve := func(behind []byte, then func(*session)) *fakeServer {
		return newFakeServer(t, func(_ int, s *session) {
			if !s.ask() {
				return
			}
			b, _ := (&pgproto3.AuthenticationOk{}).Encode(nil)
			b, _ = (&pgproto3.ReadyForQuery{TxStatus: 'I'}).Encode(b)
			_, _ = s.Conn.Write(append(b, behind...))
			then(s)
		})
	}
	f := serve(status[:7], func(s *session) {
		time.Sleep(100 * time.Millisecond)
		_, _ = s.Conn.Write(status[7:])
		s.echo()
	})
	c, err := connector().Connect(within(t, testTimeout), f.target(), secret, nil)
	must(t, err)
	defer c.Close()
	if string(c.Pending) != string(status) {
		t.Errorf("got pending %q, want %q", c.Pending, status)
	}
	wantEcho(t, c)

	f = serve([]byte{0xFF, 0, 0, 0, 4}, func(s *session) { s.drain() })
	_, err = connector().Connect(within(t, testTimeout), f.target(), secret, nil)
	wantKind(t, err, Protocol)
	f.ended()
}

// A failed, a hanging and a successful login leave no descriptor behind.
func TestLogin_LeavesNoDescriptor(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	count := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(all)
	}
	f := newFakeServer(t, func(n int, s *session) {
		switch {
		case n < 5:
			s.start() // breaks off in start-up
		case n == 5:
			s.drain()
		default:
			acceptLogin(s)
		}
	})
	before := count()
	must(t, (&Connector{hedgeDelay: 50 * time.Millisecond}).Login(within(t, testTimeout), f.target(), secret))
	f.ended()
	for end := time.Now().Add(testTimeout); count() >= before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) { // the listener is closed, so it is one fewer
			t.Fatalf("got %d descriptors, want fewer than %d", count(), before)
		}
	}
}
