package pgproxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/goleak"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

const (
	user     = "robot"
	password = "local-password"

	guard = 30 * time.Second // ends tests that hang
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until ok returns true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(guard); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timeout waiting for %s", what)
		}
	}
}

func echo(c net.Conn) { _, _ = io.Copy(c, c) }

// fakeUpstream connects to a server on loopback that calls serve.
type fakeUpstream struct {
	t        testing.TB
	serve    func(net.Conn)
	before   func(context.Context) error // if set
	noKey    bool
	pending  []byte
	onCancel func(ctx context.Context, pid uint32) error

	logins  atomic.Int64
	mu      sync.Mutex
	params  map[string]string // of the last login, with its database
	cancels []string          // pid/key
}

func (f *fakeUpstream) Connect(ctx context.Context, t pglogin.Target, _ credential.Secret, params map[string]string) (*pglogin.Conn, error) {
	pid := uint32(f.logins.Add(1))
	params["database"] = t.Database
	f.mu.Lock()
	f.params = params
	f.mu.Unlock()
	if f.before != nil {
		if err := f.before(ctx); err != nil {
			return nil, err
		}
	}
	conn := &pglogin.Conn{Conn: f.dial(), PID: pid, Pending: f.pending, TxStatus: 'I',
		Parameters: map[string]string{"server_version": "17.5", "client_encoding": "UTF8"}}
	if !f.noKey {
		conn.SecretKey = fmt.Appendf(nil, "a key of protocol 3.2, %d", pid)
	}
	return conn, nil
}

func (f *fakeUpstream) dial() net.Conn {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(f.t, err)
	defer func() { _ = ln.Close() }()
	near, err := net.Dial("tcp", ln.Addr().String())
	must(f.t, err)
	far, err := ln.Accept()
	must(f.t, err)
	var done sync.WaitGroup
	done.Go(func() {
		f.serve(far)
		_ = far.Close()
	})
	f.t.Cleanup(func() { _ = far.Close(); done.Wait() })
	return near
}

func (f *fakeUpstream) Cancel(ctx context.Context, _ pglogin.Target, pid uint32, key []byte) error {
	f.mu.Lock()
	f.cancels = append(f.cancels, fmt.Sprintf("%d/%s", pid, key))
	f.mu.Unlock()
	if f.onCancel != nil {
		return f.onCancel(ctx, pid)
	}
	return nil
}

// received returns the parameters of the last login and all cancel requests.
func (f *fakeUpstream) received() (params map[string]string, cancels []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.params, f.cancels
}

// suspended makes logins wait for resume.
func suspended(resume <-chan struct{}) func(*fakeUpstream) {
	return func(f *fakeUpstream) {
		f.before = func(ctx context.Context) error {
			select {
			case <-resume:
				return nil
			case <-ctx.Done():
				return &pglogin.Error{Kind: pglogin.WakeTimeout}
			}
		}
	}
}

// testProxy is a running proxy with a Unix socket and a TCP listener.
type testProxy struct {
	*Proxy
	up       *fakeUpstream
	unix     string
	tcp      string
	stop     func()
	mu       sync.Mutex
	rejected []rejection
	failures []error
}

// noUnixSockets is the error of a Windows without them, such as Wine (winerror.h,
// WSAEAFNOSUPPORT).
const noUnixSockets syscall.Errno = 10047

// start serves until the test ends, and then fails if anything is left.
func start(t testing.TB, o Options, serve func(net.Conn), extra ...func(*fakeUpstream)) *testProxy {
	t.Helper()
	p := &testProxy{up: &fakeUpstream{t: t, serve: serve}}
	for _, f := range extra {
		f(p.up)
	}
	o.Target.User, o.Tokens, o.Describe = user, &tokenList{"token"}, describe
	o.Password, o.StartupTimeout = credential.NewSecret(password), cmp.Or(o.StartupTimeout, time.Minute)
	o.MaxConns, o.MaxWaiting, o.LoginTimeout = cmp.Or(o.MaxConns, 100), cmp.Or(o.MaxWaiting, 100), cmp.Or(o.LoginTimeout, time.Minute)
	o.Observer = p
	unix, err := ListenUnix(t.TempDir(), 5432)
	if errors.Is(err, noUnixSockets) {
		unix, err = ListenLoopback("127.0.0.1:0")
	}
	must(t, err)
	p.unix = unix.Addr().String()
	tcp, err := ListenLoopback("127.0.0.1:0")
	must(t, err)
	p.tcp = tcp.Addr().String()
	p.Proxy = New(o)
	p.connector = p.up
	ctx, cancel := context.WithCancel(context.Background())
	p.wg.Go(func() { p.accept(ctx, tcp) }) // besides the one of Serve
	go p.Serve(ctx, unix)
	p.stop = func() { cancel(); _ = tcp.Close(); <-p.served }
	t.Cleanup(func() {
		p.stop()
		if s := p.Stats(); s.Waiting+s.Open != 0 || p.clients.Load() != 0 || p.halfOpen.len()+len(p.keys) != 0 {
			t.Errorf("after Serve: got %+v, %d clients, %d half-open, %d keys; want none", s, p.clients.Load(), p.halfOpen.len(), len(p.keys))
		}
	})
	return p
}

