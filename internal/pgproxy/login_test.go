package pgproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// asleep is a compute that wakes when it is told to.
func asleep(wake <-chan struct{}) func(*fake) {
	return func(f *fake) {
		f.before = func(ctx context.Context, _ map[string]string) (*Server, error) {
			select {
			case <-wake:
				return nil, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
}

func TestEarlyBytesAreKept(t *testing.T) {
	wake := make(chan struct{})
	d := open(t, Options{}, echo, asleep(wake))
	plain := dial(t, d.unix).knock()
	secure := dial(t, d.tcp).secured().knock()
	big := dial(t, d.unix).knock()
	eventually(t, "three to wait", func() bool { return d.Stats().Waiting == 3 })
	text := strings.Repeat("x", 3*maxEarly)
	go func() { _, _ = big.Write([]byte(text)) }()
	plain.send([]byte("early "))
	secure.send([]byte("early "))
	time.Sleep(50 * time.Millisecond)
	plain.send([]byte("later "))
	close(wake)
	plain.welcome()
	if got := string(plain.bytes(12)); got != "early later " {
		t.Errorf("%q", got)
	}
	plain.says("and on")
	secure.welcome()
	if got := string(secure.bytes(6)); got != "early " {
		t.Errorf("%q", got)
	}
	secure.says("and on")
	big.welcome()
	if got := big.bytes(len(text)); !bytes.Equal(got, []byte(text)) {
		t.Error("what was more than is kept came back otherwise")
	}
	if s := d.Stats(); s.Open != 3 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

func TestClientGoneCancelsTheLogin(t *testing.T) {
	d := open(t, Options{}, echo, asleep(nil))
	cause := make(chan error, 3)
	wait := d.up.before
	d.up.before = func(ctx context.Context, p map[string]string) (*Server, error) {
		s, err := wait(ctx, p)
		cause <- context.Cause(ctx)
		return s, err
	}
	plain, tcp, secure := dial(t, d.unix).knock(), dial(t, d.tcp).knock(), dial(t, d.tcp).secured().knock()
	eventually(t, "three to wait", func() bool { return d.Stats().Waiting == 3 })
	for _, c := range []*client{plain, tcp, secure} {
		must(t, c.Close())
	}
	for range 3 {
		select {
		case err := <-cause:
			if !errors.Is(err, errClientGone) {
				t.Errorf("the login ended by %v", err)
			}
		case <-time.After(guard):
			t.Fatal("the login goes on without its client")
		}
	}
	eventually(t, "all to be gone", func() bool { return len(d.events(ClientGone)) == 3 && d.Stats().Waiting == 0 })
	if s := d.Stats(); s.FailedLogins != 0 || s.Logins != 0 {
		t.Errorf("%+v", s)
	}
}

// A login that succeeds for a client that has just left is said goodbye to.
func TestServerOfAGoneClientIsClosed(t *testing.T) {
	heard := make(chan []byte, 1)
	d := open(t, Options{}, nil, func(f *fake) {
		f.db = newDatabase(t, func(c net.Conn) { b, _ := io.ReadAll(c); heard <- b })
		f.before = func(ctx context.Context, _ map[string]string) (*Server, error) {
			<-ctx.Done() // it does not listen
			c, err := f.dial(context.Background())
			return &Server{Conn: c}, err
		}
	})
	must(t, dial(t, d.unix).knock().Close())
	select {
	case b := <-heard:
		if string(b) != "X\x00\x00\x00\x04" {
			t.Errorf("the server heard %q", b)
		}
	case <-time.After(guard):
		t.Fatal("the server's connection stays open")
	}
}

func TestWhatAFailedLoginTells(t *testing.T) {
	secret := errors.New("dial tcp 10.1.2.3: token eyJhbGciOi")
	for _, c := range []struct {
		name             string
		err              error
		code, text, hint string
	}{
		{"its own words", &ServerError{Severity: "ERROR", Code: "28P01", Message: "no\x1b[31m such\trole", Hint: "create it"}, "28P01", `no\x1B[31m such role`, "create it"},
		{"wrapped", fmt.Errorf("x: %w", &ServerError{Code: "3D000", Message: "no database"}), "3D000", "no database", ""},
		{"anything else", secret, "08006", "the login at the database failed", "the proxy's own output"},
		{"a deadline of its own", fmt.Errorf("x: %w", context.DeadlineExceeded), "57P03", "within 1m0s", "Connect again"},
	} {
		d := open(t, Options{}, echo, func(f *fake) {
			f.before = func(context.Context, map[string]string) (*Server, error) { return nil, c.err }
		})
		e := dial(t, d.unix).knock().failure()
		if e.Code != c.code || !strings.Contains(e.Message, c.text) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s: %+v", c.name, e)
		}
		if strings.Contains(fmt.Sprintf("%+v", e), "eyJ") {
			t.Errorf("%s: the inside is told: %+v", c.name, e)
		}
		if ev := d.events(LoginFailed); len(ev) != 1 || !errors.Is(ev[0].Err, c.err) || d.Stats().FailedLogins != 1 {
			t.Errorf("%s: %+v", c.name, ev)
		}
	}
}

func TestLoginTimeout(t *testing.T) {
	up := &fake{}
	asleep(nil)(up)
	inFakeTime(t, Options{LoginTimeout: 3 * time.Second, StartupTimeout: 2 * time.Second, Upstream: up}, func(t *testing.T, _ *Proxy, dial func() *client) {
		began := time.Now()
		e := dial().knock().failure()
		if took := time.Since(began); took < 3*time.Second || took > 3*time.Second+lingerTime {
			t.Errorf("after %v", took)
		}
		if e.Code != "57P03" || e.Message != "the database did not let anybody in within 3s" {
			t.Errorf("%+v", e)
		}
	})
}

func TestServeEndsWhileALoginWaits(t *testing.T) {
	d := open(t, Options{LoginTimeout: time.Hour}, echo, asleep(nil))
	c := dial(t, d.unix).knock()
	eventually(t, "it to wait", func() bool { return d.Stats().Waiting == 1 })
	must(t, d.stop())
	c.ended()
	if n := d.Stats().FailedLogins; n != 0 {
		t.Errorf("%d failed", n)
	}
}

// TLS may have read more than the login needed: such bytes are not waited for.
func TestRecordsReadAlready(t *testing.T) {
	written := make(chan struct{})
	serve := func(c net.Conn) {
		_, _ = c.Write([]byte("login"))
		_, _ = c.Write([]byte("behind"))
		close(written)
		_, _ = c.Read(make([]byte, 1))
	}
	d := open(t, Options{}, serve)
	d.up.before = func(ctx context.Context, _ map[string]string) (*Server, error) {
		c, err := d.up.dial(ctx)
		if err != nil {
			return nil, err
		}
		<-written // both records are there
		_, err = io.ReadFull(c, make([]byte, 5))
		return &Server{Conn: c}, err
	}
	c := dial(t, d.unix).knock().welcome()
	if got := string(c.bytes(6)); got != "behind" {
		t.Errorf("%q", got)
	}
}
