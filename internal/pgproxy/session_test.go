package pgproxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLoginIsOneGreeting(t *testing.T) {
	d := open(t, Options{}, echo, func(f *fake) { f.pending = []byte("pending") })
	for _, addr := range []string{d.unix, d.tcp} {
		c := dial(t, addr)
		c.send(startup(t, "user", user, "application_name", "psql", "options", "-c x=y"))
		c.asked()
		c.send(passwordMessage(t, password))
		eventually(t, "the login", func() bool { return len(d.events(LoggedIn)) > 0 })
		b := make([]byte, 4096)
		n, err := c.Read(b) // all in one write
		must(t, err)
		if !bytes.HasSuffix(b[:n], []byte("Z\x00\x00\x00\x05Ipending")) || !bytes.HasPrefix(b[:n], []byte("R\x00\x00\x00\x08\x00\x00\x00\x00S")) {
			t.Errorf("the greeting is %q", b[:n])
		}
		c.says("select 1")
		want := map[string]string{"user": user, "database": user, "application_name": "psql", "options": "-c x=y"}
		if diff := cmp.Diff(want, d.up.last()); diff != "" {
			t.Error(diff)
		}
	}
	c := dial(t, d.unix).login()
	if diff := cmp.Diff([]string{"application_name\x00\x00", "client_encoding\x00UTF8\x00", "server_version\x0017.5\x00"}, c.params); diff != "" {
		t.Error(diff)
	}
	if c.pid != 3 || binary.BigEndian.Uint32(c.key) != 0xC0DE0003 {
		t.Errorf("the key is %d %x", c.pid, c.key)
	}
	if d.up.last()["database"] != "shop" {
		t.Errorf("the database asked for is %q", d.up.last()["database"])
	}
	if s := d.Stats(); s.Logins != 3 || s.Open != 3 || s.Waiting+s.HalfOpen+s.Refused+s.FailedLogins != 0 {
		t.Errorf("%+v", s)
	}
}

func TestEncryptionRequests(t *testing.T) {
	d := open(t, Options{}, echo)
	local := dial(t, d.unix)
	for _, code := range []uint32{codeSSL, codeGSS} {
		local.send(request(code))
		if b := local.bytes(1); b[0] != 'N' {
			t.Errorf("a Unix socket answers %q", b)
		}
	}
	local.login().says("hello")

	for _, gssFirst := range []bool{true, false} {
		c := dial(t, d.tcp)
		if gssFirst {
			c.send(request(codeGSS))
			if b := c.bytes(1); b[0] != 'N' {
				t.Errorf("GSSENCRequest is answered with %q", b)
			}
		}
		c.secured().login().says("hello")
	}
	plain := dial(t, d.tcp)
	plain.login().says("hello")
}

func TestDirectTLS(t *testing.T) {
	d := open(t, Options{}, echo)
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		dial(t, d.tcp).handshake(name, "postgresql").login().says("hello")
	}
	e := dial(t, d.tcp).handshake("localhost").failure()
	if e.Code != "08P01" || e.Message != "received direct SSL connection request without ALPN protocol negotiation extension" {
		t.Errorf("without ALPN: %+v", e)
	}
	local := dial(t, d.unix)
	local.send([]byte("\x16\x03\x01\x02\x00"))
	if e := local.failure(); e.Message != "invalid length of startup packet" {
		t.Errorf("on a Unix socket: %+v", e)
	}
}

func TestStartupRefusals(t *testing.T) {
	d := open(t, Options{}, echo)
	whole := startup(t, "user", user)
	inside := func(send ...[]byte) func(*client) *client {
		return func(c *client) *client { c = c.secured(); c.send(send...); return c }
	}
	first := func(send ...[]byte) func(*client) *client {
		return func(c *client) *client { c.send(send...); return c }
	}
	for _, c := range []struct {
		name, code, text string
		do               func(*client) *client
	}{
		{"garbage", "08P01", "invalid length of startup packet", first([]byte("GET / HTTP/1.1\r\n\r\n"))},
		{"1 GiB", "08P01", "invalid length of startup packet", first([]byte{0x40, 0, 0, 0}, make([]byte, 100<<10))},
		{"protocol 2", "0A000", "unsupported frontend protocol 2.0: server supports 3.0 to 3.0", first(raw(2<<16, strings.Repeat("x", 288)))},
		{"no user", "28000", "no PostgreSQL user name specified in startup packet", first(startup(t, "database", "shop"))},
		{"bytes after SSLRequest", "08P01", "received unencrypted data after SSL request", first(append(request(codeSSL), whole...))},
		{"bytes after GSSENCRequest", "08P01", "received unencrypted data after GSSAPI encryption request", first(append(request(codeGSS), whole...))},
		{"SSLRequest in TLS", "0A000", "unsupported frontend protocol 1234.5679: server supports 3.0 to 3.0", inside(request(codeSSL))},
		{"GSSENCRequest in TLS", "0A000", "unsupported frontend protocol 1234.5680: server supports 3.0 to 3.0", inside(request(codeGSS))},
		{"two GSSENCRequests", "0A000", "unsupported frontend protocol 1234.5680: server supports 3.0 to 3.0", func(c *client) *client {
			c.send(request(codeGSS))
			c.bytes(1)
			c.send(request(codeGSS))
			return c
		}},
	} {
		e := c.do(dial(t, d.tcp)).failure()
		if e.Code != c.code || e.Message != c.text || e.Severity != "FATAL" || e.SeverityUnlocalized != "FATAL" {
			t.Errorf("%s: %+v", c.name, e)
		}
	}
	if n := d.up.logins.Load(); n != 0 {
		t.Errorf("the upstream was touched %d times", n)
	}
	dial(t, d.tcp).login().says("hello")
}

