package pglogin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/goleak"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// testTimeout bounds what must happen: it passes only when something hangs.
const testTimeout = 30 * time.Second

func TestMain(m *testing.M) {
	closeTimeout = testTimeout
	goleak.VerifyTestMain(m)
}

const (
	host     = "db.example.com"
	password = "eyJhbGciOi.a-token-of-some-length.c2lnbmF0dXJl"
)

var secret = credential.NewSecret(password)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// wantKind fails unless err is an *Error of kind k without the password.
func wantKind(t *testing.T, err error, k Kind) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != k {
		t.Fatalf("got error %v, want kind %q", err, k)
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", err, e, *e), "a-token-of") {
		t.Fatalf("the password is in the error: %v", err)
	}
	return e
}

// manualDeadline is a context whose deadline comes when end is called.
type manualDeadline struct {
	context.Context
	done chan struct{}
	end  func()
}

func newManualDeadline() manualDeadline {
	done := make(chan struct{})
	return manualDeadline{context.Background(), done, sync.OnceFunc(func() { close(done) })}
}

func (m manualDeadline) Deadline() (time.Time, bool) { return time.Now().Add(time.Hour), true }
func (m manualDeadline) Done() <-chan struct{}       { return m.done }

func (m manualDeadline) Err() error {
	select {
	case <-m.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// authority returns a certificate for names, and the path of the root that signed
// it.
func authority(t *testing.T, names ...string) (tls.Certificate, string) {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	must(t, err)
	path := filepath.Join(t.TempDir(), "root.pem")
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}

// fakeServer is a server that answers its n-th connection (from 0) by a script.
type fakeServer struct {
	cert   tls.Certificate
	root   string
	addr   string
	script func(n int, s *session)
	ln     net.Listener
	wg     sync.WaitGroup

	mu       sync.Mutex
	sessions []*session
}

// session is one connection, and what the client sent on it.
type session struct {
	net.Conn
	f          *fakeServer
	raw        net.Conn
	be         *pgproto3.Backend
	startup    map[string]string
	password   string
	bytes      []byte // before TLS, after the SSLRequest
	terminated bool
	sni        string
}

func newFakeServer(t *testing.T, script func(n int, s *session)) *fakeServer {
	t.Helper()
	f := &fakeServer{script: script}
	f.cert, f.root = authority(t, host)
	f.listen(t, "127.0.0.1:0")
	return f
}

func (f *fakeServer) listen(t *testing.T, addr string) {
	ln, err := net.Listen("tcp", addr)
	must(t, err)
	f.ln, f.addr = ln, ln.Addr().String()
	f.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			f.serve(c)
		}
	})
	t.Cleanup(f.close)
}

func (f *fakeServer) close() { f.ln.Close(); f.wg.Wait() }

func (f *fakeServer) serve(c net.Conn) {
	s := &session{Conn: c, raw: c, f: f}
	f.mu.Lock()
	n := len(f.sessions)
	f.sessions = append(f.sessions, s)
	f.mu.Unlock()
	f.wg.Go(func() {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(2 * testTimeout))
		f.script(n, s)
	})
}

// ended closes the server and returns all sessions, after their scripts have ended.
// It hangs if a client has left a connection open.
func (f *fakeServer) ended() []*session {
	f.close()
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sessions)
}

func (f *fakeServer) target() Target {
	return Target{Host: host, Port: f.ln.Addr().(*net.TCPAddr).Port, HostAddr: "127.0.0.1",
		Database: "databricks_postgres", User: "a user", SSLMode: VerifyFull, SSLRootCert: f.root}
}

// readSSLRequest reports whether the client asked for TLS.
func (s *session) readSSLRequest() bool {
	var req [8]byte
	_, err := io.ReadFull(s.raw, req[:])
	return err == nil && req == [8]byte{0, 0, 0, 8, 4, 210, 22, 47}
}

// tls answers the SSLRequest and does the handshake.
func (s *session) tls() bool {
	if !s.readSSLRequest() {
		return false
	}
	if _, err := s.raw.Write([]byte("S")); err != nil {
		return false
	}
	t := tls.Server(s.raw, &tls.Config{Certificates: []tls.Certificate{s.f.cert}})
	if t.Handshake() != nil {
		return false
	}
	s.sni, s.Conn = t.ConnectionState().ServerName, t
	s.be = pgproto3.NewBackend(t, t)
	return true
}

// start reads the start-up message.
func (s *session) start() bool {
	if !s.tls() {
		return false
	}
	m, err := s.be.ReceiveStartupMessage()
	if err != nil {
		return false
	}
	s.startup = m.(*pgproto3.StartupMessage).Parameters
	return true
}

// ask asks for the password in clear text.
func (s *session) ask() bool {
	if !s.start() {
		return false
	}
	s.be.Send(&pgproto3.AuthenticationCleartextPassword{})
	if s.be.Flush() != nil || s.be.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
		return false
	}
	m, err := s.be.Receive()
	if err != nil {
		return false
	}
	s.password = m.(*pgproto3.PasswordMessage).Password
	return true
}

// accept finishes the login, and sends more behind it.
func (s *session) accept(more ...pgproto3.BackendMessage) bool {
	s.be.Send(&pgproto3.AuthenticationOk{})
	s.be.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: "17.5"})
	s.be.Send(&pgproto3.BackendKeyData{ProcessID: 7, SecretKey: []byte{1, 2, 3, 4}})
	for _, m := range append([]pgproto3.BackendMessage{&pgproto3.ReadyForQuery{TxStatus: 'I'}}, more...) {
		s.be.Send(m)
	}
	return s.be.Flush() == nil
}

// acceptLogin finishes the login and waits for Terminate.
func acceptLogin(s *session) {
	if s.ask() && s.accept() {
		m, err := s.be.Receive()
		_, ok := m.(*pgproto3.Terminate)
		s.terminated = err == nil && ok
	}
}

// echo returns what the client sends after the login.
func (s *session) echo() {
	var word [4]byte
	if _, err := io.ReadFull(s.Conn, word[:]); err == nil {
		_, _ = s.Conn.Write(word[:])
	}
}

// wantEcho fails unless the other end echoes.
func wantEcho(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := c.Write([]byte("word"))
	must(t, err)
	var word [4]byte
	_ = c.SetReadDeadline(time.Now().Add(testTimeout))
	if _, err := io.ReadFull(c, word[:]); err != nil || string(word[:]) != "word" {
		t.Errorf("got answer %q, %v", word, err)
	}
}

// refuse answers the password with an error.
func refuse(s *session, severity, code, message string) {
	if s.ask() {
		s.be.Send(&pgproto3.ErrorResponse{Severity: severity, Code: code, Message: message})
		_ = s.be.Flush()
	}
}

// reset closes the connection with RST.
func (s *session) reset() {
	_ = s.raw.(*net.TCPConn).SetLinger(0)
	s.raw.Close()
}

// drain reads until the client has closed, and answers nothing.
func (s *session) drain() { s.bytes, _ = io.ReadAll(s.raw) }
