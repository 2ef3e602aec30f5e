package pglogin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/goleak"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// guard bounds what must happen: it is reached only when something hangs.
const guard = 30 * time.Second

func TestMain(m *testing.M) {
	closeWithin = guard
	goleak.VerifyTestMain(m)
}

const secretText = "eyJhbGciOi.a-token-of-some-length.c2lnbmF0dXJl"

var secret = credential.NewSecret(secretText)

// authority makes a certificate for names, and writes the root that signed it.
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

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fake is a TLS server that answers its n-th connection (from 0) by a script.
type fake struct {
	cert   tls.Certificate
	root   string
	addr   string
	script func(n int, s *session)
	ln     net.Listener
	wg     sync.WaitGroup

	mu        sync.Mutex
	sessions  []*session
	open, max int
}

// session is one connection, and what the client did on it.
type session struct {
	net.Conn
	f          *fake
	raw        net.Conn
	be         *pgproto3.Backend
	startup    map[string]string
	password   string
	bytes      []byte // before TLS, after the SSLRequest
	terminated bool
	sni        string
}

const name = "db.example.com"

func newFake(t *testing.T, script func(n int, s *session)) *fake {
	t.Helper()
	f := &fake{script: script}
	f.cert, f.root = authority(t, name)
	f.listen(t, "127.0.0.1:0")
	return f
}

func (f *fake) listen(t *testing.T, addr string) {
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

func (f *fake) close() { f.ln.Close(); f.wg.Wait() }

func (f *fake) serve(c net.Conn) {
	s := &session{Conn: c, raw: c, f: f}
	// A client may close one and open the next before the first one's goroutine
	// here has seen it: give that time, then count.
	for end := time.Now().Add(guard); f.count() >= 2 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	f.mu.Lock()
	n := len(f.sessions)
	f.sessions = append(f.sessions, s)
	f.open++
	f.max = max(f.max, f.open)
	f.mu.Unlock()
	f.wg.Go(func() {
		defer func() {
			f.mu.Lock()
			f.open--
			f.mu.Unlock()
			c.Close()
		}()
		_ = c.SetDeadline(time.Now().Add(2 * guard))
		f.script(n, s)
	})
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open
}

// seen closes the fake and returns all sessions, each with its script ended.
func (f *fake) seen() []*session {
	f.close()
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sessions)
}

func (f *fake) target() Target {
	_, port, _ := net.SplitHostPort(f.addr)
	p := 0
	for _, c := range port {
		p = p*10 + int(c-'0')
	}
	return Target{Host: name, Port: p, HostAddr: "127.0.0.1", Database: "databricks_postgres", User: "a user", SSLMode: VerifyFull, SSLRootCert: f.root}
}

// tls answers the SSLRequest and shakes hands.
func (s *session) tls() bool {
	var req [8]byte
	if _, err := io.ReadFull(s.raw, req[:]); err != nil || req != [8]byte{0, 0, 0, 8, 4, 210, 22, 47} {
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

// ask asks for the password in clear.
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

// welcome finishes the login and reads until the client is gone.
func welcome(s *session) {
	if !s.ask() {
		return
	}
	s.be.Send(&pgproto3.AuthenticationOk{})
	s.be.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: "17.5"})
	s.be.Send(&pgproto3.BackendKeyData{ProcessID: 7, SecretKey: []byte{1, 2, 3, 4}})
	s.be.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if s.be.Flush() != nil {
		return
	}
	m, err := s.be.Receive()
	if err == nil {
		_, s.terminated = m.(*pgproto3.Terminate)
	}
}

// refuse sends an error in answer to the password.
func refuse(s *session, severity, code, message string) {
	if s.ask() {
		s.be.Send(&pgproto3.ErrorResponse{Severity: severity, Code: code, Message: message})
		_ = s.be.Flush()
	}
}

// reset closes with RST.
func (s *session) reset() {
	_ = s.raw.(*net.TCPConn).SetLinger(0)
	s.raw.Close()
}

// drain reads until the client is gone: silence.
func (s *session) drain() { s.bytes, _ = io.ReadAll(s.raw) }
