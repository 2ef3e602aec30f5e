package pgproxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

func FuzzStartup(f *testing.F) {
	f.Add(raw(3<<16, "user\x00robot\x00database\x00shop\x00\x00"))
	f.Add(raw(3<<16|2, "user\x00r\x00_pq_.x\x001\x00\x00tail"))
	f.Add(raw(codeSSL, ""))
	f.Add(cancelRequest(1, []byte("abcd")))
	f.Add([]byte{0x40, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		near, far := net.Pipe()
		_, _ = near.Close(), far.Close() // the client sends b and closes
		p, err := (&session{conn: far, buf: slices.Clone(b)}).readPacket()
		e, ok := errors.AsType[*ServerError](err)
		if err != nil && !errors.Is(err, io.ErrClosedPipe) && (!ok || len(e.Code) != 5 || e.Message == "") {
			t.Fatalf("got error %+v, want a ServerError with code and message", err)
		}
		if err == nil && p.params != nil && (p.params["user"] == "" || p.params["database"] == "") {
			t.Fatalf("got parameters %v without user or database", p.params)
		}
	})
}

func TestStartup_Encryption(t *testing.T) {
	p := start(t, Options{}, echo)
	dial(t, p.tcp).login().echo("without encryption")
	if filepath.IsAbs(p.unix) {
		dial(t, p.unix).request(codeSSL, "N").request(codeGSS, "N").login().echo("hello")
	}
	dial(t, p.tcp).startTLS().login().echo("hello")
	dial(t, p.tcp).request(codeGSS, "N").startTLS().login().echo("hello")
}

func TestStartup_Rejects(t *testing.T) {
	p := start(t, Options{}, echo)
	const layout = "invalid startup packet layout: expected terminator as last byte"
	const length = "invalid length of startup packet"
	const encryption = "received unencrypted data after a request for encryption"
	const cancelLength = "invalid length of query cancel packet"
	for _, c := range []struct {
		tls        bool
		send       string
		code, text string
	}{
		{false, "GET / HTTP/1.1\r\n\r\n" + strings.Repeat(" ", 100<<10), "08P01", length},
		{false, "\x16\x03\x01\x02\x00\x01\x00\x01", "08P01", length}, // TLS without an SSLRequest
		{false, strings.Repeat("\x00", 8), "08P01", length},
		{false, string(raw(3<<16, strings.Repeat("x", maxStartupPacket))[:8]), "08P01", length},
		{false, string(raw(codeSSL, "x")), "08P01", length},
		{false, string(raw(2<<16, "x")[:8]), "0A000", "unsupported frontend protocol 2.0: server supports 3.0 to 3.0"},
		{false, string(raw(3<<16, "user\x00robot\x00")), "08P01", layout},
		{false, string(raw(3<<16, "user\x00robot\x00\x00x\x00\x00")), "08P01", layout},
		{false, string(raw(3<<16, "user\x00robot\x00\x00x")), "08P01", layout},
		{false, string(raw(3<<16, "")), "08P01", layout},
		{false, string(raw(3<<16, "database\x00shop\x00\x00")), "28000", "no PostgreSQL user name specified in startup packet"},
		{false, string(raw(codeCancel, "1234")), "08P01", cancelLength},
		{false, string(raw(codeCancel, strings.Repeat("k", 300))), "08P01", cancelLength},
		{false, string(raw(codeSSL, "")) + string(startup("user", user)), "08P01", encryption},
		{false, string(raw(codeGSS, "")) + "x", "08P01", encryption},
		{true, string(raw(codeSSL, "")), "0A000", "unsupported frontend protocol 1234.5679: server supports 3.0 to 3.0"},
		{true, string(raw(codeGSS, "")), "0A000", "unsupported frontend protocol 1234.5680: server supports 3.0 to 3.0"},
	} {
		conn := dial(t, p.tcp)
		if c.tls {
			conn = conn.startTLS()
		}
		conn.send([]byte(c.send))
		if e := conn.failure(); e.Code != c.code || e.Message != c.text || e.Severity != "FATAL" || e.SeverityUnlocalized != "FATAL" {
			t.Errorf("%.40q: got %+v, want %s %s", c.send, e, c.code, c.text)
		}
	}
	for _, code := range []uint32{codeSSL, codeGSS} {
		if !filepath.IsAbs(p.unix) {
			break // a TCP listener encrypts
		}
		c := dial(t, p.unix).request(code, "N").request(code, "N")
		c.send(raw(code, ""))
		if e := c.failure(); e.Code != "0A000" {
			t.Errorf("repeated request %d: got %+v", code, e)
		}
	}
	if n := p.up.logins.Load(); n != 0 {
		t.Errorf("got %d logins upstream, want 0", n)
	}
}

