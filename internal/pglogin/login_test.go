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

// The password is sent to a Postgres server only, whose certificate is trusted.
func TestLogin_OtherServers(t *testing.T) {
	answer := func(text string) func(*session) { return func(s *session) { s.answer(text) } }
	inTLS := func(text string) func(*session) {
		return func(s *session) {
			if s.start() {
				_, _ = s.Write([]byte(text))
			}
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Target)
		serve  func(*session)
		kind   Kind
		text   string // of message or hint
	}{
		{"other name", func(to *Target) { to.Host = "other.example.com" }, acceptLogin, Certificate, "the certificate is for another host"},
		{"an address", func(to *Target) { to.Host = "127.0.0.1" }, acceptLogin, Certificate, "the certificate is for another host"},
		{"other root", func(to *Target) { _, to.SSLRootCert = newCertificate(t) }, acceptLogin, Certificate, "--sslrootcert"},
		{"plain server", nil, answer("N"), TLSRefused, "does not support TLS"},
		{"HTTP", nil, answer("HTTP/1.1 400 Bad Request\r\n\r\n"), TLSRefused, "answered the request for TLS with 'H'"},
		{"S, then junk", nil, answer("Shello there, I am no TLS server"), Protocol, ""},
		{"text in TLS", nil, inTLS("HTTP/1.1 200 OK\r\n\r\n"), Protocol, ""},
		{"GSS", nil, inTLS("R\x00\x00\x00\x08\x00\x00\x00\x07"), Protocol, "requires GSSAPI, SSPI"},
		{"2 GB message", nil, inTLS("E\x7f\xff\xff\xff"), Protocol, "expected at most 65536, but got 2147483643"},
	} {
		f := newFakeServer(t, func(_ int, s *session) { c.serve(s); s.drain() })
		target := f.target()
		if c.change != nil {
			c.change(&target)
		}
		e := wantKind(t, connector().Login(within(t, testTimeout), target, secret), c.kind)
		if !strings.Contains(e.Message+e.Hint(), c.text) {
			t.Errorf("%s: got %v, hint %q, want %q", c.name, e, e.Hint(), c.text)
		}
		all := f.ended()
		for _, s := range all {
			leaked := s.password != "" || strings.Contains(string(s.bytes), password)
			if len(all) > 1 || leaked || c.kind != Protocol && (s.startup != nil || len(s.bytes) != 0) {
				t.Errorf("%s: got %d connections; the client sent %q, %v", c.name, len(all), s.bytes, s.startup)
			}
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
		if s.ask() && s.send(notice) && s.accept(notice, status) {
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
	key := []byte{1, 2, 3, 4}
	if c.PID != 7 || !slices.Equal(c.SecretKey, key) || c.Parameters["server_version"] != "17.5" || c.TxStatus != 'I' || c.Waited {
		t.Errorf("got %+v", c)
	}
	want, err := notice.Encode(nil)
	must(t, err)
	want, _ = status.Encode(append(want, want...))
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
