package pglogin

import (
	"context"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// The connection is handed over with all that came beside the login, and takes
// more than a login may.
func TestOpenHandsOver(t *testing.T) {
	const bulk = maxStartup + 1<<20
	f := newFake(t, func(_ int, s *session) {
		if !s.ask() {
			return
		}
		s.be.Send(&pgproto3.AuthenticationOk{})
		s.be.Send(&pgproto3.NoticeResponse{Severity: "NOTICE", Code: "00000", Message: "beside the login"})
		s.be.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: "17.5"})
		s.be.Send(&pgproto3.BackendKeyData{ProcessID: 7, SecretKey: []byte{1, 2, 3, 4}})
		s.be.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		s.be.Send(&pgproto3.ParameterStatus{Name: "TimeZone", Value: "UTC"})
		if s.be.Flush() != nil {
			return
		}
		var word [4]byte
		if _, err := io.ReadFull(s.Conn, word[:]); err == nil && string(word[:]) == "more" {
			_, _ = s.Conn.Write(make([]byte, bulk))
		}
	})
	w := &Waker{Beside: guard}
	target := f.target()
	target.Database = "another"
	c, err := w.Open(within(t, guard), target, secret, map[string]string{"application_name": "app", "options": "-c work_mem=1MB"})
	must(t, err)
	defer c.Close()
	if c.PID != 7 || !slices.Equal(c.SecretKey, []byte{1, 2, 3, 4}) || c.Parameters["server_version"] != "17.5" || c.TxStatus != 'I' {
		t.Errorf("%+v", c)
	}
	notice, err := (&pgproto3.NoticeResponse{Severity: "NOTICE", Code: "00000", Message: "beside the login"}).Encode(nil)
	must(t, err)
	if status, _ := (&pgproto3.ParameterStatus{Name: "TimeZone", Value: "UTC"}).Encode(nil); string(c.Pending) != string(notice)+string(status) {
		t.Errorf("pending is %q", c.Pending)
	}
	_, err = c.Write([]byte("more"))
	must(t, err)
	if n, err := io.CopyN(io.Discard, c, bulk); err != nil {
		t.Errorf("%d of %d bytes, %v", n, bulk, err)
	}
	_ = c.Close()
	s := f.seen()[0]
	if s.startup["database"] != "another" || s.startup["application_name"] != "app" || s.startup["options"] != "-c work_mem=1MB" || len(s.startup) != 4 {
		t.Errorf("start-up message is %v", s.startup)
	}
}

// slowWrites has written long before it says so, as on a machine with much to do.
type slowWrites struct{ net.Conn }

func (c slowWrites) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	time.Sleep(100 * time.Millisecond)
	return n, err
}

// pgconn reads in the background while a write takes long, and that read must not
// outlive the login: it would swallow the answer to the first query.
func TestOpenLeavesNoReadBehind(t *testing.T) {
	f := newFake(t, func(_ int, s *session) {
		if !s.ask() {
			return
		}
		s.be.Send(&pgproto3.AuthenticationOk{})
		s.be.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if s.be.Flush() != nil {
			return
		}
		var word [4]byte
		if _, err := io.ReadFull(s.Conn, word[:]); err == nil {
			_, _ = s.Conn.Write(word[:])
		}
	})
	w := &Waker{Beside: guard, Wrap: func(c net.Conn) net.Conn { return slowWrites{c} }}
	c, err := w.Open(within(t, guard), f.target(), secret, nil)
	must(t, err)
	defer c.Close()
	echoes(t, c)
}

// echoes fails unless the other end says what it hears.
func echoes(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := c.Write([]byte("word"))
	must(t, err)
	var word [4]byte
	_ = c.SetReadDeadline(time.Now().Add(guard))
	if _, err := io.ReadFull(c, word[:]); err != nil || string(word[:]) != "word" {
		t.Errorf("the answer is %q, %v", word, err)
	}
}

// Of two logins that succeed in the same moment one is handed over and the
// other one closed; a caller that has gone gets none.
func TestOpenLeavesNoConnectionBehind(t *testing.T) {
	both := make(chan struct{})
	f := newFake(t, func(n int, s *session) {
		if n == 0 {
			<-both
		}
		if n == 1 {
			close(both)
		}
		welcome(s)
	})
	// On a busy machine a second login may be held too, and be replaced.
	w := &Waker{Beside: 30 * time.Millisecond}
	c, err := w.Open(within(t, guard), f.target(), secret, nil)
	must(t, err)
	_ = c.Close()
	if seen := f.seen(); len(seen) < 2 { // hangs where a connection is left
		t.Errorf("%d connections", len(seen))
	}

	f = newFake(t, func(_ int, s *session) { s.drain() })
	ctx, cancel := context.WithCancel(within(t, guard))
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err = w.Open(ctx, f.target(), secret, nil)
	wantKind(t, err, Cancelled)
	f.seen() // hangs where a connection is left
}

func TestCancel(t *testing.T) {
	got := make(chan *pgproto3.CancelRequest, 1)
	f := newFake(t, func(n int, s *session) {
		if n == 1 {
			s.drain()
			return
		}
		if !s.tls() {
			return
		}
		if m, err := s.be.ReceiveStartupMessage(); err == nil {
			got <- m.(*pgproto3.CancelRequest)
		}
	})
	must(t, Cancel(within(t, guard), f.target(), nil, 7, []byte{1, 2, 3, 4}))
	if m := <-got; m.ProcessID != 7 || !slices.Equal(m.SecretKey, []byte{1, 2, 3, 4}) {
		t.Errorf("%+v", m)
	}
	wantKind(t, Cancel(within(t, 100*time.Millisecond), f.target(), nil, 7, []byte{1, 2, 3, 4}), NoAnswer)
}

func TestCancelTrustsNoStranger(t *testing.T) {
	f := newFake(t, func(_ int, s *session) {
		if s.tls() {
			t.Error("the handshake succeeded")
		}
	})
	_, other := authority(t, name)
	target := f.target()
	target.SSLRootCert = other
	wantKind(t, Cancel(within(t, guard), target, nil, 7, []byte{1, 2, 3, 4}), Certificate)
}

// Roots are read once for many logins, and what was read stays in use when the
// file goes; another file is another matter.
func TestTrustIsShared(t *testing.T) {
	f := newFake(t, func(_ int, s *session) { welcome(s) })
	trust := NewTrust()
	login := func(target Target) error {
		c, err := (&Waker{Beside: guard, Trust: trust}).Open(within(t, guard), target, secret, nil)
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	target := f.target()
	must(t, login(target))
	must(t, os.Remove(target.SSLRootCert))
	must(t, login(target))
	trust.read = trust.read.Add(-2 * rootsLast)
	must(t, login(target))
	_, target.SSLRootCert = authority(t, name)
	wantKind(t, login(target), Certificate)
	target.SSLRootCert = "/nonexistent"
	wantKind(t, login(target), BadRootCert)
}
