package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

func TestMain(m *testing.M) {
	// A server lingers for half a second after it has closed a connection.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var errDown = errors.New("the workspace is down")

// fakeWorkspace is a workspace with a wall clock of its own, and a Refresher that
// uses it, both in fake time.
type fakeWorkspace struct {
	*Refresher
	t     *testing.T
	start time.Time // on the monotonic clock
	life  time.Duration

	// set before the start
	jitter float64
	mint   func(ctx context.Context, old credential.Secret) (credential.Token, error)
	onTok  func(context.Context, credential.Token) error

	lock      sync.Mutex
	jump      time.Duration // of the wall clock against the monotonic one
	down      bool
	mintTakes time.Duration
	mintedAge time.Duration   // of a new token
	minted    []time.Duration // when
	asked     []time.Duration
	old       []credential.Secret
	events    []Event
	eventAt   []time.Duration
}

// runFakeTime calls f with a Refresher that runs, and ends it. set may change the
// workspace before.
func runFakeTime(t *testing.T, life time.Duration, set func(*fakeWorkspace), f func(*fakeWorkspace)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWorkspace{t: t, start: time.Now(), life: life, jitter: 0.5}
		w.mint = w.mintToken
		if set != nil {
			set(w)
		}
		schedule := retry.Refresh()
		schedule.Jitter = 0
		c := RefresherConfig{First: w.token(0), Mint: w.mint, OnToken: w.onTok, OnEvent: w.onEvent}
		w.Refresher = newRefresher(c, w.wallClock, func() float64 { return w.jitter }, schedule)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		synctest.Wait()
		f(w)
		w.with(func() {})
		cancel()
		<-done
	})
}

// Current returns the current token, whatever is left of its life.
func (w *fakeWorkspace) Current() credential.Token { return w.currentState().token }

func (w *fakeWorkspace) with(f func()) {
	w.lock.Lock()
	defer w.lock.Unlock()
	f()
}

func (w *fakeWorkspace) wallClock() (now time.Time) {
	w.with(func() { now = time.Now().Add(w.jump) })
	return now
}

func (w *fakeWorkspace) jumpClock(d time.Duration) { w.with(func() { w.jump += d }) }
func (w *fakeWorkspace) setFailing(b bool)         { w.with(func() { w.down = b }) }

// sleepUntil sleeps until d after the start. The lock orders what the test has read
// before what happens next.
func (w *fakeWorkspace) sleepUntil(d time.Duration) {
	w.with(func() {})
	time.Sleep(time.Until(w.start.Add(d)))
	synctest.Wait()
}

func (w *fakeWorkspace) token(n int) credential.Token {
	if w.life == 0 { // it does not expire
		return credential.Token{Value: credential.NewSecret(tokenValue(n))}
	}
	at := w.wallClock().Add(-w.mintedAge)
	return credential.Token{Value: credential.NewSecret(tokenValue(n)), MintedAt: at, ExpiresAt: at.Add(w.life)}
}

func tokenValue(n int) string { return fmt.Sprintf("token-number-%d", n) }

func (w *fakeWorkspace) mintToken(ctx context.Context, old credential.Secret) (credential.Token, error) {
	var takes time.Duration
	w.with(func() {
		w.asked, w.old = append(w.asked, time.Since(w.start)), append(w.old, old)
		takes = w.mintTakes
	})
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return credential.Token{}, ctx.Err()
	}
	n := 0
	w.with(func() {
		if !w.down {
			w.minted = append(w.minted, time.Since(w.start))
			n = len(w.minted)
		}
	})
	if n == 0 {
		return credential.Token{}, errDown
	}
	return w.token(n), nil
}

func (w *fakeWorkspace) onEvent(e Event) {
	w.with(func() { w.events, w.eventAt = append(w.events, e), append(w.eventAt, time.Since(w.start)) })
}

// assertEvents checks the kinds of all events so far.
func (w *fakeWorkspace) assertEvents(want ...EventKind) {
	w.t.Helper()
	w.lock.Lock()
	defer w.lock.Unlock()
	var got []EventKind
	for _, e := range w.events {
		got = append(got, e.Kind)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("at %v: got events %v, want kinds %v", time.Since(w.start), w.events, want)
	}
}

func (w *fakeWorkspace) attempts() (n int) {
	w.with(func() { n = len(w.asked) })
	return n
}

func (w *fakeWorkspace) assertMinted(want int) {
	w.t.Helper()
	w.lock.Lock()
	defer w.lock.Unlock()
	if len(w.minted) != want {
		w.t.Errorf("at %v: got tokens minted at %v, want %d", time.Since(w.start), w.minted, want)
	}
}

// near reports whether got is want, apart from rounding.
func near(got, want time.Duration) bool { return (got - want).Abs() <= 2*time.Millisecond }

// assertRefresh calls Refresh n times at once. All callers must get the same token, at
// the same time, with this many mints started so far. A zero rejected is Token.
func (w *fakeWorkspace) assertRefresh(n int, rejected credential.Secret, token int, after time.Duration, asked int) {
	w.t.Helper()
	w.with(func() {})
	begin := time.Now()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			t, err := w.Refresh(w.t.Context(), rejected)
			if took := time.Since(begin); err != nil || t.Value.Reveal() != tokenValue(token) || !near(took, after) {
				w.t.Errorf("at %v: got %q, %v after %v; want token %d after %v", time.Since(w.start), t.Value.Reveal(), err, took, token, after)
			}
		})
	}
	all.Wait()
	if got := w.attempts(); got != asked {
		w.t.Errorf("at %v: got %d mints started, want %d", time.Since(w.start), got, asked)
	}
}
