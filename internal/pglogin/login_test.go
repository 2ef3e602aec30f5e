package pglogin

import (
	"context"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

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

// A compute may fail in each of these ways while it wakes.
func TestLogin_RetriesUntilAwake(t *testing.T) {
	fails := []func(*session){
		func(s *session) { refuse(s, "57P03", "the database system is starting up") },
		func(s *session) { refuse(s, "53300", "sorry, too many clients already") },
		func(s *session) { s.answer("Eno") },
		func(s *session) { _ = s.raw.(*net.TCPConn).SetLinger(0) }, // the server resets the connection
		func(s *session) { s.tls() },
		func(s *session) { s.start() },
		func(s *session) { s.ask() },
	}
	f := newFakeServer(t, func(n int, s *session) {
		if n < len(fails) {
			fails[n](s)
		} else {
			acceptLogin(s)
		}
	})
	failures := 0
	c := connector()
	c.Progress = func(*Error) { failures++ }
	must(t, c.Login(within(t, testTimeout), f.target(), secret))
	// A further connection would be a cancel request of pgconn.
	if all := f.ended(); len(all) != len(fails)+1 || !all[len(fails)].terminated || failures != len(fails) {
		t.Errorf("got %d connections and %d failures, want %d failures", len(all), failures, len(fails))
	}
}

// The certificate is checked before the password is sent.
func TestLogin_VerifiesTheServer(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Target)
		kind   Kind // empty: the login succeeds
		hint   string
	}{
		{"require", func(target *Target) {
			target.Host, target.SSLMode, target.SSLRootCert = "other.example.com", Require, ""
		}, "", ""},
		{"other name", func(target *Target) { target.Host = "other.example.com" }, Certificate, "the certificate is for another host"},
		{"an address", func(target *Target) { target.Host = "127.0.0.1" }, Certificate, "the certificate is for another host"},
		{"other root", func(target *Target) { _, target.SSLRootCert = newCertificate(t) }, Certificate, "--sslrootcert"},
		{"no root", func(target *Target) { target.SSLRootCert = "/nonexistent" }, BadRootCert, "--sslrootcert"},
	} {
		f := newFakeServer(t, func(_ int, s *session) { acceptLogin(s) })
		target := f.target()
		c.change(&target)
		err := connector().Login(within(t, testTimeout), target, secret)
		all := f.ended()
		if c.kind == "" {
			must(t, err)
			continue
		}
		if e := wantKind(t, err, c.kind); !strings.Contains(e.Hint(), c.hint) {
			t.Errorf("%s: got hint %q", c.name, e.Hint())
		}
		for _, s := range all {
			if len(all) > 1 || s.password != "" || s.startup != nil {
				t.Errorf("%s: got %d connections, start-up %v", c.name, len(all), s.startup)
			}
		}
	}
}

func TestLogin_PeerIsNotPostgres(t *testing.T) {
	answer := func(text string) func(*session) { return func(s *session) { s.answer(text) } }
	inTLS := func(text string) func(*session) {
		return func(s *session) {
			if s.start() {
				_, _ = s.Write([]byte(text))
			}
		}
	}
	for _, c := range []struct {
		name  string
		serve func(*session)
		kind  Kind
		text  string
	}{
		{"plain server", answer("N"), TLSRefused, "does not support TLS"},
		{"S, then junk", answer("Shello there, I am no TLS server"), Protocol, ""},
		{"text in TLS", inTLS("HTTP/1.1 200 OK\r\n\r\n"), Protocol, ""},
		{"huge", inTLS("E\x7f\xff\xff\xff"), Protocol, "expected at most 65536"},
		{"GSS", inTLS("R\x00\x00\x00\x08\x00\x00\x00\x07"), Protocol, "requires GSSAPI, SSPI"},
		{"SSPI", inTLS("R\x00\x00\x00\x08\x00\x00\x00\x09"), Protocol, "requires GSSAPI, SSPI"},
		{"endless", func(s *session) {
			for s.start(); s.send(&pgproto3.ParameterStatus{Name: "x", Value: strings.Repeat("y", 10_000)}); {
			}
		}, Protocol, "sent too much"},
	} {
		f := newFakeServer(t, func(_ int, s *session) { c.serve(s); s.drain() })
		err := connector().Login(within(t, testTimeout), f.target(), secret)
		if e := wantKind(t, err, c.kind); !strings.Contains(e.Message, c.text) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.text)
		}
		all := f.ended()
		if len(all) != 1 || c.name == "plain server" && len(all[0].bytes) != 0 || strings.Contains(string(all[0].bytes), password) {
			t.Errorf("%s: got %d connections, the client sent %q", c.name, len(all), all[0].bytes)
		}
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
	params := map[string]string{"application_name": "app", "options": "-c work_mem=1MB"}
	c, err := connector().Connect(within(t, testTimeout), target, secret, params)
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
	params["user"], params["database"] = "a user", "another"
	if got := f.ended()[0].startup; !maps.Equal(got, params) {
		t.Errorf("got start-up parameters %v, want %v", got, params)
	}
}

// A server that is silent for long may have been suspended.
func TestConnect_Waited(t *testing.T) {
	f := newFakeServer(t, func(_ int, s *session) {
		if s.ask() {
			time.Sleep(silenceOfWake + 50*time.Millisecond)
			s.accept()
		}
	})
	conn, err := (&Connector{hedgeDelay: 10 * time.Millisecond}).Connect(within(t, testTimeout), f.target(), secret, nil)
	must(t, err)
	if !conn.Waited {
		t.Error("got Waited false, want true")
	}
	_ = conn.Close()
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
	for _, behind := range []string{string(status[:7]), "\xFF\x00\x00\x00\x04"} {
		f := newFakeServer(t, func(_ int, s *session) {
			if !s.ask() {
				return
			}
			_, _ = s.Write([]byte("R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I" + behind))
			time.Sleep(100 * time.Millisecond)
			_, _ = s.Write(status[7:])
			s.echo()
		})
		c, err := connector().Connect(within(t, testTimeout), f.target(), secret, nil)
		if behind[0] == 0xFF {
			wantKind(t, err, Protocol)
			continue
		}
		must(t, err)
		if string(c.Pending) != string(status) {
			t.Errorf("got pending %q, want %q", c.Pending, status)
		}
		wantEcho(t, c)
		_ = c.Close()
	}
}
