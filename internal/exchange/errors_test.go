package exchange

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
)

// No placeholder is left in a message or a hint.
func TestErrorMessages(t *testing.T) {
	for kind := range hints {
		for call, service := range map[Call]string{"": "workspace", CallGitHub: "GitHub token service"} {
			e := Error{Call: call, Kind: kind, Host: "w.example"}
			if got, hint := e.Error(), e.Hint(); hint == "" || !strings.HasPrefix(got, service+" w.example: ") || strings.ContainsAny(got+hint, "{}") {
				t.Errorf("%s: got %q, hint %q", kind, got, hint)
			}
		}
	}
	for _, tc := range []struct {
		e             Error
		message, hint string
	}{
		{Error{Kind: KindInvalidClient, Call: CallWorkspaceToken}, "invalid client ID or secret", "login --profile prod"},
		{Error{Kind: KindEndpointNotFound, Call: CallEndpoint}, "endpoint not found, or not visible to this service principal", "endpoints --profile prod"},
		{Error{Kind: KindEndpointNotFound, Call: CallInstance}, "instance not found", "name its endpoint with --endpoint"},
		{Error{Kind: KindEndpointNotFound, Origins: Origins{Subject: "user"}}, "not visible to this user", "the user may use the project"},
		{Error{Kind: KindPermissionDenied, Call: CallInstanceCredential}, "permission denied", "CAN USE on the instance"},
		{Error{Kind: KindPermissionDenied, Call: CallCreateSecret}, "permission denied", "a manager of itself"},
		{Error{Kind: KindPermissionDenied, Call: CallWorkspaceToken}, "permission denied", "let the service principal sign in"},
		{Error{Kind: KindPermissionDenied, Message: "blocked by IP ACL"}, "permission denied", "IP access list"},
		{Error{Kind: KindBearerRefused, Origins: Origins{Token: "DATABRICKS_TOKEN", TokenFix: "check it"}}, "token from DATABRICKS_TOKEN rejected", "check it"},
		{Error{Kind: KindScopeMissing, Scope: "sql"}, "the scope sql does not include", "--scope"},
		{Error{Kind: KindScopeMissing, Scope: "sql", Origins: Origins{Token: "a CLI"}}, "the scope of the token from a CLI does", ""},
		{Error{Kind: KindRefused, Call: CallDatabaseCredential}, "request rejected", "check --endpoint and --ttl"},
		{Error{Kind: KindRefused, Call: CallInstanceCredential, Status: 404}, "request rejected: HTTP 404", "--credential workspace"},
		{Error{Kind: KindCertificate, Err: &rootcerts.Error{Err: io.EOF}}, "certificates in EOF", "PEM file"},
		{Error{Kind: KindBearerRefused, Call: CallGitHub}, "service w.example: ACTIONS_ID_TOKEN_REQUEST_TOKEN rejected", "id-token: write"},
		{Error{Kind: KindRefused, Status: 400, Code: "X", Message: "m", RequestID: "r", Err: io.EOF}, "request rejected: HTTP 400 X: m, request r", "and try again"},
		{Error{Kind: KindPermissionDenied, Status: 403, Code: "403", Message: "m"}, "permission denied: HTTP 403: m", ""},
	} {
		e := tc.e
		e.Host = "w.example"
		if e.Origins == (Origins{}) {
			e.Origins = Origins{Host: "DATABRICKS_HOST", Target: "--endpoint", SameSetup: " --profile prod"}
		}
		if got, hint := e.Error(), e.Hint(); !strings.Contains(got, tc.message) || !strings.Contains(hint, tc.hint) {
			t.Errorf("%s of %s: got %q, hint %q, want %q and %q", e.Kind, e.Call, got, hint, tc.message, tc.hint)
		}
	}
}

