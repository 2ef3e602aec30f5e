package exchange

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
)

func TestRequestIDs(t *testing.T) {
	info := `{"error_code":"X","message":"m","details":["odd",{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"R"},{"@type":"type.googleapis.com/google.rpc.RequestInfo","request_id":"body-1"}]}`
	for _, tc := range []struct {
		body    string
		headers []string
		want    string
	}{
		{info, []string{"X-Request-Id", "head-1"}, "body-1"},
		{`{"error":"invalid_scope","error_id":"oauth-1"}`, []string{"X-Request-Id", "head-1"}, "oauth-1"},
		{`{}`, []string{"X-Request-Id", "head-1", "X-Databricks-Request-Id", "head-2"}, "head-1"},
		{`{}`, []string{"X-Databricks-Request-Id", "head-2"}, "head-2"},
		{`{}`, nil, ""},
	} {
		w := newWorkspace(t, false, says(400, tc.body, tc.headers...))
		if e := wants(t, calls[CallDatabaseCredential](soon(t), w.client(t)), KindRefused, false); e.RequestID != tc.want {
			t.Errorf("%s %v: request id %q, want %q", tc.body, tc.headers, e.RequestID, tc.want)
		}
	}
	w := newWorkspace(t, false, says(200, `{}`, "X-Request-Id", "head-1"))
	if e := wants(t, calls[CallEndpoint](soon(t), w.client(t)), KindBadReply, false); e.Call != CallEndpoint {
		t.Errorf("error = %+v", e)
	}
}

func TestDecode_Rejects(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		kind       Kind
		again      bool
	}{
		{"empty", "", KindNotJSON, false},
		{"page", "<html><title>Databricks - Sign In</title>", KindNotJSON, false},
		{"text", "hello", KindNotJSON, false},
		{"two values", `{"access_token":"abc"}{}`, KindNotJSON, false},
		{"cut short", `{"access_token":"abc`, KindBroken, true},
		{"cut after a value", `{"access_token":"abc"`, KindBroken, true},
		{"list", `[]`, KindBadReply, false},
		{"null", `null`, KindBadReply, false},
		{"no token", `{}`, KindBadReply, false},
		{"wrong type", `{"access_token":7,"token":7,"status":7}`, KindBadReply, false},
		{"line break", `{"access_token":"a\nb","token":"a\nb"}`, KindBadReply, false},
		{"not ASCII", `{"access_token":"ü","token":"ü"}`, KindBadReply, false},
	} {
		for _, call := range []Call{CallWorkspaceToken, CallDatabaseCredential, CallEndpoint, CallInstance} {
			w := newWorkspace(t, false, says(200, tc.body))
			if e := wants(t, calls[call](soon(t), w.client(t)), tc.kind, tc.again); strings.Contains(e.Error(), "abc") {
				t.Errorf("%s, %s: the token is in %v", tc.name, call, e)
			}
		}
	}
	w := newWorkspace(t, false, says(200, `{"access_token":"abc","token_type":"mac"}`))
	wants(t, calls[CallWorkspaceToken](soon(t), w.client(t)), KindBadReply, false)
	w = newWorkspace(t, false, says(200, `{"access_token":"abc","token_type":"bEARER"}`))
	if err := calls[CallWorkspaceToken](soon(t), w.client(t)); err != nil {
		t.Errorf("token_type in another case: %v", err)
	}
}

// Some proxies compress replies that must not be compressed.
func TestReply_Compressed(t *testing.T) {
	packed := func(text string, w io.WriteCloser, b *bytes.Buffer) string {
		_, _ = io.WriteString(w, text)
		_ = w.Close()
		return b.String()
	}
	gz := func(text string) string { var b bytes.Buffer; return packed(text, gzip.NewWriter(&b), &b) }
	zl := func(text string) string { var b bytes.Buffer; return packed(text, zlib.NewWriter(&b), &b) }
	for _, c := range []struct {
		name, encoding string
		status         int
		body           string
		kind           Kind // empty: a token
		message        string
	}{
		{"gzip", "gzip", 200, gz(tokenReply("abc")), "", ""},
		{"in capitals", "GZIP", 200, gz(tokenReply("abc")), "", ""},
		{"x-gzip", "x-gzip", 200, gz(tokenReply("abc")), "", ""},
		{"deflate", "deflate", 200, zl(tokenReply("abc")), "", ""},
		{"identity", "identity", 200, tokenReply("abc"), "", ""},
		{"a refusal", "gzip", 403, gz(`{"error_code":"PERMISSION_DENIED","message":"not yours"}`), KindPermissionDenied, "not yours"},
		{"another encoding", "br", 200, "x", KindNotJSON, `unsupported encoding "br"`},
		{"not compressed", "gzip", 200, tokenReply("abc"), KindNotJSON, "not compressed as it claims"},
		{"a bomb", "gzip", 200, gz(strings.Repeat(" ", 20<<20)), KindTooLarge, "larger than 1 MiB"},
		{"cut short", "gzip", 200, gz(tokenReply("abc"))[:40], KindBroken, ""},
	} {
		w := newWorkspace(t, false, says(c.status, c.body, "Content-Encoding", c.encoding))
		err := calls[CallWorkspaceToken](soon(t), w.client(t))
		var e *Error
		switch {
		case c.kind == "" && err != nil:
			t.Errorf("%s: got %v", c.name, err)
		case c.kind != "" && (!errors.As(err, &e) || e.Kind != c.kind || !strings.Contains(err.Error(), c.message)):
			t.Errorf("%s: got %v, want %s, %q", c.name, err, c.kind, c.message)
		}
	}
}

