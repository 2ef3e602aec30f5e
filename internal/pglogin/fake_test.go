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

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

// connector returns one that does not hedge.
func connector() *Connector { return &Connector{hedgeDelay: testTimeout} }

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

// newCertificate returns a self-signed certificate for host, and its path.
func newCertificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test server"}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	path := filepath.Join(t.TempDir(), "root.pem")
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}

// fakeServer is a server that answers its n-th connection (from 0) by a script.
type fakeServer struct {
	cert tls.Certificate
	root string
	ln   net.Listener
	wg   sync.WaitGroup

	mu       sync.Mutex
	sessions []*session
}

// session is one connection, and what the client sent on it.
type session struct {
	net.Conn   // with TLS, once there is one
	raw        net.Conn
	cert       tls.Certificate
	be         *pgproto3.Backend
	startup    map[string]string
	password   string
	bytes      []byte // before TLS, after the SSLRequest
	terminated bool
	sni        string
}

func newFakeServer(t *testing.T, script func(n int, s *session)) *fakeServer {
	t.Helper()
	f := &fakeServer{}
	f.cert, f.root = newCertificate(t)
	var err error
	f.ln, err = net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f.wg.Go(func() {
		for n := 0; ; n++ {
			c, err := f.ln.Accept()
			if err != nil {
				return
			}
			s := &session{Conn: c, raw: c, cert: f.cert}
			f.mu.Lock()
			f.sessions = append(f.sessions, s)
			f.mu.Unlock()
			f.wg.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(2 * testTimeout))
				script(n, s)
			})
		}
	})
	t.Cleanup(func() { f.ended() })
	return f
}

// ended closes the server and returns all sessions, after their scripts have ended.
// It hangs if a client has left a connection open.
func (f *fakeServer) ended() []*session {
	f.ln.Close()
	f.wg.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sessions)
}

func (f *fakeServer) target() Target {
	return Target{Host: host, Port: f.ln.Addr().(*net.TCPAddr).Port, HostAddr: "127.0.0.1",
		Database: "databricks_postgres", User: "a user", SSLMode: VerifyFull, SSLRootCert: f.root}
}

// answer reads the SSLRequest and answers it.
func (s *session) answer(text string) bool {
	var req [8]byte
	if _, err := io.ReadFull(s.raw, req[:]); err != nil || req != [8]byte{0, 0, 0, 8, 4, 210, 22, 47} {
		return false
	}
	_, err := s.raw.Write([]byte(text))
	return err == nil
}

// tls answers the SSLRequest and does the handshake.
func (s *session) tls() bool {
	if !s.answer("S") {
		return false
	}
	t := tls.Server(s.raw, &tls.Config{Certificates: []tls.Certificate{s.cert}})
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
	if err == nil {
		s.startup = m.(*pgproto3.StartupMessage).Parameters
	}
	return err == nil
}

func (s *session) send(messages ...pgproto3.BackendMessage) bool {
	for _, m := range messages {
		s.be.Send(m)
	}
	return s.be.Flush() == nil
}

// ask asks for the password in clear text.
func (s *session) ask() bool {
	if !s.start() || !s.send(&pgproto3.AuthenticationCleartextPassword{}) || s.be.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
		return false
	}
	m, err := s.be.Receive()
	if err == nil {
		s.password = m.(*pgproto3.PasswordMessage).Password
	}
	return err == nil
}

// accept finishes the login, and sends more behind it.
func (s *session) accept(more ...pgproto3.BackendMessage) bool {
	login := []pgproto3.BackendMessage{&pgproto3.AuthenticationOk{}, &pgproto3.ParameterStatus{Name: "server_version", Value: "17.5"},
		&pgproto3.BackendKeyData{ProcessID: 7, SecretKey: []byte{1, 2, 3, 4}}, &pgproto3.ReadyForQuery{TxStatus: 'I'}}
	return s.send(append(login, more...)...)
}

// acceptLogin finishes the login and waits for Terminate.
func acceptLogin(s *session) {
	if s.ask() && s.accept() {
		m, err := s.be.Receive()
		_, ok := m.(*pgproto3.Terminate)
		s.terminated = err == nil && ok
	}
}

// drain reads until the client has closed, and answers nothing.
func (s *session) drain() { s.bytes, _ = io.ReadAll(s.raw) }

// echo returns what the client sends after the login.
func (s *session) echo() { _, _ = io.CopyN(s.Conn, s.Conn, 4) }

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
