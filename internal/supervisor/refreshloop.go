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
		l.reportExpiry(now)
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
	wait := max(shortestWait, min(clockCheck, s.tenth()))
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
	case t.Value.IsZero() || s.life <= 0:
		return credential.Token{}, errors.New("the new token is invalid")
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
	now := l.instant()
	l.cancel, l.end, l.err = nil, now, res.err
	if ctx.Err() != nil {
		return // the failure is the end of Run
	}
	l.mu.Lock()
	if res.err == nil {
		l.succeed(res, now)
	} else {
		l.fail(res)
	}
	l.flight.finish(res.err)
	l.flight = nil
	left := l.current.left(now)
	l.mu.Unlock()
	switch {
	case l.err == nil && l.reported != 0:
		l.report(Recovered, nil)
		l.reported = 0
	case l.err != nil && l.reported == 0 && left > 0:
		l.report(Failing, l.err)
	}
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

// reportExpiry reports that the token has expired, unless a refresh may still succeed, as
// after a sleep of the machine.
func (l *refreshLoop) reportExpiry(now instant) {
	if s := l.currentState(); l.err != nil && l.reported != Expired && s.left(now) <= 0 {
		l.report(Expired, l.err)
	}
}

func (l *refreshLoop) report(kind EventKind, err error) {
	l.reported = kind
	l.mu.Lock()
	e := Event{Kind: kind, ExpiresAt: l.current.token.ExpiresAt, Rejected: l.rejected, Err: err}
	l.mu.Unlock()
	l.OnEvent(e)
}
