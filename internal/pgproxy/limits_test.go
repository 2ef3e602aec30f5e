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

func TestMaxConns(t *testing.T) {
	d := open(t, Options{MaxConns: 2}, echo)
	a, b := dial(t, d.unix).login(), dial(t, d.unix).login()
	e := dial(t, d.unix).knock().failure()
	if e.Code != "53300" || e.Message != "sorry, too many clients already" || e.Hint != "The local proxy's limit of connections is 2." {
		t.Errorf("%+v", e)
	}
	a.says("hello")
	must(t, b.Close())
	eventually(t, "one to close", func() bool { return d.Stats().Open == 1 })
	dial(t, d.unix).login().says("hello")
	if n := d.up.logins.Load(); n != 3 {
		t.Errorf("%d logins upstream", n)
	}
}

func TestMaxWaiting(t *testing.T) {
	wake := make(chan struct{})
	d := open(t, Options{MaxWaiting: 2}, echo, asleep(wake))
	a, b := dial(t, d.unix).knock(), dial(t, d.unix).knock()
	eventually(t, "two to wait", func() bool { return d.Stats().Waiting == 2 })
	e := dial(t, d.unix).knock().failure()
	if e.Code != "53300" || e.Hint != "The local proxy's limit of logins under way is 2." {
		t.Errorf("%+v", e)
	}
	close(wake)
	a.welcome().says("hello")
	b.welcome().says("hello")
	dial(t, d.unix).login().says("hello")
}

func TestMaxStartups(t *testing.T) {
	d := open(t, Options{MaxStartups: 3}, echo)
	served := dial(t, d.unix).login()
	var silent []*client
	for range 3 {
		silent = append(silent, dial(t, d.unix))
	}
	eventually(t, "three half-open", func() bool { return d.Stats().HalfOpen == 3 })
	for range 2 {
		if e := dial(t, d.unix).failure(); e.Code != "53300" || e.Hint != "The local proxy's limit of unfinished start-ups is 3." {
			t.Errorf("%+v", e)
		}
	}
	served.says("hello")
	must(t, silent[0].Close())
	eventually(t, "a slot", func() bool { return d.Stats().HalfOpen == 2 })
	dial(t, d.unix).login().says("hello")
}

// The first one that finds no slot is waited with, and those behind it are not.
func TestAdmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{MaxStartups: 1})
		takes := func(full, admitted bool, want time.Duration) {
			t.Helper()
			began := time.Now()
			if got := p.admit(t.Context(), full); got != admitted || time.Since(began) != want {
				t.Errorf("admitted: %v, after %v", got, time.Since(began))
			}
		}
		takes(true, true, 0)
		takes(false, false, admitWait)
		takes(true, false, 0)
		time.AfterFunc(admitWait/2, func() { <-p.startups })
		takes(false, true, admitWait/2)
	})
}

// Two thousand at once: those that are served stay served, memory stays bounded,
// each gets an answer or has a slot, and afterwards the proxy serves as before.
func TestTwoThousandAtOnce(t *testing.T) {
	const all, slots = 2000, 50
	d := open(t, Options{MaxStartups: slots}, echo)
	served := dial(t, d.unix).login()
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var refused, dropped, failed atomic.Int64
	over := make(chan struct{})
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			c, err := net.DialTimeout("unix", d.unix, guard)
			if err != nil {
				failed.Add(1)
				return
			}
			defer func() { _ = c.Close() }()
			if i%2 == 0 {
				_, _ = c.Write([]byte{0x40, 0, 0, 0}) // and else silence
			}
			answered := make(chan struct{})
			go func() {
				defer close(answered)
				b := make([]byte, 400)
				switch n, err := c.Read(b); {
				case n > 0 && strings.Contains(string(b[:n]), "FATAL"):
					refused.Add(1)
				case errors.Is(err, net.ErrClosed): // by us: it had a slot
				default:
					dropped.Add(1)
				}
			}()
			select {
			case <-answered:
			case <-over:
				_ = c.Close()
				<-answered
			}
		})
	}
	settled := func() bool {
		half := d.Stats().HalfOpen
		if half > slots {
			t.Errorf("%d have a slot", half)
		}
		return refused.Load()+dropped.Load()+failed.Load()+int64(half) == all
	}
	eventually(t, "an answer for each that has no slot", func() bool { served.says("hello"); return settled() })
	runtime.ReadMemStats(&during)
	close(over)
	wg.Wait()
	t.Logf("%d refused, %d dropped, heap +%d KiB", refused.Load(), dropped.Load(), (int64(during.HeapInuse)-int64(before.HeapInuse))/1024)
	if failed.Load() != 0 || refused.Load() == 0 {
		t.Errorf("%d failed, %d refused", failed.Load(), refused.Load())
	}
	if grown := int64(during.HeapInuse) - int64(before.HeapInuse); grown > 32<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
	eventually(t, "quiet", func() bool { return d.Stats().HalfOpen == 0 })
	dial(t, d.unix).login().says("hello")
	served.says("hello")
}

// errListener fails as a process without descriptors does, then works.
type errListener struct {
	net.Listener
	left atomic.Int64
	at   []time.Time
}

func (l *errListener) Accept() (net.Conn, error) {
	if l.left.Add(-1) >= 0 {
		l.at = append(l.at, time.Now())
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestAcceptErrors(t *testing.T) {
	d := open(t, Options{}, echo)
	ln, err := ListenTCP("127.0.0.1:0", Loopback)
	must(t, err)
	failing := &errListener{Listener: ln}
	failing.left.Store(5)
	p := New(d.o)
	done := make(chan error, 1)
	go func() { done <- p.Serve(t.Context(), failing) }()
	dial(t, ln.Addr().String()).login().says("hello")
	for i, pause := range []time.Duration{5, 10, 20, 40} {
		if got := failing.at[i+1].Sub(failing.at[i]); got < pause*time.Millisecond*8/10 { // the jitter is 20 %
			t.Errorf("pause %d is %v", i, got)
		}
	}
	ev := d.events(AcceptFailed)
	if len(ev) != 5 || !errors.Is(ev[0].Err, syscall.EMFILE) {
		t.Errorf("%+v", ev)
	}
	must(t, ln.Close())
	if err := <-done; !errors.Is(err, ErrListenerClosed) {
		t.Error(err)
	}
}