func TestStartup_Timeout(t *testing.T) {
	p := start(t, Options{StartupTimeout: 2 * time.Second}, echo)
	open := dial(t, p.unix).login()
	silent, noHandshake, noPassword := dial(t, p.tcp), dial(t, p.tcp).request(codeSSL, "S"), dial(t, p.tcp)
	noPassword.send(startup("user", user))
	noPassword.expectPasswordRequest()
	silent.ended()
	noHandshake.ended()
	if e := noPassword.failure(); e.Code != "57014" || e.Message != "canceling authentication due to timeout" {
		t.Errorf("without a password: got %+v", e)
	}
	open.echo("not closed by the timeout")
}

func TestStartup_ProtocolNegotiation(t *testing.T) {
	p := start(t, Options{}, echo)
	for _, c := range []struct {
		minor        uint32
		option, want string
	}{
		{2, "", "\x00\x03\x00\x00\x00\x00\x00\x00"},
		{9999, "_pq_.grease\x00on\x00", "\x00\x03\x00\x00\x00\x00\x00\x01_pq_.grease\x00"},
		{0, "_pq_.x\x00on\x00", "\x00\x03\x00\x00\x00\x00\x00\x01_pq_.x\x00"},
	} {
		conn := dial(t, p.unix)
		conn.send(raw(3<<16|c.minor, c.option+"user\x00"+user+"\x00\x00"))
		conn.expect('v', c.want).expectPasswordRequest()
		conn.send(passwordMessage(password))
		conn.expectReady().echo("hello")
		if params, _ := p.up.received(); len(params) != 1 {
			t.Errorf("got parameters %v, want the database alone", params)
		}
	}
}

func TestAuth_Rejects(t *testing.T) {
	p := start(t, Options{}, echo)
	guess, long := string(passwordMessage("guess")), strings.Repeat("p", maxStartupPacket)
	cases := []struct{ name, user, code, text, hint, answer string }{
		{"wrong password", user, "28P01", `password authentication failed for user "robot"`, "PGPASSWORD", guess},
		{"empty password", user, "28P01", `password authentication failed for user "robot"`, "PGPASSWORD", string(passwordMessage(""))},
		{"wrong user", "other", "28000", `role "other" is not served by this proxy`, `"robot"`, string(passwordMessage(password))},
		{"wrong user and password", "other", "28P01", `password authentication failed for user "other"`, "PGPASSWORD", guess},
		{"a query", user, "08P01", "expected password response, got message type 81", "", "Q\x00\x00\x00\x0dselect 1\x00"},
		{"too long", user, "08P01", "invalid password packet size", "", string(passwordMessage(long))},
		{"length 0", user, "08P01", "invalid password packet size", "", "p\x00\x00\x00\x00"},
		{"two strings", user, "08P01", "invalid password packet size", "", "p\x00\x00\x00\x08a\x00b\x00"},
	}
	for _, c := range cases {
		e := dial(t, p.unix).authenticate(startup("user", c.user), []byte(c.answer)).failure()
		if e.Code != c.code || e.Message != c.text || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s: got %+v, want %s %s", c.name, e, c.code, c.text)
		}
		if c.code == "28P01" && c.user != user && strings.Contains(e.Message+e.Hint, `"robot"`) {
			t.Errorf("%s: the error names the user to a client without the password: %+v", c.name, e)
		}
	}
	rejected, _ := p.observed()
	if s := p.Stats(); p.up.logins.Load() != 0 || s.FailedLogins != int64(len(cases)) || len(rejected) != len(cases) {
		t.Errorf("got %+v and %d rejections, want %d rejections and failed logins", s, len(rejected), len(cases))
	}
	for _, r := range rejected {
		if want := fmt.Sprintf("process %d of user %d", os.Getpid(), os.Getuid()); runtime.GOOS == "linux" && r.peer != want || r.upstream {
			t.Errorf("got %+v, want peer %q", r, want)
		}
	}
	tcp := dial(t, p.tcp)
	tcp.authenticate(startup("user", user), passwordMessage("guess")).failure()
	if all, _ := p.observed(); all[len(all)-1].peer != tcp.LocalAddr().String() {
		t.Errorf("got %+v, want peer %s", all[len(all)-1], tcp.LocalAddr())
	}
	gone := dial(t, p.unix) // psql closes to ask its user for the password
	gone.send(startup("user", user))
	gone.expectPasswordRequest()
	_ = gone.Close()
	eventually(t, "the session to end", func() bool { return p.halfOpen.len() == 0 })
	if n := p.Stats().FailedLogins; n != int64(len(cases))+1 {
		t.Errorf("a client that closed is counted as failed: %d", n)
	}

	p.o.Password = credential.Secret{} // all clients are rejected
	for _, guess := range []string{"", "x"} {
		if e := dial(t, p.unix).authenticate(startup("user", user), passwordMessage(guess)).failure(); e.Code != "28P01" {
			t.Errorf("no password configured, %q given: got %+v, want 28P01", guess, e)
		}
	}
}
