package refresh

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

// defaultTimeout bounds one call of Mint or OnToken where MintTimeout is zero.
const defaultTimeout = 2 * time.Minute

// ErrStopped is what Fresh says once Run has returned.
var ErrStopped = errors.New("the token is not kept fresh any more")

// Keeper keeps a token fresh while Run runs. It runs once. Set the fields before
// Run, Fresh or Token is called.
type Keeper struct {
	// Mint gets a token that is not refused, which is the one that it shall
	// replace, whether the server has refused that one or it is only growing old.
	// It must end soon after its context.
	Mint func(ctx context.Context, refused credential.Secret) (credential.Token, error)
	// MintTimeout bounds each call of Mint, and each of OnToken. Zero means 2 min.
	MintTimeout time.Duration
	// Backoff is the schedule after failed refreshes; no wait is longer than a
	// tenth of the token's life. Zero means retry.Refresh.
	Backoff retry.Schedule
	Now     func() time.Time // the wall clock, for any goroutine; nil: the system's
	Jitter  func() float64   // in [0, 1), used from Run alone; nil: random
	// Tick is the longest time between two looks at the wall clock. It is cut to
	// a tenth of the token's life, and is never less than 100 ms. Zero means 10 s.
	Tick time.Duration
	// OnToken delivers a new token; the first one is delivered by its owner. Until
	// it has worked, the old token stays the present one; when it fails, the same
	// new token is delivered again later. May be nil.
	OnToken func(ctx context.Context, t credential.Token) error
	// Event is told of outages, from Run's goroutine. It must not block. May be nil.
	Event func(Event)
	// Beat is called at every turn of Run, at least once in Tick. May be nil.
	Beat func()

	once        sync.Once
	began, over chan struct{}
	kick        chan struct{} // wakes Run when asked has changed

	mu      sync.Mutex
	running bool // from the first call of Run on
	present held
	round   *round // that callers of Fresh wait for; nil: none does
	asked   bool   // by Fresh, since the last refresh ended
	refused bool   // the server has refused the present token
	calm    moment // when a refresh ended that a refusal had asked for
	stats   Stats
}

// Stats is what a Keeper has done so far.
type Stats struct {
	Minted    int       // tokens that Mint gave, the first one not counted
	Failed    int       // refreshes that failed, in minting or delivery
	LastError string    // one printable line of at most 500 bytes; empty when the last refresh worked
	ExpiresAt time.Time // of the present token, in UTC
}

// round is the refresh that runs or, if none does, the next one.
type round struct {
	done chan struct{}
	err  error // read after done is closed
}

func (k *Keeper) init() {
	k.once.Do(func() {
		k.began, k.over, k.kick = make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
	})
}

// Run keeps first and what follows it fresh until ctx ends, which is no error.
// Errors: a Keeper without Mint, one that ran already, or a first token that is
// none. No goroutine is left when it returns.
func (k *Keeper) Run(ctx context.Context, first credential.Token) error {
	k.init()
	k.mu.Lock()
	if k.running {
		k.mu.Unlock()
		return errors.New("a Keeper runs once")
	}
	k.running = true
	k.mu.Unlock()
	defer k.end()
	if k.Mint == nil {
		return errors.New("a Keeper needs Mint")
	}
	now := k.now()
	h := hold(first, now, k.jitter())
	if first.Value.IsZero() || h.life <= 0 {
		return errors.New("the first token is none")
	}
	k.mu.Lock()
	k.present, k.stats.ExpiresAt = h, h.token.ExpiresAt
	k.mu.Unlock()
	close(k.began)
	schedule := k.Backoff
	if schedule == (retry.Schedule{}) {
		schedule = retry.Refresh()
	}
	r := &run{Keeper: k, results: make(chan result, 1), backoff: schedule.Backoff()}
	r.loop(ctx)
	return nil
}

// end lets everybody go who waits.
func (k *Keeper) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.over)
	if k.round != nil {
		k.round.err = ErrStopped
		close(k.round.done)
		k.round = nil
	}
}

// Token gives the present token, whatever is left of its life; the zero Token
// before Run.
func (k *Keeper) Token() credential.Token {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.present.token
}

// Stats tells what was done so far.
func (k *Keeper) Stats() Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stats
}

func (k *Keeper) now() moment {
	now := k.Now
	if now == nil {
		now = time.Now
	}
	return moment{wall: now().Round(0), mono: time.Now()}
}

func (k *Keeper) jitter() float64 {
	if k.Jitter == nil {
		return rand.Float64()
	}
	return k.Jitter()
}
