package pglogin

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// A message that had begun when the login ended is handed over whole, and the
// session begins behind it.
func TestOpenWaitsForTheRestOfAMessage(t *testing.T) {
	status, err := (&pgproto3.ParameterStatus{Name: "TimeZone", Value: "UTC"}).Encode(nil)
	must(t, err)
	f := newFake(t, func(_ int, s *session) {
		if !s.ask() {
			return
		}
		b, _ := (&pgproto3.AuthenticationOk{}).Encode(nil)
		b, _ = (&pgproto3.ReadyForQuery{TxStatus: 'I'}).Encode(b)
		_, _ = s.Conn.Write(append(b, status[:7]...)) // one record: it comes in one read
		time.Sleep(100 * time.Millisecond)
		_, _ = s.Conn.Write(status[7:])
		var word [4]byte
		if _, err := io.ReadFull(s.Conn, word[:]); err == nil {
			_, _ = s.Conn.Write(word[:])
		}
	})
	c, err := (&Waker{Beside: guard}).Open(within(t, guard), f.target(), secret, nil)
	must(t, err)
	defer c.Close()
	if string(c.Pending) != string(status) {
		t.Errorf("pending is %q", c.Pending)
	}
	echoes(t, c)
}

// A server that talks nonsense right behind the login loses its connection.
func TestOpenClosesAfterNonsense(t *testing.T) {
	ended := make(chan struct{})
	f := newFake(t, func(_ int, s *session) {
		if !s.ask() {
			return
		}
		b, _ := (&pgproto3.AuthenticationOk{}).Encode(nil)
		b, _ = (&pgproto3.ReadyForQuery{TxStatus: 'I'}).Encode(b)
		_, _ = s.Conn.Write(append(b, 0xFF, 0, 0, 0, 4))
		_, _ = io.Copy(io.Discard, s.Conn)
		close(ended)
	})
	c, err := (&Waker{Beside: guard}).Open(within(t, guard), f.target(), secret, nil)
	if err == nil {
		_ = c.Close()
		t.Fatal("the connection was handed over")
	}
	wantKind(t, err, Protocol)
	select {
	case <-ended:
	case <-time.After(guard):
		t.Error("the connection stays open")
	}
}

// To a server that has no TLS a cancel request says nothing more: neither its key
// nor a greeting.
func TestCancelEndsWithoutTLS(t *testing.T) {
	f := newFake(t, func(_ int, s *session) {
		var req [8]byte
		_, _ = io.ReadFull(s.raw, req[:])
		_, _ = s.raw.Write([]byte("N"))
		s.drain()
	})
	wantKind(t, Cancel(within(t, guard), f.target(), nil, 7, []byte{1, 2, 3, 4}), TLSRefused)
	if s := f.seen()[0]; len(s.bytes) != 0 {
		t.Errorf("behind the refusal came %q", s.bytes)
	}
}

// Of several errors a final one decides, wherever it stands.
func TestFinalErrorDecides(t *testing.T) {
	final := &tls.CertificateVerificationError{Err: errors.New("x509: expired")}
	for _, err := range []error{errors.Join(io.EOF, final), errors.Join(final, io.EOF)} {
		if e := classify(t.Context(), err, nil, secret); e.Kind != Certificate || e.Retry {
			t.Errorf("%v: %+v", err, e)
		}
	}
	if e := classify(t.Context(), errors.Join(io.EOF, io.ErrUnexpectedEOF), nil, secret); e.Kind != Unreachable || !e.Retry {
		t.Errorf("%+v", e)
	}
}

func TestWalkNeedsADeadline(t *testing.T) {
	tried := false
	w := &Waker{Attempt: nil}
	_, err := w.walk(context.Background(), func() (try, error) {
		tried = true
		return func(context.Context) (*Conn, error) { return nil, nil }, nil
	})
	if e := wantKind(t, err, BadTarget); tried || !strings.Contains(e.Message, "no deadline") {
		t.Errorf("%v, tried: %v", err, tried)
	}
}

