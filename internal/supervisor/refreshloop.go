package supervisor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

var errExpired = errors.New("the new token has already expired")

// refreshLoop is the state of Run. Only its goroutine uses it.
type refreshLoop struct {
	*Refresher
	backoff *retry.Backoff

	results chan result
	cancel  context.CancelFunc // of the refresh in progress; nil: none

	end      instant       // when the last refresh ended
	err      error         // why it failed
	pause    time.Duration // the wait before the next one, if it failed
	after    time.Duration // the part of it that the server asked for
	reported EventKind     // the last event of this outage; zero: none
}

// result is a refresh that ended. With an error, token may be one that was not delivered.
type result struct {
	token credential.Token
	err   error
}

func (l *refreshLoop) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := l.instant()
		l.mu.Lock()
		l.stats.Beat = now.mono
		l.mu.Unlock()
		if l.cancel == nil && ctx.Err() == nil && l.due(now) <= 0 {
			l.start(ctx, now)
		}
		l.report(now)
		timer.Reset(l.wait(now))
		select {
		case <-ctx.Done():
			if l.cancel != nil {
				l.cancel()
				<-l.results
			}
			return
		case <-timer.C:
		case <-l.wakeup:
		case res := <-l.results:
			l.finish(ctx, res)
		}
	}
}

// due returns when the next refresh is to begin, seen from now.
func (l *refreshLoop) due(now instant) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var pause time.Duration // since the last one
	switch s := l.current; {
	case l.err != nil && l.flight != nil:
		pause = max(l.after, min(l.pause, s.minOnDemand()))
	case l.err != nil:
		pause = l.pause
	case l.rejected:
	case l.flight != nil:
		pause = s.minOnDemand()
	case s.age(now) < s.refreshAge:
		return s.refreshAge - s.age(now)
	default:
		pause = s.minInterval()
	}
	return pause - now.since(l.end)
}

// wait returns how long nothing will happen by itself.
func (l *refreshLoop) wait(now instant) time.Duration {
	s := l.currentState()
	wait := min(clockCheck, s.tenth())
	if l.cancel == nil {
		wait = min(wait, l.due(now))
	}
	if left := s.left(now); left > 0 {
		wait = min(wait, left)
	}
	return max(wait, time.Millisecond)
}

// start begins a refresh.
func (l *refreshLoop) start(ctx context.Context, now instant) {
	ctx, l.cancel = context.WithCancel(ctx)
	s, timeout := l.currentState(), firstAttempt
	switch left := s.left(now); {
	case l.err != nil:
		ctx, timeout = retry.Once(ctx), attemptTimeout // this loop repeats it
	case left > 0:
		timeout = min(timeout, left-left/10)
	}
	go func() { l.results <- l.attempt(ctx, s.token, timeout) }()
}

// attempt mints a token within timeout and delivers it.
func (r *Refresher) attempt(ctx context.Context, old credential.Token, timeout time.Duration) result {
	t, err := r.mintValid(ctx, old, timeout)
	if err == nil && r.OnToken != nil {
		ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
		if err = r.OnToken(ctx, t); err != nil {
			err = fmt.Errorf("delivering the new token: %w", err)
		}
	}
	return result{t, err}
}

func (r *Refresher) mintValid(ctx context.Context, old credential.Token, timeout time.Duration) (credential.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	t, err := r.Mint(ctx, old.Value)
	if err != nil {
		return credential.Token{}, err
	}
	now := r.instant()
	s := newTokenState(t, now, 0)
	switch {
	case t.Value.Equal(old.Value):
		return credential.Token{}, errors.New("the new token is the old one")
	case s.left(now) <= 0:
		return credential.Token{}, errExpired
	}
	return s.token, nil
}

// finish records the result of a refresh and wakes callers blocked in Token.
func (l *refreshLoop) finish(ctx context.Context, res result) {
	l.cancel()
	l.cancel = nil
	if ctx.Err() != nil {
		return // the failure is the end of Run
	}
	now := l.instant()
	l.end, l.err = now, res.err
	l.mu.Lock()
	defer l.mu.Unlock()
	if res.err == nil {
		l.succeed(res, now)
	} else {
		l.fail(res)
	}
	l.flight.finish(res.err)
	l.flight = nil
}

func (l *refreshLoop) succeed(res result, now instant) {
	l.stats.Refreshes++
	l.current = newTokenState(res.token, now, l.jitter())
	if l.rejected {
		l.lastRefusal = now
	}
	l.rejected = false
	l.stats.LastError, l.stats.TokenMintedAt, l.stats.TokenExpiresAt = "", l.current.token.MintedAt, l.current.token.ExpiresAt
	l.backoff.Reset()
}

func (l *refreshLoop) fail(res result) {
	l.stats.FailedRefreshes++
	l.stats.LastError = sanitize.Line(res.err.Error(), l.current.token.Value, res.token.Value)
	l.after = min(retry.VerdictOf(res.err).After, l.current.tenth())
	l.pause = RetryWait(l.backoff, l.current.life, l.after)
}

// report reports the next event of an outage, which begins with a refresh that failed: after
// a sleep of the machine an expired token is refreshed first.
func (l *refreshLoop) report(now instant) {
	l.mu.Lock()
	e := Event{ExpiresAt: l.current.token.ExpiresAt, Rejected: l.rejected, Err: l.err}
	expired := l.current.left(now) <= 0
	l.mu.Unlock()
	switch {
	case l.err == nil && l.reported != 0:
		e.Kind, l.reported = Recovered, 0
	case l.err != nil && expired && l.reported != Expired:
		e.Kind, l.reported = Expired, Expired
	case l.err != nil && !expired && l.reported == 0:
		e.Kind, l.reported = Failing, Failing
	default:
		return
	}
	l.OnEvent(e)
}
