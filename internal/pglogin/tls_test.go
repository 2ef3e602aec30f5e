package pglogin

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

func TestTLSCache(t *testing.T) {
	_, path := authority(t, host)
	_, other := authority(t, host)
	cache := NewTLSCache()
	first, err := cache.pool(path)
	must(t, err)
	renewed, err := os.ReadFile(other)
	must(t, err)
	must(t, os.WriteFile(path, renewed, 0o600))
	if again, err := cache.pool(path); err != nil || again != first {
		t.Errorf("roots were read again at once (%v)", err)
	}
	cache.read = cache.read.Add(-2 * rootsMaxAge)
	second, err := cache.pool(path)
	if err != nil || second.Equal(first) {
		t.Errorf("renewed roots were not read (%v)", err)
	}
	must(t, os.Remove(path))
	cache.read = cache.read.Add(-2 * rootsMaxAge)
	if again, err := cache.pool(path); err != nil || again != second {
		t.Errorf("roots that cannot be read again are not used (%v)", err)
	}
	if third, err := cache.pool(other); err != nil || third == second {
		t.Errorf("got the roots of another file (%v)", err)
	}
	_, err = cache.pool("/nonexistent")
	if e := wantKind(t, err, BadRootCert); !strings.Contains(e.Message, "/nonexistent") {
		t.Errorf("got %v, want the path in it", e)
	}
}

// A probe sees whose certificate it is, and sends neither a start-up message nor a
// password.
func TestProbe(t *testing.T) {
	f := newFakeServer(t, func(n int, s *session) {
		if n < 2 {
			s.reset()
		} else if s.tls() {
			s.drain()
		}
	})
	p, err := connector().Probe(within(t, testTimeout), f.target())
	must(t, err)
	if p.Address != f.addr || p.Version != "TLS 1.3" || p.Subject != "CN=server" || p.Issuer != "CN=test root" || p.NotAfter.Before(time.Now()) {
		t.Errorf("got %+v", p)
	}
	all := f.ended()
	if s := all[len(all)-1]; len(all) != 3 || s.sni != host || s.startup != nil || s.password != "" {
		t.Errorf("got %d connections, the last %+v", len(all), s)
	}
}

func TestProbe_Fails(t *testing.T) {
	untrusted := newFakeServer(t, func(_ int, s *session) { s.tls() })
	target := untrusted.target()
	_, target.SSLRootCert = authority(t, host)
	p, err := connector().Probe(within(t, testTimeout), target)
	wantKind(t, err, Certificate)
	if p.Issuer != "CN=test root" || p.Address != untrusted.addr || p.Version != "" {
		t.Errorf("got %+v, want the certificate that is not trusted", p)
	}
	ctx := newManualDeadline()
	silent := newFakeServer(t, func(n int, s *session) {
		s.readSSLRequest()
		if n > 0 {
			ctx.end()
		}
		s.drain()
	})
	p, err = (&Connector{hedgeDelay: 50 * time.Millisecond}).Probe(ctx, silent.target())
	if e := wantKind(t, err, WakeTimeout); e.Last == nil || e.Last.Kind != NoAnswer || p.Version != "" {
		t.Errorf("got %v, %+v", e, p)
	}
	plain := newFakeServer(t, func(_ int, s *session) {
		s.readSSLRequest()
		_, _ = s.raw.Write([]byte("N"))
	})
	target = plain.target()
	_, err = connector().Probe(within(t, testTimeout), target)
	wantKind(t, err, TLSRefused)
	target.SSLRootCert = "/nonexistent"
	_, err = connector().Probe(within(t, testTimeout), target)
	wantKind(t, err, BadRootCert)
	target.Port = 0
	_, err = connector().Probe(within(t, testTimeout), target)
	wantKind(t, err, BadTarget)
}

func TestCancel(t *testing.T) {
	got := make(chan *pgproto3.CancelRequest, 1)
	f := newFakeServer(t, func(_ int, s *session) {
		if !s.tls() {
			return
		}
		if m, err := s.be.ReceiveStartupMessage(); err == nil {
			got <- m.(*pgproto3.CancelRequest)
		}
	})
	key := []byte{1, 2, 3, 4}
	must(t, connector().Cancel(within(t, testTimeout), f.target(), 7, key))
	if m := <-got; m.ProcessID != 7 || !slices.Equal(m.SecretKey, key) {
		t.Errorf("got %+v", m)
	}
	target := f.target()
	_, target.SSLRootCert = authority(t, host)
	wantKind(t, connector().Cancel(within(t, testTimeout), target, 7, key), Certificate)

	ctx := newManualDeadline()
	silent := newFakeServer(t, func(_ int, s *session) { s.readSSLRequest(); ctx.end(); s.drain() })
	wantKind(t, connector().Cancel(ctx, silent.target(), 7, key), NoAnswer)

	plain := newFakeServer(t, func(_ int, s *session) {
		s.readSSLRequest()
		_, _ = s.raw.Write([]byte("N"))
		s.drain()
	})
	wantKind(t, connector().Cancel(within(t, testTimeout), plain.target(), 7, key), TLSRefused)
	if s := plain.ended()[0]; len(s.bytes) != 0 {
		t.Errorf("a server without TLS got %q", s.bytes)
	}
}
