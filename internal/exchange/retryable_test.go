package exchange

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"
)

// A refresh token or a code is sent again only where it was not sent at all, or
// the workspace said that it did nothing with it.
func TestRetryable_SingleUse(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := closed.Addr().String()
	closed.Close()
	for _, tc := range []struct {
		name        string
		h2          bool
		handle      http.HandlerFunc
		change      func(*Options)
		kind        Kind
		once, other bool // worth another try: of a call for one use, of another
		unsent      bool
	}{
		{name: "refused", change: dialing(func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "tcp", addr) }),
			kind: KindBroken, once: true, other: true, unsent: true},
		{name: "name server", change: dialing(func(context.Context) (net.Conn, error) { return nil, &net.DNSError{Err: "x", IsTemporary: true} }),
			kind: KindNameNotResolved, once: true, other: true, unsent: true},
		{name: "reset in the handshake", change: dialing(brokenPipe), kind: KindBroken, once: true, other: true, unsent: true},
		{name: "lost answer", handle: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, kind: KindBroken, other: true},
		{name: "lost answer, HTTP/2", h2: true, handle: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, kind: KindBroken, other: true},
		{name: "429", handle: says(429, `{}`, "Retry-After", "7"), kind: KindRateLimited, once: true, other: true},
		{name: "503", handle: says(503, `{}`, "Retry-After", "7"), kind: KindUnavailable, once: true, other: true},
		{name: "502", handle: says(502, ``), kind: KindUnavailable, other: true},
		{name: "504", handle: says(504, ``), kind: KindUnavailable, other: true},
		{name: "500", handle: says(500, ``), kind: KindServerError},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.handle == nil {
				tc.handle = lakebase // which nothing reaches
			}
			w := newWorkspace(t, tc.h2, tc.handle)
			for call, again := range map[Call]bool{CallRefresh: tc.once, CallCode: tc.once, CallFederation: tc.other, CallMe: tc.other} {
				c := w.client(t, func(o *Options) {
					if tc.change != nil {
						tc.change(o)
					}
				})
				e := wants(t, calls[call](soon(t), c), tc.kind, again)
				if e.NotSent != tc.unsent || e.NotSent && e.MayHaveApplied() {
					t.Errorf("unsent %v, acted %v: %v", e.NotSent, e.MayHaveApplied(), e)
				}
				if _, after := e.Retryable(); after != 0 && after != 7*time.Second || again && e.RetryAfter != after {
					t.Errorf("after %v", after)
				}
			}
		})
	}
}

// brokenPipe is a connection that ends before TLS has begun.
func brokenPipe(context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	there.Close()
	return here, nil
}

// The connection of an earlier call is one on which something may have been sent.
func TestNotSent_ReusedConnection(t *testing.T) {
	n := 0
	w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
		if n++; n > 1 {
			panic(http.ErrAbortHandler)
		}
		says(200, tokenReply("at"))(rw, r)
	})
	c := w.client(t)
	if _, err := c.RefreshedToken(soon(t), refreshSecret); err != nil {
		t.Fatal(err)
	}
	if e := wants(t, calls[CallRefresh](soon(t), c), KindBroken, false); e.NotSent || w.connections.Load() != 1 {
		t.Errorf("%d connections, %+v", w.connections.Load(), e)
	}
}

func TestRetryable_Deadline(t *testing.T) {
	for call, again := range map[Call]bool{CallRefresh: false, CallFederation: true} {
		ctx := newEndable() // once the request is there
		w := newWorkspace(t, false, func(_ http.ResponseWriter, r *http.Request) { ctx.end(); <-r.Context().Done() })
		wants(t, calls[call](ctx, w.client(t)), KindDeadline, again)
	}
	w := newWorkspace(t, false, lakebase)
	stuck := w.client(t, func(o *Options) {
		o.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	})
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if e := wants(t, calls[CallRefresh](short, stuck), KindDeadline, true); !e.NotSent {
		t.Errorf("%+v", e)
	}
}
