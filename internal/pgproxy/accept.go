package pgproxy

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

// accept lets connections in until its listener is closed. Nothing that Accept
// says ends it otherwise: no descriptors left is a state that passes.
func (p *Proxy) accept(ctx context.Context, ln net.Listener) {
	full := false
	backoff := retry.Accept().Backoff()
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.event(Event{Kind: AcceptFailed, Err: err})
			sleep(ctx, backoff.Next())
			continue
		}
		backoff.Reset()
		if full = !p.admit(ctx, full); full {
			p.turnAway(c)
			continue
		}
		p.wg.Go(func() { p.handle(ctx, c) })
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// admit takes a start-up slot. It waits for one, but not again and again: once
// that was in vain, who finds no slot is refused at once, until one is free.
func (p *Proxy) admit(ctx context.Context, full bool) bool {
	select {
	case p.startups <- struct{}{}:
		return true
	default:
	}
	if full {
		return false
	}
	t := time.NewTimer(admitWait)
	defer t.Stop()
	select {
	case p.startups <- struct{}{}:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// tooMany is what Postgres says, and which limit it was.
func tooMany(limit string, n int) *ServerError {
	return &ServerError{Code: "53300", Message: "sorry, too many clients already",
		Hint: "The local proxy's limit " + limit + " is " + itoa(n) + "."}
}

// turnAway refuses a connection that no slot is left for, without reading what it
// wants. What goes into a fresh socket never waits.
func (p *Proxy) turnAway(c net.Conn) {
	e := tooMany("of unfinished start-ups", p.o.MaxStartups)
	p.refused(e)
	_ = c.SetDeadline(time.Now().Add(lingerTime))
	_, _ = c.Write(e.encode())
	select {
	case p.lingering <- struct{}{}:
		p.wg.Go(func() {
			defer func() { <-p.lingering }()
			linger(c)
			_ = c.Close()
		})
	default:
		_ = c.Close()
	}
}

func (p *Proxy) refused(e *ServerError) {
	p.n.refused.Add(1)
	p.event(Event{Kind: Refused, Err: e})
}
