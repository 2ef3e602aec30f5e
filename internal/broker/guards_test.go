package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

// A login that failed is made again by the next run, with the same values.
func TestFailedLoginIsNotProven(t *testing.T) {
	c := resolve(t, "PGHOST", ownHost)
	w := newWorld()
	w.login = func(context.Context, pglogin.Target, string) error {
		return &pglogin.Error{Kind: pglogin.DatabaseMissing}
	}
	if _, err := w.ready(t, c); err == nil {
		t.Fatal("the login did not fail")
	}
	w.did()
	w.login = nil
	if _, err := w.ready(t, c); err != nil || w.did() != "login:token-1" {
		t.Errorf("the next run made no login (%v)", err)
	}
	if _, err := w.ready(t, c); err != nil || w.did() != "" {
		t.Errorf("a login that worked is made again (%v)", err)
	}
}

// What no room has classified is told at once.
func TestUnknownErrorsAreFinal(t *testing.T) {
	odd := errors.New("odd")
	w := newWorld()
	w.credError = func(context.Context, int) error { return odd }
	_, err := w.ready(t, resolve(t, "PGHOST", ownHost, "timeout", "3s"))
	if got := w.did(); !errors.Is(err, odd) || got != "keychain sign-in credential" {
		t.Errorf("%v: %s", err, got)
	}
}

// waits is a keychain that shows a dialog until its caller has gone.
type waits struct{ asked chan struct{} }

func (s waits) Get(ctx context.Context, _ string) (credential.Secret, error) {
	close(s.asked)
	<-ctx.Done()
	return credential.Secret{}, ctx.Err()
}

func TestCancelledAtTheKeychain(t *testing.T) {
	w := newWorld()
	b := w.broker(resolve(t, "PGHOST", ownHost))
	s := waits{make(chan struct{})}
	b.Secrets = s
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-s.asked; cancel() }()
	_, err := b.Ready(ctx)
	if !errors.Is(err, context.Canceled) || errors.As(err, new(*NoSecretError)) {
		t.Errorf("%v", err)
	}
	// Its own limit is another matter.
	b = w.broker(resolve(t, "PGHOST", ownHost, "keychain-timeout", "20ms"))
	b.Secrets = waits{make(chan struct{})}
	if _, err := b.Ready(t.Context()); !errors.As(err, new(*NoSecretError)) || errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// postgres lets in whoever has the right password.
func postgres(t *testing.T, right string) (target pglogin.Target, passwords func() []string) {
	t.Helper()
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var seen []string
	var all sync.WaitGroup
	serve := func(c net.Conn) {
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		var request [8]byte
		if _, err := io.ReadFull(c, request[:]); err != nil {
			return
		}
		_, _ = c.Write([]byte("S"))
		s := tls.Server(c, &tls.Config{Certificates: certified.TLS.Certificates})
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
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); all.Wait() })
	passwords = func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
	return pglogin.Target{Host: "localhost", HostAddr: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, User: "u", SSLMode: pglogin.Require}, passwords
}

// A token that the server refuses is replaced, once, and only by another one.
func TestDoorReplacesARefusedToken(t *testing.T) {
	for _, c := range []struct {
		tokens, sent []string
		in           bool
	}{
		{[]string{"old", "new"}, []string{"old", "new"}, true},
		{[]string{"old", "older", "new"}, []string{"old", "older"}, false},
		{[]string{"old"}, []string{"old"}, false},
		{[]string{"new"}, []string{"new"}, true},
	} {
		target, passwords := postgres(t, "new")
		list := tokens(c.tokens)
		d := NewDoor(target, &list, explain)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		s, err := d.Login(ctx, map[string]string{"user": "u", "database": "d"})
		cancel()
		if err == nil {
			_ = s.Conn.Close()
		}
		if (err == nil) != c.in || !slices.Equal(passwords(), c.sent) {
			t.Errorf("%q: sent %q, %v", c.tokens, passwords(), err)
		}
		if err != nil && !strings.Contains(err.Error(), "password authentication failed") {
			t.Errorf("%q: %v", c.tokens, err)
		}
	}
}
