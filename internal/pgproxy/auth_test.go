package pgproxy

import (
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

func TestWhoIsRefused(t *testing.T) {
	d := open(t, Options{}, echo)
	long := strings.Repeat("p", maxStartupPacket)
	for _, c := range []struct{ name, user, code, text, hint, answer string }{
		{"wrong password", user, "28P01", `password authentication failed for user "robot"`, "PGPASSWORD of the child", string(passwordMessage(t, "guess"))},
		{"a part of it", user, "28P01", `password authentication failed for user "robot"`, "PGPASSWORD", string(passwordMessage(t, password[:5]))},
		{"no password", user, "28P01", "empty password returned by client", "", string(passwordMessage(t, ""))},
		{"wrong user", "stranger", "28000", `role "stranger" is not the one that this proxy logs in as`, `"robot"`, string(passwordMessage(t, password))},
		{"both wrong", "stranger", "28P01", `password authentication failed for user "stranger"`, "PGPASSWORD", string(passwordMessage(t, "guess"))},
		{"a query", user, "08P01", "expected password response, got message type 81", "", "Q\x00\x00\x00\x0dselect 1\x00"},
		{"too long", user, "08P01", "invalid password packet size", "", string(passwordMessage(t, long))},
		{"a length of 0", user, "08P01", "invalid password packet size", "", "p\x00\x00\x00\x00"},
		{"two strings", user, "08P01", "invalid password packet size", "", "p\x00\x00\x00\x08a\x00b\x00"},
	} {
		conn := dial(t, d.unix)
		conn.send(startup(t, "user", c.user))
		conn.asked()
		_, _ = conn.Write([]byte(c.answer)) // it may close before the last byte of a long one
		e := conn.failure()
		if e.Code != c.code || e.Message != c.text || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s: %+v", c.name, e)
		}
		if c.code == "28P01" && strings.Contains(e.Message+e.Hint+e.Detail, `"robot"`) && c.user != user {
			t.Errorf("%s: a stranger is told the user: %+v", c.name, e)
		}
	}
	if n := d.up.logins.Load(); n != 0 {
		t.Fatalf("the upstream was touched %d times", n)
	}
	if n := d.Stats().Refused; n != 9 || len(d.events(Refused)) != 9 {
		t.Errorf("%d refused", n)
	}
	dial(t, d.unix).login().says("hello")

	gone := dial(t, d.unix) // psql hangs up to ask its user
	gone.send(startup(t, "user", user))
	gone.asked()
	_ = gone.Close()
	eventually(t, "the start-up to end", func() bool { return d.Stats().HalfOpen == 0 })
	if n := d.Stats().Refused; n != 9 {
		t.Errorf("a client that hung up was counted: %d", n)
	}
}

func TestTrustLocal(t *testing.T) {
	d := open(t, Options{TrustLocal: true}, echo)
	c := dial(t, d.unix)
	c.send(startup(t, "user", user))
	c.welcome().says("hello")
	other := dial(t, d.unix)
	other.send(startup(t, "user", "stranger"))
	if e := other.failure(); e.Code != "28000" || !strings.Contains(e.Hint, user) {
		t.Errorf("another user: %+v", e)
	}
}

// A door without a password and without TrustLocal is shut, not open.
func TestNoPasswordIsShut(t *testing.T) {
	d := open(t, Options{TrustLocal: true}, echo)
	d.o.TrustLocal, d.o.Password = false, credential.Secret{}
	for _, guess := range []string{"", "x"} {
		c := dial(t, d.unix)
		c.send(startup(t, "user", user))
		c.asked()
		c.send(passwordMessage(t, guess))
		if e := c.failure(); e.Code != "28P01" {
			t.Errorf("%q: %+v", guess, e)
		}
	}
}

func TestPipelinedStartup(t *testing.T) {
	d := open(t, Options{}, echo)
	c := dial(t, d.unix)
	c.send(append(append(startup(t, "user", user), passwordMessage(t, password)...), "first words"...))
	c.asked()
	c.welcome()
	if got := string(c.bytes(11)); got != "first words" {
		t.Errorf("%q", got)
	}
}