func (h *halfOpen) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sessions)
}

// rejection is what an Observer is told of a client.
type rejection struct {
	peer     string
	upstream bool
}

func (p *testProxy) LoggedIn(time.Duration) {}

func (p *testProxy) Rejected(peer string, _ *ServerError, upstream bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rejected = append(p.rejected, rejection{peer, upstream})
}

func (p *testProxy) Failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = append(p.failures, err)
}

// observed returns what was reported so far.
func (p *testProxy) observed() ([]rejection, []error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rejected, p.failures
}

// raw returns a startup packet with its length.
func raw(version uint32, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return append(binary.BigEndian.AppendUint32(b, version), body...)
}

// startup returns a startup message with these names and values.
func startup(pairs ...string) []byte { return raw(3<<16, strings.Join(pairs, "\x00")+"\x00\x00") }

func cancelRequest(pid uint32, key []byte) []byte {
	return raw(codeCancel, string(binary.BigEndian.AppendUint32(nil, pid))+string(key))
}

func passwordMessage(text string) []byte {
	b, _ := (&pgproto3.PasswordMessage{Password: text}).Encode(nil)
	return b
}

// client is a frontend that never reads ahead.
type client struct {
	net.Conn
	t      testing.TB
	pid    uint32
	key    []byte
	params []string
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	network := "tcp"
	if filepath.IsAbs(addr) {
		network = "unix"
	}
	c, err := net.DialTimeout(network, addr, guard)
	must(t, err)
	must(t, c.SetDeadline(time.Now().Add(guard)))
	t.Cleanup(func() { _ = c.Close() })
	return &client{Conn: c, t: t}
}

func (c *client) send(b []byte) {
	c.t.Helper()
	_, err := c.Write(b)
	must(c.t, err)
}

func (c *client) bytes(n int) []byte {
	c.t.Helper()
	b := make([]byte, n)
	_, err := io.ReadFull(c, b)
	must(c.t, err)
	return b
}

func (c *client) message() (kind byte, body []byte) {
	c.t.Helper()
	head := c.bytes(5)
	return head[0], c.bytes(int(binary.BigEndian.Uint32(head[1:])) - 4)
}

// expect reads a message.
func (c *client) expect(want byte, wantBody string) *client {
	c.t.Helper()
	if kind, body := c.message(); kind != want || string(body) != wantBody {
		c.t.Fatalf("got message %q %q, want %q %q", kind, body, want, wantBody)
	}
	return c
}

// expectPasswordRequest reads AuthenticationCleartextPassword.
func (c *client) expectPasswordRequest() { c.t.Helper(); c.expect('R', "\x00\x00\x00\x03") }

// expectReady reads all messages from AuthenticationOk to ReadyForQuery.
func (c *client) expectReady() *client {
	c.t.Helper()
	c.expect('R', "\x00\x00\x00\x00")
	for {
		switch kind, body := c.message(); kind {
		case 'S':
			c.params = append(c.params, string(body))
		case 'K':
			c.pid, c.key = binary.BigEndian.Uint32(body), body[4:]
		case 'Z':
			return c
		default:
			c.t.Fatalf("unexpected message %q %q", kind, body)
		}
	}
}

// failure reads an ErrorResponse and the end of the connection.
func (c *client) failure() (e pgproto3.ErrorResponse) {
	c.t.Helper()
	kind, body := c.message()
	if err := e.Decode(body); kind != 'E' || err != nil {
		c.t.Fatalf("got message %q %q, %v; want an error", kind, body, err)
	}
	c.ended()
	return e
}

func (c *client) ended() {
	c.t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("got %d bytes, %v; want the end of the connection", n, err)
	}
}

// authenticate sends a startup message and an answer to the request for a password,
// which the proxy may reject before it has read all.
func (c *client) authenticate(startup, answer []byte) *client {
	c.t.Helper()
	c.send(startup)
	c.expectPasswordRequest()
	_, _ = c.Write(answer)
	return c
}

// begin authenticates. The login upstream follows.
func (c *client) begin() *client {
	c.t.Helper()
	return c.authenticate(startup("user", user, "database", "shop"), passwordMessage(password))
}

func (c *client) login() *client { c.t.Helper(); return c.begin().expectReady() }

// echo sends text and expects it back.
func (c *client) echo(text string) {
	c.t.Helper()
	c.send([]byte(text))
	if got := string(c.bytes(len(text))); got != text {
		c.t.Fatalf("got %q, want %q", got, text)
	}
}

// request sends a request for encryption and expects an answer.
func (c *client) request(code uint32, want string) *client {
	c.t.Helper()
	c.send(raw(code, ""))
	if got := string(c.bytes(1)); got != want {
		c.t.Fatalf("request %d: got %q, want %q", code, got, want)
	}
	return c
}

// startTLS sends SSLRequest and performs the handshake.
func (c *client) startTLS() *client {
	c.t.Helper()
	c.request(codeSSL, "S")
	s := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
	must(c.t, s.Handshake())
	return &client{Conn: s, t: c.t}
}
