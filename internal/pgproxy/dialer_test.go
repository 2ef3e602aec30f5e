package pgproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

// tokenList supplies these tokens in turn, and the last one repeatedly.
type tokenList []string

func (l *tokenList) Token(context.Context) (credential.Token, error) {
	list := *l
	if len(list) == 0 {
		return credential.Token{}, errors.New("no token")
	}
	if len(list) > 1 {
		*l = list[1:]
	}
	return credential.Token{Value: credential.NewSecret(list[0])}, nil
}

func (l *tokenList) Refresh(ctx context.Context, _ credential.Secret) (credential.Token, error) {
	return l.Token(ctx)
}

func describe(error) (message, hint string) { return "our message", "our hint" }

func TestDialer_ServerErrors(t *testing.T) {
	d := NewDialer(pglogin.Target{}, &tokenList{}, describe)
	for _, c := range []struct {
		err                 error
		code, message, hint string
	}{
		{&pglogin.Error{Kind: pglogin.DatabaseMissing, Code: "3D000", Message: `database "x" does not exist`}, "3D000", `database "x" does not exist`, ""},
		{&pglogin.Error{Kind: pglogin.WakeTimeout}, "57P03", "our message", "our hint"},
		{&pglogin.Error{Kind: pglogin.Certificate, Message: "x509"}, "08001", "our message", "our hint"},
		{errors.New("the workspace is down"), "08001", "our message", "our hint"},
	} {
		var e *ServerError
		if err := d.serverError(c.err); !errors.As(err, &e) || e.Code != c.code || e.Message != c.message || e.Hint != c.hint {
			t.Errorf("%v: got %+v", c.err, e)
		}
	}
	if err := d.serverError(&pglogin.Error{Kind: pglogin.Canceled}); errors.As(err, new(*ServerError)) {
		t.Errorf("a client that has gone: got %v", err)
	}
	var e *ServerError
	if _, err := d.Login(t.Context(), map[string]string{"user": "u", "database": "d"}); !errors.As(err, &e) || e.Message != "our message" {
		t.Errorf("without a token: got %v", err)
	}
}

func TestDialer_NeverLogsInUnverified(t *testing.T) {
	d := NewDialer(pglogin.Target{Host: "h.example", Port: 1, User: "u", SSLMode: pglogin.VerifyFull, SSLRootCert: "/nonexistent"}, &tokenList{"a"}, describe)
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	params := map[string]string{"user": "u", "database": "d", "application_name": "x"}
	var e *ServerError
	if _, err := d.Login(ctx, params); !errors.As(err, &e) || e.Code != unableToConnect {
		t.Errorf("got %v", err)
	}
	if len(params) != 3 {
		t.Errorf("the client's parameters were changed: %v", params)
	}
	if err := d.Cancel(ctx, 1, nil); !errors.As(err, new(*pglogin.Error)) {
		t.Errorf("cancel: got %v", err)
	}
}

// postgres accepts logins with the right password, and records the passwords.
func postgres(t *testing.T, right string) (target pglogin.Target, passwords func() []string) {
	t.Helper()
	config, err := newTLSConfig()
	must(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var mu sync.Mutex
	var seen []string
	var wg sync.WaitGroup
	serve := func(c net.Conn) {
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(guard))
		if _, err := io.ReadFull(c, make([]byte, 8)); err != nil {
			return
		}
		_, _ = c.Write([]byte("S"))
		s := tls.Server(c, config)
		be := pgproto3.NewBackend(s, s)
		if _, err := be.ReceiveStartupMessage(); err != nil {
			return
		}
		be.Send(&pgproto3.AuthenticationCleartextPassword{})
		if be.Flush() != nil || be.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
			return
		}
		m, err := be.Receive()
		if err != nil {
			return
		}
		given := m.(*pgproto3.PasswordMessage).Password
		mu.Lock()
		seen = append(seen, given)
		mu.Unlock()
		if given != right {
			be.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: "password authentication failed"})
			_ = be.Flush()
			return
		}
		be.Send(&pgproto3.AuthenticationOk{})
		be.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		_ = be.Flush()
		_, _ = io.Copy(io.Discard, s)
	}
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	passwords = func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
	return pglogin.Target{Host: "localhost", HostAddr: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, User: "u", SSLMode: pglogin.Require}, passwords
}

// A token that the server refuses is replaced once, and only by another one.
func TestDialer_ReplacesARefusedToken(t *testing.T) {
	for _, c := range []struct {
		tokens, sent []string
		ok           bool
	}{
		{[]string{"old", "new"}, []string{"old", "new"}, true},
		{[]string{"old", "older", "new"}, []string{"old", "older"}, false},
		{[]string{"old"}, []string{"old"}, false},
		{[]string{"new"}, []string{"new"}, true},
	} {
		target, passwords := postgres(t, "new")
		list := tokenList(c.tokens)
		ctx, cancel := context.WithTimeout(t.Context(), guard)
		s, err := NewDialer(target, &list, describe).Login(ctx, map[string]string{"user": "u", "database": "d"})
		cancel()
		if err == nil {
			_ = s.Conn.Close()
		}
		if (err == nil) != c.ok || !slices.Equal(passwords(), c.sent) || err != nil && !strings.Contains(err.Error(), "password authentication failed") {
			t.Errorf("%q: got %v, sent %q; want %q", c.tokens, err, passwords(), c.sent)
		}
	}
}

// Logins that wait at the same time wait for one wake.
func TestDialer_CountsEachWakeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDialer(pglogin.Target{}, &tokenList{}, describe)
		login := func(takes time.Duration, waited bool) {
			begin := time.Now()
			time.Sleep(takes)
			d.countLogin(begin, waited)
		}
		var all sync.WaitGroup
		for i := range 300 {
			all.Go(func() { login(3*time.Second+time.Duration(i)*time.Millisecond, true) })
		}
		all.Wait()
		for _, c := range []struct {
			name   string
			takes  time.Duration
			waited bool
			want   int64
		}{
			{"300 at once", 0, false, 1},
			{"awake", time.Second, false, 1},
			{"suspended again", time.Second, true, 2},
		} {
			if login(c.takes, c.waited); d.Wakes() != c.want {
				t.Errorf("%s: got %d wakes, want %d", c.name, d.Wakes(), c.want)
			}
		}
		// A login that answers meanwhile shows that the compute is not suspended.
		all.Go(func() { login(2*time.Second, true) })
		time.Sleep(time.Second)
		login(time.Millisecond, false)
		all.Wait()
		if n := d.Wakes(); n != 2 {
			t.Errorf("a slow login at an awake compute: got %d wakes, want 2", n)
		}
	})
}