func TestSSLRequestFlood(t *testing.T) {
	d := open(t, Options{}, echo)
	c := dial(t, d.unix)
	c.send(request(codeSSL))
	c.bytes(1)
	for range 1000 {
		if _, err := c.Write(request(codeSSL)); err != nil {
			break // it has closed already
		}
	}
	if e := c.failure(); e.Message != "unsupported frontend protocol 1234.5679: server supports 3.0 to 3.0" {
		t.Errorf("%+v", e)
	}
}

func TestSlowAndSilentStartups(t *testing.T) {
	const limit = 2 * time.Second
	up := &fake{before: func(context.Context, map[string]string) (*Server, error) {
		near, far := net.Pipe()
		go echo(far)
		return &Server{Conn: near, PID: 1, SecretKey: []byte("abcd")}, nil
	}}
	inFakeTime(t, Options{StartupTimeout: limit, Upstream: up}, func(t *testing.T, p *Proxy, dial func() *client) {
		slow := dial()
		packet := startup(t, "user", user, "database", "shop")
		for _, b := range packet { // slow, and still in time
			slow.send([]byte{b})
			time.Sleep(limit / time.Duration(len(packet)+1))
		}
		slow.asked()
		for _, b := range passwordMessage(t, password) {
			slow.send([]byte{b})
		}
		slow.welcome().says("hello")

		began := time.Now()
		silent, half, drip, mute := dial(), dial(), dial(), dial()
		half.send(request(codeSSL)) // and no handshake
		half.bytes(1)
		mute.send(startup(t, "user", user)) // and no password
		mute.asked()
		go func() { // stays under any timeout between two bytes
			for _, b := range startup(t, "user", strings.Repeat("x", 800)) {
				if _, err := drip.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		}()
		silent.ended()
		half.ended()
		drip.ended()
		if e := mute.failure(); e.Code != "57014" || e.Message != "canceling authentication due to timeout" {
			t.Errorf("without a password: %+v", e)
		}
		if took := time.Since(began); took < limit || took > limit+lingerTime {
			t.Errorf("dropped after %v", took)
		}
		if synctest.Wait(); p.Stats().HalfOpen != 0 {
			t.Errorf("%d start-ups are left", p.Stats().HalfOpen)
		}
		slow.says("still here")
		_ = slow.Close()
	})
}

func TestNegotiation(t *testing.T) {
	d := open(t, Options{}, echo)
	for _, c := range []struct {
		minor  uint32
		option string
	}{{2, ""}, {9999, "_pq_.grease"}, {0, "_pq_.x"}} {
		conn := dial(t, d.unix)
		body, want := "user\x00"+user+"\x00\x00", binary.BigEndian.AppendUint32(nil, 3<<16)
		if c.option == "" {
			want = append(want, 0, 0, 0, 0)
		} else {
			body = c.option + "\x00on\x00" + body
			want = append(append(want, 0, 0, 0, 1), c.option+"\x00"...)
		}
		conn.send(raw(3<<16|c.minor, body))
		if kind, got := conn.message(); kind != 'v' || !bytes.Equal(got, want) {
			t.Errorf("3.%d %s: %q %q", c.minor, c.option, kind, got)
		}
		conn.asked()
		conn.send(passwordMessage(t, password))
		conn.welcome().says("hello")
		if len(d.up.last()) != 2 {
			t.Errorf("passed on: %v", d.up.last())
		}
	}
}