func TestRetryAfterIsKept(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name, after, date string
		want              time.Duration
	}{
		{"seconds", "7", "", 7 * time.Second},
		{"a date by the server's clock", now.Add(10*time.Minute + 30*time.Second).Format(http.TimeFormat), now.Add(10 * time.Minute).Format(http.TimeFormat), 30 * time.Second},
		{"a date by ours", now.Add(45 * time.Second).Format(http.TimeFormat), "", 45 * time.Second},
		{"passed", now.Add(-time.Hour).Format(http.TimeFormat), "", 0},
		{"far", "999999", "", maxRetryAfter},
		{"beyond numbers", "99999999999999999999999", "", maxRetryAfter},
		{"negative", "-5", "", 0},
		{"nonsense", "soon", "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
				rw.Header()["Date"] = nil // none by itself
				if tc.date != "" {
					rw.Header().Set("Date", tc.date)
				}
				says(429, `{}`, "Retry-After", tc.after)(rw, r)
			})
			c := w.client(t, func(o *Options) { o.Now = func() time.Time { return now } })
			e := wants(t, calls[CallEndpoint](soon(t), c), KindRateLimited, true)
			if _, after := e.Retryable(); after != tc.want {
				t.Errorf("after %v, want %v", after, tc.want)
			}
		})
	}
	w := newWorkspace(t, false, says(403, `{}`, "Retry-After", "7"))
	e := wants(t, calls[CallEndpoint](soon(t), w.client(t)), KindPermissionDenied, false)
	if _, after := e.Retryable(); after != 0 {
		t.Errorf("a refusal is worth another try after %v", after)
	}
}

