package exchange

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// roads makes each call of the ways in, and of what is asked on the way.
var roads = map[Call]func(context.Context, *Client) error{
	CallRefresh: func(ctx context.Context, c *Client) error { _, err := c.RefreshedToken(ctx, refreshSecret); return err },
	CallFederation: func(ctx context.Context, c *Client) error {
		_, err := c.FederatedToken(ctx, clientID, subjectSecret)
		return err
	},
	CallDiscovery: func(ctx context.Context, c *Client) error { _, err := c.Discover(ctx); return err },
	CallMe:        func(ctx context.Context, c *Client) error { _, err := c.Me(ctx, bearer); return err },
	CallProjects:  func(ctx context.Context, c *Client) error { _, err := c.Projects(ctx, bearer); return err },
	CallBranches: func(ctx context.Context, c *Client) error {
		_, err := c.Branches(ctx, bearer, "projects/shop")
		return err
	},
	CallCode: func(ctx context.Context, c *Client) error {
		_, err := c.CodeToken(ctx, codeSecret, verifierSecret, redirectURI)
		return err
	},
	CallEndpoints: func(ctx context.Context, c *Client) error {
		_, err := c.Endpoints(ctx, bearer, "projects/shop/branches/production")
		return err
	},
	CallGitHub: func(ctx context.Context, c *Client) error {
		_, err := GitHubToken(ctx, GitHub{URL: c.base.String() + "/idtoken?api-version=2.0", Token: bearer, Audience: "aud", Options: Options{LoadRoots: rootsOf(c)}})
		return err
	},
}

// rootsOf are those of another client.
func rootsOf(c *Client) func() (*x509.CertPool, error) {
	return func() (*x509.CertPool, error) {
		t, err := c.transport()
		if err != nil {
			return nil, err
		}
		return t.TLSClientConfig.RootCAs, nil
	}
}

func TestRoadsFollowNoRedirect(t *testing.T) {
	stranger := newWorkspace(t, false, lakebase)
	for _, status := range []int{301, 302, 303, 307, 308} {
		w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, stranger.URL+"/x?y=z", status) })
		for call, do := range roads {
			if e := wants(t, do(soon(t), w.client(t)), KindRedirect, false); e.Message != "to "+strings.TrimPrefix(stranger.URL, "https://") || e.Call != call {
				t.Errorf("%d: error = %+v", status, e)
			}
		}
	}
	if n := stranger.connections.Load(); n != 0 {
		t.Errorf("the stranger was called %d times", n)
	}
}

func TestRoadsAreBounded(t *testing.T) {
	endless := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(rw, strings.Repeat(" ", 1<<16)); err != nil {
				return
			}
		}
	})
	huge := newWorkspace(t, false, says(200, `{}`, "X-Pad", strings.Repeat("x", 2*maxHeaderBytes)))
	page := newWorkspace(t, false, says(200, `<html><title>Sign in</title>`))
	list := newWorkspace(t, false, says(200, `[]`))
	for _, do := range roads {
		wants(t, do(soon(t), endless.client(t)), KindTooLarge, false)
		wants(t, do(soon(t), huge.client(t)), KindTooLarge, false)
		wants(t, do(soon(t), page.client(t)), KindNotJSON, false)
		wants(t, do(soon(t), list.client(t)), KindBadReply, false)
	}
}

// A refresh token or a code is sent again only where it was not sent at all, or
// the workspace said that it did nothing with it.
func TestWhatIsGoodForOneUse(t *testing.T) {
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
				e := wants(t, roads[call](soon(t), c), tc.kind, again)
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
func TestReusedConnectionIsNotUnsent(t *testing.T) {
	calls := 0
	w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
		if calls++; calls > 1 {
			panic(http.ErrAbortHandler)
		}
		says(200, tokenReply("at"))(rw, r)
	})
	c := w.client(t)
	if _, err := c.RefreshedToken(soon(t), refreshSecret); err != nil {
		t.Fatal(err)
	}
	if e := wants(t, roads[CallRefresh](soon(t), c), KindBroken, false); e.NotSent || w.connections.Load() != 1 {
		t.Errorf("%d connections, %+v", w.connections.Load(), e)
	}
}

func TestOneUseAndContexts(t *testing.T) {
	for call, again := range map[Call]bool{CallRefresh: false, CallFederation: true} {
		ctx := newEndable() // once the request is there
		w := newWorkspace(t, false, func(_ http.ResponseWriter, r *http.Request) { ctx.end(); <-r.Context().Done() })
		wants(t, roads[call](ctx, w.client(t)), KindDeadline, again)
	}
	w := newWorkspace(t, false, lakebase)
	stuck := w.client(t, func(o *Options) {
		o.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	})
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if e := wants(t, roads[CallRefresh](short, stuck), KindDeadline, true); !e.NotSent {
		t.Errorf("%+v", e)
	}
}

// A proxy that refuses CONNECT has passed nothing on.
func TestOneUseThroughAProxy(t *testing.T) {
	for status, again := range map[int]bool{503: true, 502: true, 407: false} {
		p := newProxy(t, status, "")
		c, err := New(Options{Host: "https://example.com", Proxy: ProxySettings{HTTPSProxy: "http://user:hunter22@" + strings.TrimPrefix(p.URL, "http://")}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.RefreshedToken(soon(t), credential.NewSecret("refresh-0123456789"))
		c.Close()
		if e := wants(t, err, KindProxy, again); !e.NotSent || e.Status != status {
			t.Errorf("%+v", e)
		}
	}
}

func TestNotUnsentByDefault(t *testing.T) {
	e := &Error{Call: CallRefresh, Kind: KindBroken}
	if again, _ := e.Retryable(); again || !e.MayHaveApplied() {
		t.Error("what is not known is taken for nothing sent")
	}
}
