package pglogin

import (
	"crypto/tls"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
)

func TestConnector_SharesRoots(t *testing.T) {
	_, path := newCertificate(t)
	_, other := newCertificate(t)
	c := connector()
	target := Target{Host: host, Port: 1, User: "u", Database: "d", SSLMode: VerifyFull}
	age := func() { c.roots[path] = roots{c.roots[path].pool, time.Now().Add(-2 * rootsMaxAge)} }
	previous, err := c.tlsConfig(target.withRoots(path))
	must(t, err)
	for _, step := range []struct {
		name   string
		change func()
		same   bool
	}{
		{"changed at once", func() { must(t, os.Rename(other, path)) }, true},
		{"changed long ago", age, false},
		{"removed", func() { age(); must(t, os.Remove(path)) }, true},
	} {
		step.change()
		cfg, err := c.tlsConfig(target.withRoots(path))
		must(t, err)
		if same := cfg.RootCAs.Equal(previous.RootCAs); same != step.same {
			t.Errorf("%s: got the same roots %v, want %v", step.name, same, step.same)
		}
		previous = cfg
	}
	_, err = c.tlsConfig(target.withRoots("/nonexistent"))
	if _, ok := errors.AsType[*rootcerts.Error](err); !ok {
		t.Errorf("got %v, want a *rootcerts.Error", err)
	}
}

func (t Target) withRoots(path string) Target { t.SSLRootCert = path; return t }

// A probe sees whose certificate it is, and sends neither a start-up message nor a
// password.
func TestProbe(t *testing.T) {
	_, otherRoot := newCertificate(t)
	for name, untrusted := range map[string]bool{"success": false, "untrusted": true} {
		f := newFakeServer(t, func(n int, s *session) {
			if n > 1 && s.tls() {
				s.drain()
			}
		})
		target := f.target()
		if untrusted {
			target.SSLRootCert = otherRoot
		}
		p, err := connector().Probe(within(t, testTimeout), target)
		if untrusted {
			refused, _ := errors.AsType[*tls.CertificateVerificationError](wantKind(t, err, Certificate))
			p.Chain = refused.UnverifiedCertificates
		} else {
			must(t, err)
		}
		if p.Address != f.ln.Addr().String() || (p.Version == "TLS 1.3") == untrusted || len(p.Chain) != 1 ||
			p.Chain[0].Subject.CommonName != "test server" || p.Chain[0].NotAfter.Before(time.Now()) {
			t.Errorf("%s: got %+v", name, p)
		}
		all := f.ended()
		if s := all[len(all)-1]; len(all) != 3 || s.startup != nil || s.password != "" {
			t.Errorf("%s: got %d connections, the last %+v", name, len(all), s)
		}
	}
}

func TestCancel(t *testing.T) {
	got := make(chan *pgproto3.CancelRequest, 1)
	f := newFakeServer(t, func(n int, s *session) {
		if n > 0 {
			s.answer("N")
			s.drain()
		} else if s.tls() {
			if m, err := s.be.ReceiveStartupMessage(); err == nil {
				got <- m.(*pgproto3.CancelRequest)
			}
		}
	})
	key := []byte{1, 2, 3, 4}
	must(t, connector().Cancel(within(t, testTimeout), f.target(), 7, key))
	if m := <-got; m.ProcessID != 7 || !slices.Equal(m.SecretKey, key) {
		t.Errorf("got %+v", m)
	}
	wantKind(t, connector().Cancel(within(t, testTimeout), f.target(), 7, key), TLSRefused)
	if s := f.ended()[1]; len(s.bytes) != 0 {
		t.Errorf("a server without TLS got %q", s.bytes)
	}
}
