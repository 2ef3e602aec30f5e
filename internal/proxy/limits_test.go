package proxy

import (
	"errors"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
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
	d := open(t, Options{MaxStartups: 3, StartupTimeout: 2 * time.Second}, echo)
	served := dial(t, d.unix).login()
	var silent []*client
	for range 3 {
		silent = append(silent, dial(t, d.unix))
	}
	eventually(t, "three half-open", func() bool { return d.Stats().HalfOpen == 3 })
	began := time.Now()
	e := dial(t, d.unix).failure()
	if took := time.Since(began); e.Code != "53300" || e.Hint != "The local proxy's limit of unfinished start-ups is 3." || took < admitWait {
		t.Errorf("after %v: %+v", took, e)
	}
	began = time.Now()
	dial(t, d.unix).failure() // the second one is not waited with
	if took := time.Since(began); took >= admitWait {
		t.Errorf("refused after %v", took)
	}
	served.says("hello")
	must(t, silent[0].Close())
	eventually(t, "a slot", func() bool { return d.Stats().HalfOpen == 2 })
	dial(t, d.unix).login().says("hello")
}

// Two thousand at once: those that are served stay served, memory stays bounded,
// each gets an answer, and afterwards the door is as before.
func TestTwoThousandAtOnce(t *testing.T) {
	d := open(t, Options{MaxStartups: 50, StartupTimeout: time.Second}, echo)
	served := dial(t, d.unix).login()
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	var refused, dropped, failed atomic.Int64
	var wg sync.WaitGroup
	for i := range 2000 {
		wg.Go(func() {
			c, err := net.DialTimeout("unix", d.unix, 10*time.Second)
			if err != nil {
				failed.Add(1)
				return
			}
			defer func() { _ = c.Close() }()
			if i%2 == 0 {
				_, _ = c.Write([]byte{0x40, 0, 0, 0}) // and else silence
			}
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			b := make([]byte, 400)
			switch n, err := c.Read(b); {
			case n > 0 && strings.Contains(string(b[:n]), "FATAL"):
				refused.Add(1)
			case errors.Is(err, syscall.ECONNRESET) || err != nil && !isTimeout(err):
				dropped.Add(1)
			default:
				failed.Add(1)
			}
		})
	}
	for range 100 {
		served.says("hello")
		time.Sleep(5 * time.Millisecond)
	}
	runtime.ReadMemStats(&during)
	wg.Wait()
	t.Logf("%d refused, %d dropped in %v, heap +%d KiB", refused.Load(), dropped.Load(), time.Since(began), (int64(during.HeapInuse)-int64(before.HeapInuse))/1024)
	if failed.Load() != 0 || refused.Load() < 1000 || time.Since(began) > 8*time.Second {
		t.Errorf("%d failed, %d refused in %v", failed.Load(), refused.Load(), time.Since(began))
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
		if got := failing.at[i+1].Sub(failing.at[i]); got < pause*time.Millisecond {
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