func TestErrors_EchoedSecretsAreRedacted(t *testing.T) {
	basic := base64.StdEncoding.EncodeToString([]byte(clientID + ":" + clientSecret))
	secrets := map[string]string{
		"whole": clientSecret, "part": clientSecret[5:17], "basic": basic, "part of basic": basic[len(basic)-20:],
		"base64": base64.StdEncoding.EncodeToString([]byte(clientSecret)),
	}
	for name, secret := range secrets {
		for form, body := range map[string]string{
			"message": `{"error":"x","error_description":"you sent ` + secret + ` here"}`,
			"code":    `{"error_code":"` + secret + `","message":"you sent it here"}`,
			"id":      `{"error":"x","error_id":"` + secret + `","message":"you sent it here"}`,
			"text":    "you sent " + secret + " here",
			"pre":     "<pre>you sent " + secret + " here</pre>",
			"title":   "<title>you sent " + secret + " here</title>",
			"late":    `{"error":"x","message":"you sent it here ` + strings.Repeat("-", 450) + secret + `"}`,
		} {
			t.Run(name+" in "+form, func(t *testing.T) {
				w := newWorkspace(t, false, says(400, body, "X-Request-Id", secret))
				hides(t, calls[CallWorkspaceToken](soon(t), w.client(t)), secret)
			})
		}
	}
	fresh, other := jwt(`{"sub":"fresh"}`), bearer.Reveal()[:12]+"another"+jwt(`{"sub":"another"}`)[12:]
	for name, tc := range map[string]struct{ secret, body string }{
		"bearer":                     {bearer.Reveal(), `{"message":"you sent Bearer ` + bearer.Reveal() + ` here"}`},
		"a token of the reply":       {fresh, `{"token":"` + fresh + `","message":"you sent for ` + fresh + ` here"}`},
		"another's token, like ours": {other, `{"message":"you sent ` + other + ` here"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorkspace(t, false, says(400, tc.body))
			hides(t, calls[CallDatabaseCredential](soon(t), w.client(t)), tc.secret)
		})
	}
	cut := newWorkspace(t, false, says(400, `{"token":"`+fresh+`","message":"`+strings.Repeat("you sent", maxErrorBody)+`"}`))
	if err := calls[CallDatabaseCredential](soon(t), cut.client(t)); err == nil || strings.Contains(err.Error(), fresh[:8]) {
		t.Errorf("a refusal that is cut short: %v", err)
	}
}

// hides fails if any eight bytes of secret stand in err's text.
func hides(t *testing.T, err error, secret string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "you sent") {
		t.Fatalf("error = %v, want what the server said", err)
	}
	for i := 0; i+8 <= len(secret); i++ {
		if strings.Contains(err.Error(), secret[i:i+8]) {
			t.Fatalf("shows %q: %v", secret[i:i+8], err)
		}
	}
}

func TestContexts(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		w := newWorkspace(t, h2, func(rw http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(rw, `{"status":`) // and then nothing
			_ = http.NewResponseController(rw).Flush()
			<-r.Context().Done()
		})
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		e := wants(t, calls[CallEndpoint](short, w.client(t)), KindDeadline, true)
		if !errors.Is(e, context.DeadlineExceeded) {
			t.Errorf("error = %v", e)
		}
		ended, stop := context.WithCancel(soon(t))
		time.AfterFunc(50*time.Millisecond, stop)
		e = wants(t, calls[CallEndpoint](ended, w.client(t)), KindCanceled, false)
		if !errors.Is(e, context.Canceled) {
			t.Errorf("error = %v", e)
		}
	}
}

// Each kind has a message and a hint, for an endpoint and for an instance, a service
// principal and a user.
func TestErrorMessages(t *testing.T) {
	origins := Origins{Host: "DATABRICKS_HOST", Target: "--endpoint", TTL: "--ttl", SameSetup: " --profile prod"}
	for _, tc := range []struct {
		e             Error
		message, hint string
	}{
		{Error{Kind: KindInvalidClient, Call: CallWorkspaceToken}, "invalid client ID or secret", "store a new one with: lakebase-credential-helper login --profile prod"},
		{Error{Kind: KindEntitlement}, "the service principal has no workspace access", `"Workspace access" for the service principal`},
		{Error{Kind: KindEndpointMalformed, Call: CallEndpoint}, "invalid endpoint name", "check --endpoint: its form is projects/PROJECT/branches/BRANCH/endpoints/ENDPOINT"},
		{Error{Kind: KindEndpointMalformed, Call: CallInstanceCredential}, "invalid instance name", "as the console shows it"},
		{Error{Kind: KindEndpointNotFound, Call: CallEndpoint}, "endpoint not found, or not visible to this service principal", "lakebase-credential-helper endpoints --profile prod"},
		{Error{Kind: KindEndpointNotFound, Call: CallInstance}, "instance not found", "name its endpoint with --endpoint"},
		{Error{Kind: KindEndpointNotFound, Origins: Origins{Subject: "user"}}, "not visible to this user", "the user may use the project"},
		{Error{Kind: KindEndpointDisabled}, "the endpoint is disabled", "enable the endpoint"},
		{Error{Kind: KindSecretNotFound}, "secret not found", "try again"},
		{Error{Kind: KindTooManySecrets}, "maximum number of secrets", "delete a secret"},
		{Error{Kind: KindRefreshRefused}, "refresh token rejected", "try again"},
		{Error{Kind: KindCodeRefused}, "authorization code rejected", "start the login again"},
		{Error{Kind: KindFederationRefused}, "workload token rejected", "try again"},
		{Error{Kind: KindForeignHost}, "nothing was sent there", "check DATABRICKS_HOST: its discovery document points elsewhere"},
		{Error{Kind: KindPermissionDenied, Call: CallEndpoint}, "permission denied", "give the service principal CAN USE on the project"},
		{Error{Kind: KindPermissionDenied, Call: CallInstanceCredential}, "permission denied", "CAN USE on the instance"},
		{Error{Kind: KindPermissionDenied, Call: CallCreateSecret}, "permission denied", "a manager of itself"},
		{Error{Kind: KindPermissionDenied, Call: CallWorkspaceToken}, "permission denied", "let the service principal sign in"},
		{Error{Kind: KindPermissionDenied, Message: "blocked by IP ACL"}, "permission denied", "IP access list"},
		{Error{Kind: KindBearerRefused}, "workspace token rejected", "check this machine's clock"},
		{Error{Kind: KindBearerRefused, Origins: Origins{Token: "DATABRICKS_TOKEN", TokenFix: "check the token"}}, "token from DATABRICKS_TOKEN rejected", "check the token"},
		{Error{Kind: KindRateLimited}, "rate limit exceeded", "try again later"},
		{Error{Kind: KindUnavailable}, "server error", "--timeout allows more time"},
		{Error{Kind: KindServerError}, "server error", "Databricks' support"},
		{Error{Kind: KindRefused, Call: CallWorkspaceToken}, "request rejected", "check DATABRICKS_HOST and the client ID"},
		{Error{Kind: KindRefused, Call: CallDatabaseCredential}, "request rejected", "check --ttl and --endpoint"},
		{Error{Kind: KindRefused, Call: CallInstanceCredential, Status: 404}, "request rejected: HTTP 404", "--credential workspace"},
		{Error{Kind: KindRefused, Call: CallInstanceCredential, Status: 409}, "request rejected: HTTP 409", "check DATABRICKS_HOST and --endpoint"},
		{Error{Kind: KindRedirect}, "request redirected", "it must be the workspace's own address"},
		{Error{Kind: KindNotJSON}, "unexpected response", "it must be the workspace's own address"},
		{Error{Kind: KindTooLarge}, "unexpected response", "it must be the workspace's own address"},
		{Error{Kind: KindBadReply}, "unexpected response", "it must be the workspace's own address"},
		{Error{Kind: KindInstanceStopped}, "the instance is stopped", "start the instance"},
		{Error{Kind: KindInstanceFailingOver}, "the instance is failing over", "in a minute"},
		{Error{Kind: KindInstanceDeleting}, "the instance is being deleted", "name its endpoint with --endpoint"},
		{Error{Kind: KindBroken}, "not reachable, or no response", "--timeout allows more time"},
		{Error{Kind: KindDeadline}, "not reachable, or no response", "--timeout allows more time"},
		{Error{Kind: KindCanceled}, "not reachable, or no response", "--timeout allows more time"},
		{Error{Kind: KindNameNotResolved}, "host name not resolved", "name resolution"},
		{Error{Kind: KindCertificate, Err: x509.UnknownAuthorityError{}}, "certificate not trusted", "--cacert"},
		{Error{Kind: KindCertificate, Err: &rootcerts.Error{Path: "/x", Err: io.EOF}}, "certificates in /x", "PEM file"},
		{Error{Kind: KindTLS}, "TLS handshake failed", "it must be the workspace's own address"},
		{Error{Kind: KindProxy}, "connection through the proxy failed", "HTTPS_PROXY"},
		{Error{Kind: KindUnavailable, Call: CallGitHub}, "GitHub token service w.example: server error", "id-token: write"},
	} {
		e := tc.e
		e.Host = "w.example"
		if e.Origins == (Origins{}) {
			e.Origins = origins
		}
		if got, hint := e.Error(), e.Hint(); !strings.Contains(got, "w.example: ") || !strings.Contains(got, tc.message) || !strings.Contains(hint, tc.hint) {
			t.Errorf("%s of %s: got %q, hint %q, want %q and %q", e.Kind, e.Call, got, hint, tc.message, tc.hint)
		}
	}
}

func TestErrorText(t *testing.T) {
	e := &Error{Call: CallEndpoint, Host: "dbc-1", Kind: KindRefused, Status: 400, Code: "X", Message: "m", RequestID: "r", Err: io.EOF}
	if got, want := e.Error(), "workspace dbc-1: request rejected: HTTP 400 X: m, request r"; got != want {
		t.Errorf("text = %q, want %q", got, want)
	}
	if !errors.Is(e, io.EOF) {
		t.Error("the cause is lost")
	}
}

// speaks answers with raw bytes in place of a reply.
func speaks(t *testing.T, raw string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		w := bufio.NewWriter(conn)
		_, _ = fmt.Fprint(w, raw)
		_ = w.Flush()
	}
}

// net/http puts what it cannot read into its own errors.
func TestErrors_EchoesBelowHTTPAreRedacted(t *testing.T) {
	for name, raw := range map[string]string{
		"status":            "HTTP/1.1 %s\r\n\r\n",
		"protocol":          "%s\r\n\r\n",
		"header":            "HTTP/1.1 200 OK\r\nyou sent %s\r\n\r\n",
		"transfer encoding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: you sent %s\r\n\r\n",
		"content length":    "HTTP/1.1 200 OK\r\nContent-Length: you sent %s\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorkspace(t, false, speaks(t, fmt.Sprintf(raw, clientSecret)))
			err := calls[CallWorkspaceToken](soon(t), w.client(t))
			if err == nil || !strings.Contains(err.Error(), credential.Redacted) {
				t.Fatalf("nothing was hidden in %v: does the server's text still reach it?", err)
			}
			for i := 0; i+8 <= len(clientSecret); i++ {
				if strings.Contains(err.Error(), clientSecret[i:i+8]) {
					t.Fatalf("shows %q: %v", clientSecret[i:i+8], err)
				}
			}
		})
	}
}

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
