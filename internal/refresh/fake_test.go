package refresh

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

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("the workspace is down")

// lake is a workspace with a wall clock of its own, and a Keeper that uses it.
type lake struct {
	Keeper
	t     *testing.T
	start time.Time // on the monotonic clock
	life  time.Duration

	lock   sync.Mutex
	jump   time.Duration // of the wall clock against the monotonic one
	down   bool
	takes  time.Duration // for one mint
	aged   time.Duration // of a minted token
	minted []time.Duration
	asked  []time.Duration
	old    []credential.Secret
	events []Event
	when   []time.Duration
	beats  int
}

// bubble runs f in free time with a Keeper that has just begun, and ends it.
func bubble(t *testing.T, life time.Duration, set func(*lake), f func(*lake)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &lake{t: t, start: time.Now(), life: life}
		l.Mint, l.Now, l.Jitter = l.mint, l.wall, func() float64 { return 0.5 }
		l.Event, l.Beat = l.event, l.beat
		l.Backoff = retry.Refresh()
		l.Backoff.Jitter = 0
		if set != nil {
			set(l)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		first := l.token(0)
		go func() { ended <- l.Run(ctx, first) }()
		synctest.Wait()
		f(l)
		l.with(func() {})
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
}

func (l *lake) with(f func()) {
	l.lock.Lock()
	defer l.lock.Unlock()
	f()
}

func (l *lake) wall() time.Time {
	l.lock.Lock()
	defer l.lock.Unlock()
	return time.Now().Add(l.jump)
}

func (l *lake) leap(d time.Duration) { l.with(func() { l.jump += d }) }
func (l *lake) broken(b bool)        { l.with(func() { l.down = b }) }

// at sleeps until this long after the start. The lock puts what the test has read
// since before what happens next.
func (l *lake) at(d time.Duration) {
	l.with(func() {})
	time.Sleep(time.Until(l.start.Add(d)))
	synctest.Wait()
}

func (l *lake) token(n int) credential.Token {
	at := l.wall().Add(-l.aged)
	return credential.Token{Value: credential.NewSecret(fmt.Sprintf("token-number-%d", n)), MintedAt: at, ExpiresAt: at.Add(l.life)}
}

func (l *lake) mint(ctx context.Context, refused credential.Secret) (credential.Token, error) {
	var takes time.Duration
	l.with(func() {
		l.asked, l.old = append(l.asked, time.Since(l.start)), append(l.old, refused)
		takes = l.takes
	})
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return credential.Token{}, ctx.Err()
	}
	var n int
	var down bool
	l.with(func() {
		if down = l.down; !down {
			l.minted = append(l.minted, time.Since(l.start))
		}
		n = len(l.minted)
	})
	if down {
		return credential.Token{}, errDown
	}
	return l.token(n), nil
}

func (l *lake) event(e Event) {
	l.with(func() { l.events, l.when = append(l.events, e), append(l.when, time.Since(l.start)) })
}

func (l *lake) beat() { l.with(func() { l.beats++ }) }

// saw asserts the kinds of all events so far.
func (l *lake) saw(kinds ...Kind) {
	l.t.Helper()
	l.lock.Lock()
	defer l.lock.Unlock()
	var got []Kind
	for _, e := range l.events {
		got = append(got, e.Kind)
	}
	if fmt.Sprint(got) != fmt.Sprint(kinds) {
		l.t.Errorf("at %v: events %v, and not %v", time.Since(l.start), l.events, kinds)
	}
}

// counts gives how many tokens were minted, and asked for.
func (l *lake) counts() (minted, asked int) {
	l.lock.Lock()
	defer l.lock.Unlock()
	return len(l.minted), len(l.asked)
}

func (l *lake) wantMinted(n int) {
	l.t.Helper()
	if got, _ := l.counts(); got != n {
		l.t.Errorf("at %v: %d minted, and not %d: %v", time.Since(l.start), got, n, l.minted)
	}
}

// near says whether got is want, but for a rounding.
func near(got, want time.Duration) bool { return (got - want).Abs() <= 2*time.Millisecond }
