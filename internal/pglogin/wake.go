package pglogin

import (
	"context"
	"net"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

const defaultBeside = time.Second

// Status is what a progress line may tell.
type Status struct {
	Since    time.Time // when Wait began
	Attempts int       // logins begun
	Open     int       // logins under way
	Last     *Error    // the last failure, or silence that ended; nil before the first
}

// Waker waits for a login to succeed, with the waits of retry.Wake.
type Waker struct {
	// Beside is how long an attempt may be held before a second is tried beside
	// it, and how long each such second may last before another takes its place.
	// Zero means 1 s.
	Beside time.Duration
	// Trust, if set, is shared with other Wakers of the same target.
	Trust *Trust
	// Wrap, if set, is put around the socket of each login that Open makes, below
	// its TLS.
	Wrap func(net.Conn) net.Conn
	// Attempt makes one login; nil means Login. It must end soon after its
	// context, and its errors should be *Error: any other is final.
	Attempt func(context.Context, Target, credential.Secret) error
	// Progress, if set, is called from Wait after each failure and when an
	// attempt is held. It must not block.
	Progress func(Status)

	schedule retry.Schedule // zero: retry.Wake; set by tests
}

// Wait tries until a login succeeds, a refusal is final, or ctx ends, which must
// have a deadline. The first attempt goes out at once. One that is held is kept:
// a second is tried beside it, and replaced each time Beside has gone by, so that
// a compute which was silent while it woke is found. No more than two are open,
// and none when Wait returns.
//
// The error is an *Error: NotAwake at the deadline, Cancelled when ctx was
// cancelled (errors.Is finds context.Canceled), else what the server said.
func (w *Waker) Wait(ctx context.Context, t Target, password credential.Secret) error {
	_, err := w.walk(ctx, func() (try, error) {
		if w.Attempt != nil {
			return func(ctx context.Context) (*Conn, error) { return nil, w.Attempt(ctx, t, password) }, nil
		}
		cfg, err := t.config(password, w.Trust)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (*Conn, error) { return nil, login(ctx, t, cfg, password) }, nil
	})
	return err
}

// Open is Wait, and hands over the connection of the login that succeeded. params
// are start-up parameters beside user and database, by their protocol names.
func (w *Waker) Open(ctx context.Context, t Target, password credential.Secret, params map[string]string) (*Conn, error) {
	return w.walk(ctx, func() (try, error) {
		cfg, err := t.config(password, w.Trust)
		if err != nil {
			return nil, err
		}
		cfg.RuntimeParams = params
		return func(ctx context.Context) (*Conn, error) { return open(ctx, t, cfg, password, w.Wrap) }, nil
	})
}

// try makes one attempt; Wait's gives no connection.
type try func(context.Context) (*Conn, error)

// walk prepares what all attempts share, so that the roots are read once, and
// makes them.
func (w *Waker) walk(ctx context.Context, prepare func() (try, error)) (*Conn, error) {
	if _, ok := ctx.Deadline(); !ok {
		return nil, bad("the wait has no deadline")
	}
	begun := time.Now()
	if w.schedule == (retry.Schedule{}) {
		w.schedule = retry.Wake()
	}
	try, err := prepare()
	if err != nil {
		return nil, err
	}
	r := &run{
		ctx: ctx, try: try, backoff: w.schedule.Backoff(), beside: w.Beside, progress: w.Progress,
		begun: begun, results: make(chan result, 2),
	}
	if r.beside <= 0 {
		r.beside = defaultBeside
	}
	if err := r.loop(); err != nil {
		return nil, err
	}
	return r.won, nil
}