// A refresh token or a code is sent again only where it was not sent at all, or
// the workspace said that it did nothing with it.
func TestVerdict(t *testing.T) {
	broken := func(context.Context) (net.Conn, error) { // before TLS has begun
		here, there := net.Pipe()
		there.Close()
		return here, nil
	}
	name := func(e net.DNSError) func(context.Context) (net.Conn, error) {
		return func(context.Context) (net.Conn, error) { return nil, &net.OpError{Op: "dial", Err: &e} }
	}
	lost := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	within := func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(rw, `{"access_token":`)
		_ = http.NewResponseController(rw).Flush()
		panic(http.ErrAbortHandler)
	}
	for _, tc := range []struct {
		name        string
		h2          bool
		handle      http.HandlerFunc
		dial        func(ctx context.Context) (net.Conn, error) // nil: as always
		kind        Kind
		once, other bool // retryable: a call for one use, and another one
	}{
		{name: "refused", dial: func(context.Context) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
		}, kind: KindNoReply, once: true, other: true},
		{name: "name server", dial: name(net.DNSError{IsTemporary: true}), kind: KindNameNotResolved, once: true, other: true},
		{name: "silent name server", dial: name(net.DNSError{IsTimeout: true}), kind: KindNameNotResolved, once: true, other: true},
		{name: "no such host", dial: name(net.DNSError{IsNotFound: true}), kind: KindNameNotResolved},
		{name: "reset in the handshake", dial: broken, kind: KindNoReply, once: true, other: true},
		{name: "lost answer", handle: lost, kind: KindNoReply, other: true},
		{name: "lost answer, HTTP/2", h2: true, handle: lost, kind: KindNoReply, other: true},
		{name: "lost within", handle: within, kind: KindNoReply, other: true},
		{name: "lost within, HTTP/2", h2: true, handle: within, kind: KindNoReply, other: true},
		{name: "cut short", handle: says(200, `{"access_token":"at"`), kind: KindNoReply, other: true},
		{name: "429", handle: says(429, `{}`, "Retry-After", "7"), kind: KindRateLimited, once: true, other: true},
		{name: "503", handle: says(503, `{}`, "Retry-After", "7"), kind: KindUnavailable, once: true, other: true},
		{name: "502", handle: says(502, ``), kind: KindUnavailable, other: true},
		{name: "500", handle: says(500, ``), kind: KindServerError},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorkspace(t, tc.h2, tc.handle)
			for call, again := range map[Call]bool{CallRefresh: tc.once, CallCode: tc.once, CallFederation: tc.other} {
				e := wants(t, w.try(t, call, dialing(tc.dial)), tc.kind, again)
				if e.NotSent != (tc.dial != nil) || e.NotSent && MayHaveApplied(e) {
					t.Errorf("got not sent %v, may have applied %v: %v", e.NotSent, MayHaveApplied(e), e)
				}
			}
		})
	}
}

// The connection of an earlier call is one on which something may have been sent.
func TestVerdict_ReusedConnection(t *testing.T) {
	lost := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	late := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for _, tc := range []struct {
		call   Call
		second http.HandlerFunc
		kind   Kind
		again  bool
	}{
		{CallRefresh, lost, KindNoReply, false},
		{CallRefresh, late, KindNoReply, false},
		{CallFederation, late, KindNoReply, true},
	} {
		w := serve(t, 200, tokenReply("at"))
		c := w.client(t)
		if err := calls[tc.call](t.Context(), c); err != nil {
			t.Fatal(err)
		}
		w.handle = tc.second
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if e := wants(t, calls[tc.call](ctx, c), tc.kind, tc.again); e.NotSent || w.connections.Load() != 1 {
			t.Errorf("%s: got %+v on %d connections", tc.call, e, w.connections.Load())
		}
	}
	stuck := serve(t, 200, "").client(t, dialing(func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if e := wants(t, calls[CallRefresh](ctx, stuck), KindNoReply, true); !e.NotSent {
		t.Errorf("got %+v", e)
	}
}
