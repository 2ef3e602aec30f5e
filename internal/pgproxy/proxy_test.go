package pgproxy

import (
	"errors"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestMaxConnsAndMaxWaiting(t *testing.T) {
	resume := make(chan struct{})
	p := start(t, Options{MaxConns: 3, MaxWaiting: 2}, echo, suspended(resume))
	a, b := dial(t, p.unix).authenticate(), dial(t, p.unix).authenticate()
	eventually(t, "two logins", func() bool { return p.Stats().Waiting == 2 })
	e := dial(t, p.unix).authenticate().failure()
	if e.Code != "53300" || e.Message != "sorry, too many clients already" || e.Hint != "The local proxy allows 2 connections that wait for the database (--max-waiting)." {
		t.Errorf("MaxWaiting: got %+v, want 53300", e)
	}
	close(resume)
	a.expectReady().echo("hello")
	b.expectReady().echo("hello")
	dial(t, p.unix).login().echo("hello")
	if e := dial(t, p.unix).authenticate().failure(); e.Code != "53300" || e.Hint != "The local proxy allows 3 connections (--max-connections)." {
		t.Errorf("MaxConns: got %+v, want 53300", e)
	}
	a.echo("hello")
	must(t, b.Close())
	eventually(t, "a session to end", func() bool { return p.Stats().Open == 2 })
	dial(t, p.unix).login().echo("hello")
	if s := p.Stats(); p.up.logins.Load() != 4 || s.Logins != 4 || s.FailedLogins != 2 {
		t.Errorf("got %+v and %d logins upstream, want 4 logins and 2 failed", s, p.up.logins.Load())
	}
}

// A pool may open all its connections at once while the compute is suspended.
func TestMaxWaiting_DefaultIsMaxConns(t *testing.T) {
	const pool = 130
	resume := make(chan struct{})
	p := start(t, Options{MaxConns: pool}, echo, suspended(resume))
	var clients []*client
	for range pool {
		clients = append(clients, dial(t, p.unix).authenticate())
	}
	eventually(t, "all logins", func() bool { return p.Stats().Waiting == pool })
	close(resume)
	for _, c := range clients {
		c.expectReady().echo("hello")
	}
	if n := p.Stats().Rejected; n != 0 {
		t.Errorf("got %d rejections, want 0", n)
	}
}

func TestMaxStartups(t *testing.T) {
	p := start(t, Options{MaxStartups: 3}, echo)
	served := dial(t, p.unix).login()
	var silent []*client
	for range 3 {
		silent = append(silent, dial(t, p.unix))
	}
	eventually(t, "three half-open connections", func() bool { return p.Stats().HalfOpen == 3 })
	for range 2 {
		if e := dial(t, p.unix).failure(); e.Code != "53300" || e.Hint != "The local proxy allows 3 unauthenticated connections." {
			t.Errorf("got %+v, want 53300", e)
		}
	}
	served.echo("hello")
	must(t, silent[0].Close())
	eventually(t, "a free slot", func() bool { return p.Stats().HalfOpen == 2 })
	dial(t, p.unix).login().echo("hello")
}

// Only the first client without a slot waits for one.
func TestAdmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{MaxStartups: 1})
		expect := func(full, want bool, after time.Duration) {
			t.Helper()
			start := time.Now()
			if got := p.admit(t.Context(), full); got != want || time.Since(start) != after {
				t.Errorf("got %v after %v, want %v after %v", got, time.Since(start), want, after)
			}
		}
		expect(true, true, 0)
		expect(false, false, admitTimeout)
		expect(true, false, 0)
		time.AfterFunc(admitTimeout/2, func() { <-p.startups })
		expect(false, true, admitTimeout/2)
	})
}

// Of 2,000 simultaneous clients all without a slot get an error; memory is bounded,
// and an open session is not affected.
func TestMaxStartups_ManyClients(t *testing.T) {
	const all, slots = 2000, 50
	p := start(t, Options{MaxStartups: slots}, echo)
	served := dial(t, p.unix).login()
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var rejected atomic.Int64
	var mu sync.Mutex
	var conns []net.Conn
	var wg sync.WaitGroup
	for range all {
		wg.Go(func() {
			c, err := net.DialTimeout("unix", p.unix, guard)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			b := make([]byte, 400)
			if n, _ := c.Read(b); strings.Contains(string(b[:n]), "FATAL") {
				rejected.Add(1)
			}
		})
	}
	eventually(t, "an error for each client without a slot", func() bool {
		served.echo("hello")
		half := p.Stats().HalfOpen
		if half > slots {
			t.Errorf("got %d half-open connections, want at most %d", half, slots)
		}
		return rejected.Load()+half == all
	})
	runtime.ReadMemStats(&during)
	for _, c := range conns {
		_ = c.Close()
	}
	wg.Wait()
	if grown := int64(during.HeapInuse) - int64(before.HeapInuse); grown > 32<<20 {
		t.Errorf("the heap grew by %d MiB, want at most 32", grown>>20)
	}
	eventually(t, "the sessions to end", func() bool { return p.Stats().HalfOpen == 0 })
	dial(t, p.unix).login().echo("hello")
}

// failingListener returns errors as in a process without free descriptors, then
// accepts.
type failingListener struct {
	net.Listener
	left  atomic.Int64
	times []time.Time
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.left.Add(-1) >= 0 {
		l.times = append(l.times, time.Now())
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestServe_ListenerErrors(t *testing.T) {
	p := start(t, Options{}, echo)
	ln, err := ListenTCP("127.0.0.1:0", Loopback)
	must(t, err)
	other, err := ListenUnix(t.TempDir(), 5432)
	must(t, err)
	failing := &failingListener{Listener: ln}
	failing.left.Store(5)
	done := make(chan error, 1)
	go func() { done <- New(p.o).Serve(t.Context(), failing, other) }()
	dial(t, ln.Addr().String()).login().echo("hello")
	for i, want := range []time.Duration{5, 10, 20, 40} {
		if got := failing.times[i+1].Sub(failing.times[i]); got < want*time.Millisecond*8/10 { // the jitter is 20 %
			t.Errorf("pause %d: got %v, want about %d ms", i, got, want)
		}
	}
	if ev := p.events(AcceptFailed); len(ev) != 5 || !errors.Is(ev[0].Err, syscall.EMFILE) {
		t.Errorf("got events %+v, want 5 with EMFILE", ev)
	}
	must(t, ln.Close())
	if err := <-done; !errors.Is(err, errListenerClosed) {
		t.Errorf("got %v, want errListenerClosed", err)
	}
	if _, err := net.Dial("unix", other.Addr().String()); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("other listener: got %v, want ENOENT", err)
	}
}

func TestServe_EndsWithOpenSessions(t *testing.T) {
	forEachTransport(t, echo, func(t *testing.T, p *testProxy, c *client) {
		c.echo("hello")
		must(t, p.stop())
		c.ended()
	})
}
