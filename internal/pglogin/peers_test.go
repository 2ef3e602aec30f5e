package pglogin

import (
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

func TestCertificateIsCheckedBeforeThePassword(t *testing.T) {
	for what, change := range map[string]func(*testing.T, *Target){
		"other name": func(_ *testing.T, target *Target) { target.Host = "other.example.com" },
		"an address": func(_ *testing.T, target *Target) { target.Host = "127.0.0.1" },
		"other root": func(t *testing.T, target *Target) { _, target.SSLRootCert = authority(t, name) },
	} {
		t.Run(what, func(t *testing.T) {
			f := newFake(t, func(_ int, s *session) { welcome(s) })
			target := f.target()
			change(t, &target)
			err := (&Waker{Beside: guard}).Wait(within(t, guard), target, secret)
			wantKind(t, err, Certificate)
			var host x509.HostnameError
			var root x509.UnknownAuthorityError
			if what == "other root" && !errors.As(err, &root) || what != "other root" && !errors.As(err, &host) {
				t.Errorf("the cause is not to be found in %v", err)
			}
			if seen := f.seen(); len(seen) != 1 || seen[0].password != "" || seen[0].startup != nil {
				t.Errorf("%d connections; start-up %v", len(seen), seen[0].startup)
			}
		})
	}
}

func TestPeersThatAreNotOurs(t *testing.T) {
	for what, c := range map[string]struct {
		answer string
		kind   Kind
	}{
		"plain server": {"N", TLSRefused},
		"http server":  {"HTTP/1.1 400 Bad Request\r\n\r\n", Protocol},
		"S, then junk": {"Shello there, I am no TLS server", Protocol},
	} {
		t.Run(what, func(t *testing.T) {
			f := newFake(t, func(_ int, s *session) {
				_, _ = io.ReadFull(s.raw, make([]byte, 8))
				_, _ = s.raw.Write([]byte(c.answer))
				s.drain()
			})
			err := (&Waker{Beside: guard}).Wait(within(t, guard), f.target(), secret)
			wantKind(t, err, c.kind)
			seen := f.seen()
			if len(seen) != 1 || c.answer == "N" && len(seen[0].bytes) != 0 || strings.Contains(string(seen[0].bytes), secretText) {
				t.Errorf("%d connections, client sent %q", len(seen), seen[0].bytes)
			}
		})
	}
}

func TestGarbageInsideTLS(t *testing.T) {
	for what, send := range map[string]func(*session){
		"text":       func(s *session) { _, _ = s.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")) },
		"huge":       func(s *session) { _, _ = s.Write([]byte{'E', 0x7f, 0xff, 0xff, 0xff}) },
		"unexpected": func(s *session) { s.be.Send(&pgproto3.DataRow{}); _ = s.be.Flush() },
		"endless": func(s *session) {
			for s.be.Flush() == nil {
				s.be.Send(&pgproto3.ParameterStatus{Name: "x", Value: strings.Repeat("y", 10_000)})
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			f := newFake(t, func(_ int, s *session) {
				if s.start() {
					send(s)
					s.drain()
				}
			})
			wantKind(t, Login(within(t, guard), f.target(), secret), Protocol)
			if n := len(f.seen()); n != 1 {
				t.Errorf("%d connections, want 1", n)
			}
		})
	}
}
