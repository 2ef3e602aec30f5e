package pglogin

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// A probe sees whose certificate it is, and hands over nothing: no start-up
// message, no password.
func TestProbe(t *testing.T) {
	f := newFake(t, func(_ int, s *session) {
		if s.tls() {
			s.drain()
		}
	})
	p, err := (&Waker{Beside: guard}).Probe(within(t, guard), f.target())
	must(t, err)
	if p.Address != f.addr || p.Version != "TLS 1.3" || p.Subject != "CN=server" || p.Issuer != "CN=test root" || p.NotAfter.Before(time.Now()) {
		t.Errorf("%+v", p)
	}
	seen := f.seen()
	if len(seen) != 1 || seen[0].sni != name || seen[0].startup != nil || seen[0].password != "" {
		t.Errorf("%d connections, %+v", len(seen), seen[0])
	}
}

// A certificate that is not trusted is told of, and one for another name.
func TestProbeTrustsNoStranger(t *testing.T) {
	f := newFake(t, func(_ int, s *session) { s.tls() })
	_, other := authority(t, name)
	target := f.target()
	target.SSLRootCert = other
	p, err := (&Waker{Beside: guard}).Probe(within(t, guard), target)
	if e := wantKind(t, err, Certificate); !strings.Contains(e.Message, "unknown authority") {
		t.Errorf("%v", e)
	}
	if p.Issuer != "CN=test root" || p.Address != f.addr || p.Version != "" {
		t.Errorf("%+v", p)
	}
	target = f.target()
	target.Host = "other.example.com"
	_, err = (&Waker{Beside: guard}).Probe(within(t, guard), target)
	if e := wantKind(t, err, Certificate); !strings.Contains(e.Message, "other.example.com") {
		t.Errorf("%v", e)
	}
}

// A compute that wakes is waited for; one that never comes ends at the deadline,
// and what it said last is told.
func TestProbeWaits(t *testing.T) {
	f := newFake(t, func(n int, s *session) {
		if n < 2 {
			s.reset()
			return
		}
		s.tls()
	})
	p, err := (&Waker{Beside: guard}).Probe(within(t, guard), f.target())
	must(t, err)
	if p.Issuer == "" || len(f.seen()) != 3 {
		t.Errorf("%+v after %d connections", p, len(f.seen()))
	}

	ctx := newEndable()
	f = newFake(t, func(n int, s *session) {
		_, _ = io.ReadFull(s.raw, make([]byte, 8))
		if n > 0 {
			ctx.end()
		}
		s.drain()
	})
	p, err = (&Waker{Beside: 50 * time.Millisecond}).Probe(ctx, f.target())
	if e := wantKind(t, err, NotAwake); e.Last == nil || e.Last.Kind != NoAnswer {
		t.Errorf("%v", e)
	}
	if p.Version != "" {
		t.Errorf("%+v", p)
	}
}

func TestProbeRefusals(t *testing.T) {
	plain := newFake(t, func(_ int, s *session) {
		var b [8]byte
		_, _ = s.raw.Read(b[:])
		_, _ = s.raw.Write([]byte("N"))
	})
	_, err := (&Waker{Beside: guard}).Probe(within(t, guard), plain.target())
	wantKind(t, err, TLSRefused)

	target := plain.target()
	target.HostAddr, target.Host = "", "no-such-host.invalid"
	_, err = (&Waker{Beside: guard}).Probe(within(t, guard), target)
	if e := new(Error); !errors.As(err, &e) || !slices.Contains([]Kind{NameNotResolved, NotAwake}, e.Kind) {
		t.Errorf("%v", err)
	}

	target.SSLRootCert = "/nonexistent"
	_, err = (&Waker{Beside: guard}).Probe(within(t, guard), target)
	wantKind(t, err, BadRootCert)
	target.Port = 0
	_, err = (&Waker{Beside: guard}).Probe(within(t, guard), target)
	wantKind(t, err, BadTarget)
	if _, err = (&Waker{}).Probe(context.Background(), plain.target()); err == nil || !strings.Contains(err.Error(), "no deadline") {
		t.Errorf("%v", err)
	}
}