// closes is a connection that tells whether it was closed.
type closes struct {
	net.Conn
	closed atomic.Bool
}

func (c *closes) Close() error { c.closed.Store(true); return nil }

// Of two logins that end well in one moment one is handed over, and the other one
// closed; where the caller has gone both are.
func TestWalkClosesWhatNobodyGets(t *testing.T) {
	for _, gone := range []bool{false, true} {
		first, second := &closes{}, &closes{}
		ctx, cancel := context.WithCancel(within(t, guard))
		defer cancel()
		var n atomic.Int32
		under := make(chan struct{})
		w := &Waker{Beside: 10 * time.Millisecond}
		c, err := w.walk(ctx, func() (try, error) {
			return func(try context.Context) (*Conn, error) {
				if n.Add(1) == 1 {
					<-under
					if gone {
						<-try.Done()
					}
					return &Conn{Conn: first}, nil
				}
				close(under)
				if gone {
					cancel()
				}
				<-try.Done()
				return &Conn{Conn: second}, nil
			}, nil
		})
		if gone {
			wantKind(t, err, Cancelled)
			if !first.closed.Load() || !second.closed.Load() {
				t.Errorf("closed: %v, %v", first.closed.Load(), second.closed.Load())
			}
			continue
		}
		must(t, err)
		if c.Conn != first || first.closed.Load() || !second.closed.Load() {
			t.Errorf("closed: %v, %v", first.closed.Load(), second.closed.Load())
		}
	}
}

// A login that comes with the end of the wait, and is taken before it, is the
// caller's no more than one that comes behind it.
func TestWonTooLate(t *testing.T) {
	for _, gone := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if gone {
			cancel()
		}
		conn, a := &closes{}, &one{cancel: func() {}}
		r := &run{ctx: ctx, open: []*one{a}, results: make(chan result, 2)}
		done, err := r.ended(result{of: a, conn: &Conn{Conn: conn}})
		if !done || (err != nil) != gone || conn.closed.Load() != gone {
			t.Errorf("gone: %v; done: %v, %v, closed: %v", gone, done, err, conn.closed.Load())
		}
	}
}

func TestSSLModesThatAreNone(t *testing.T) {
	good := Target{Host: name, Port: 5432, Database: "d", User: "u", SSLMode: VerifyFull, SSLRootCert: "/roots.pem"}
	must(t, good.check())
	for _, mode := range []string{"", "disable", "allow", "prefer", "verify-ca", "VERIFY-FULL"} {
		target := good
		target.SSLMode = mode
		if e := wantKind(t, target.check(), BadTarget); !strings.Contains(e.Message, "neither verify-full nor require") {
			t.Errorf("%q: %v", mode, e)
		}
	}
}

// A server that speaks nothing newer than TLS 1.1 is no server of ours.
func TestOldTLS(t *testing.T) {
	f := newFake(t, func(_ int, s *session) {
		var req [8]byte
		_, _ = io.ReadFull(s.raw, req[:])
		_, _ = s.raw.Write([]byte("S"))
		old := tls.Server(s.raw, &tls.Config{Certificates: []tls.Certificate{s.f.cert}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		if old.Handshake() == nil {
			t.Error("the handshake succeeded")
		}
	})
	wantKind(t, Login(within(t, guard), f.target(), secret), TLSRefused)
}

// Roots that were renewed are read after a while, as the system renews them under
// programs that run for weeks.
func TestRootsAreReadAgain(t *testing.T) {
	_, path := authority(t, name)
	_, other := authority(t, name)
	trust := NewTrust()
	first, err := trust.pool(path)
	must(t, err)
	text, err := os.ReadFile(other)
	must(t, err)
	must(t, os.WriteFile(path, text, 0o600))
	if again, err := trust.pool(path); err != nil || again != first {
		t.Errorf("they are read at each login (%v)", err)
	}
	trust.read = trust.read.Add(-2 * rootsLast)
	if again, err := trust.pool(path); err != nil || again == first || again.Equal(first) {
		t.Errorf("they are never read again (%v)", err)
	}
}
