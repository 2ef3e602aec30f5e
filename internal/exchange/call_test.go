package exchange

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRequestIDs(t *testing.T) {
	info := `{"error_code":"X","message":"m","details":["odd",{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"R"},
		{"@type":"type.googleapis.com/google.rpc.RequestInfo","request_id":"body-1"}]}`
	for body, want := range map[string]string{info: "body-1", `{"error":"invalid_request","error_id":"oauth-1"}`: "oauth-1", `{}`: "head-1"} {
		w := serve(t, 400, body, "X-Request-Id", "head-1", "X-Databricks-Request-Id", "head-2")
		if e := wants(t, w.try(t, CallDatabaseCredential), KindRefused, false); e.RequestID != want || e.Status != 400 {
			t.Errorf("%s: got %+v, want request %q", body, e, want)
		}
	}
}

func TestDecode_Rejects(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		kind       Kind
		again      bool
	}{
		{"empty", "", KindNotJSON, false},
		{"text", "hello", KindNotJSON, false},
		{"two values", `{"access_token":"abc"}{}`, KindNotJSON, false},
		{"cut short", `{"access_token":"abc`, KindNoReply, true},
		{"cut after a value", `{"access_token":"abc"`, KindNoReply, true},
		{"null", `null`, KindBadReply, false},
		{"no token", `{}`, KindBadReply, false},
		{"wrong type", `{"access_token":7,"token":7,"status":7,"state":7}`, KindBadReply, false},
		{"line break", `{"access_token":"a\nb","token":"a\nb"}`, KindBadReply, false},
		{"not ASCII", `{"access_token":"ü","token":"ü"}`, KindBadReply, false},
	} {
		w := serve(t, 200, tc.body)
		for _, call := range []Call{CallWorkspaceToken, CallDatabaseCredential, CallEndpoint, CallInstance} {
			if e := wants(t, w.try(t, call), tc.kind, tc.again); strings.Contains(e.Error(), "abc") {
				t.Errorf("%s, %s: the token is in %v", tc.name, call, e)
			}
		}
	}
	wants(t, serve(t, 200, `{"access_token":"abc","token_type":"mac"}`).try(t, CallWorkspaceToken), KindBadReply, false)
	if err := serve(t, 200, `{"access_token":"abc","token_type":"bEARER"}`).try(t, CallWorkspaceToken); err != nil {
		t.Errorf("token_type in another case: got %v", err)
	}
}

func TestReply_Compressed(t *testing.T) {
	var b bytes.Buffer
	packed := func(w io.WriteCloser, text string) string {
		_, _ = io.WriteString(w, text)
		_ = w.Close()
		defer b.Reset()
		return b.String()
	}
	gz := func(text string) string { return packed(gzip.NewWriter(&b), text) }
	deflate := func(text string) string { return packed(zlib.NewWriter(&b), text) }
	for _, c := range []struct {
		name, encoding string
		status         int
		body           string
		kind           Kind // empty: a token
		message        string
	}{
		{"token", "gzip", 200, gz(tokenReply("abc")), "", ""},
		{"x-gzip, unasked", "X-Gzip", 200, gz(tokenReply("abc")), "", ""},
		{"deflate, unasked", "deflate", 200, deflate(tokenReply("abc")), "", ""},
		{"a refusal, unasked", "deflate", 403, deflate(`{"error_code":"PERMISSION_DENIED","message":"not yours"}`), KindPermissionDenied, "not yours"},
		{"not compressed, unasked", "deflate", 200, tokenReply("abc"), KindNotJSON, "not compressed as it claims"},
		{"a bomb, unasked", "x-gzip", 200, gz(strings.Repeat(" ", 20<<20)), KindBadReply, "larger than 1 MiB"},
		{"nothing, at length", "x-gzip", 200, strings.Repeat(gz(""), 2<<20/len(gz(""))), KindBadReply, "larger than 1 MiB"},
		{"cut short, unasked", "deflate", 200, deflate(tokenReply("abc"))[:40], KindNoReply, ""},
		{"a refusal", "gzip", 403, gz(`{"error_code":"PERMISSION_DENIED","message":"not yours"}`), KindPermissionDenied, "not yours"},
		{"another encoding", "br", 200, "x", KindNotJSON, `unsupported encoding "br"`},
		{"another encoding of a refusal", "br", 403, "x", KindPermissionDenied, "HTTP 403"}, // its bytes are not shown
		{"not compressed", "gzip", 200, tokenReply("abc"), KindNotJSON, "not compressed as it claims"},
		{"a bomb", "gzip", 200, gz(strings.Repeat(" ", 20<<20)), KindBadReply, "larger than 1 MiB"},
		{"cut short", "gzip", 200, gz(tokenReply("abc"))[:40], KindNoReply, ""},
	} {
		err := serve(t, c.status, c.body, "Content-Encoding", c.encoding).try(t, CallWorkspaceToken)
		e, ok := errors.AsType[*Error](err)
		if (err == nil) != (c.kind == "") || err != nil && (!ok || e.Kind != c.kind || !strings.Contains(e.Error(), c.message)) {
			t.Errorf("%s: got %v, want %s, %q", c.name, err, c.kind, c.message)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, at(45 * time.Second): 45 * time.Second, at(-time.Hour): 0, "999999": maxRetryAfter,
		"99999999999999999999999": maxRetryAfter, at(9 * time.Hour): maxRetryAfter, "-5": 0, "soon": 0,
	} {
		if got := parseRetryAfter(value, now); got != want {
			t.Errorf("%s: got %s, want %s", value, got, want)
		}
	}
	for status, want := range map[int]time.Duration{429: 30 * time.Second, 503: 30 * time.Second, 403: 0} { // by the server's clock
		w := serve(t, status, `{}`, "Retry-After", at(10*time.Minute+30*time.Second), "Date", at(10*time.Minute))
		var e *Error
		if err := w.try(t, CallEndpoint); !errors.As(err, &e) {
			t.Fatal(err)
		}
		if v := e.Verdict(); v.Retry != (want > 0) || v.After != want {
			t.Errorf("%d: got %+v, want %s", status, v, want)
		}
	}
}

func TestErrors_EchoedSecretsAreRedacted(t *testing.T) {
	basic := base64.StdEncoding.EncodeToString([]byte(clientID + ":" + clientSecret))
	encoded := base64.StdEncoding.EncodeToString([]byte(clientSecret))
	for _, secret := range []string{clientSecret, clientSecret[5:17], basic, basic[len(basic)-20:], encoded} {
		for _, body := range []string{
			`{"error":"x","error_description":"you sent ` + secret + ` here"}`,
			`{"error_code":"` + secret + `","message":"you sent it here"}`,
			`{"error":"x","error_id":"` + secret + `","message":"you sent it here"}`,
			"you sent " + secret + " here",
			"<pre>you sent " + secret + " here</pre>",
			"<title>you sent " + secret + " here</title>",
			`{"error":"x","message":"you sent it here ` + strings.Repeat("-", 450) + secret + `"}`,
		} {
			hides(t, serve(t, 400, body, "X-Request-Id", secret).try(t, CallWorkspaceToken), secret)
		}
	}
	fresh, other := jwt(`{"sub":"fresh"}`), bearer.Reveal()[:12]+"another"+jwt(`{"sub":"another"}`)[12:]
	for secret, body := range map[string]string{
		bearer.Reveal(): `{"message":"you sent Bearer ` + bearer.Reveal() + ` here"}`,
		fresh:           `{"token":"` + fresh + `","message":"you sent for ` + fresh + ` here"}`,
		other:           `{"message":"you sent ` + other + ` here"}`, // another's token, like ours
	} {
		hides(t, serve(t, 400, body).try(t, CallDatabaseCredential), secret)
	}
	cut := serve(t, 400, `{"token":"`+fresh+`","message":"`+strings.Repeat("you sent", maxErrorBody)+`"}`)
	if err := cut.try(t, CallDatabaseCredential); err == nil || strings.Contains(err.Error(), fresh[:8]) {
		t.Errorf("a refusal that is cut short: got %v", err)
	}
}

// net/http puts what it cannot read into its own errors.
func TestErrors_EchoesBelowHTTPAreRedacted(t *testing.T) {
	for _, raw := range []string{"HTTP/1.1 %s\r\n\r\n", "%s\r\n\r\n", "HTTP/1.1 200 OK\r\nyou sent %s\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: you sent %s\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: you sent %s\r\n\r\n"} {
		w := newWorkspace(t, false, func(rw http.ResponseWriter, _ *http.Request) {
			if conn, _, err := http.NewResponseController(rw).Hijack(); err == nil {
				_, _ = fmt.Fprintf(conn, raw, clientSecret)
				_ = conn.Close()
			}
		})
		hides(t, w.try(t, CallWorkspaceToken), clientSecret)
	}
}

func TestContexts(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		w := newWorkspace(t, h2, func(rw http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(rw, `{"status":`) // and then nothing
			_ = http.NewResponseController(rw).Flush()
			time.AfterFunc(50*time.Millisecond, cancel) // once the header is there
			<-r.Context().Done()
		})
		wants(t, calls[CallEndpoint](ctx, w.client(t)), KindNoReply, true)
	}
}

// Replies of 200 that do not hold what they must.
func TestBadReplies(t *testing.T) {
	lists := []Call{CallList, CallListSecrets}
	for body, calls := range map[string][]Call{
		`{"next_page_token":"again"}`:                       lists,
		`{"next_page_token":7}`:                             lists,
		`{"branches":[{"name":"projects/a"}]}`:              {CallList},
		`{"branches":[{"name":"projects/a/branches/b?x"}]}`: {CallList},
		`{"secrets":[{"id":"../x"}]}`:                       {CallListSecrets},
		`{"userName":"x","id":"41/x"}`:                      {CallMe},
		`{"secret":"dose-very-new-secret"}`:                 {CallCreateSecret},
		`{"value":"a b"}`:                                   {CallGitHub},
		`{"refresh_token":"next"}`:                          {CallRefresh},
		`{"name":"shop"}`:                                   {CallInstance},
	} {
		pages := 1
		if strings.Contains(body, "again") {
			pages = maxPages
		}
		for _, call := range calls {
			w := serve(t, 200, body)
			e := wants(t, w.try(t, call), KindBadReply, false)
			if e.Call != call || len(w.seen) != pages || strings.Contains(e.Error(), "very-new") || !MayHaveApplied(e) {
				t.Errorf("%s, %s: got %+v after %d requests, want %d", call, body, e, len(w.seen), pages)
			}
		}
	}
}

// Every call rejects a reply that is too large, an HTML page or a list.
func TestRepliesAreBounded(t *testing.T) {
	endless := newWorkspace(t, false, func(rw http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(rw, strings.Repeat(" ", 1<<16)); err != nil {
				return
			}
		}
	})
	huge := serve(t, 200, `{}`, "X-Pad", strings.Repeat("x", 2*maxHeaderBytes))
	page, array := serve(t, 200, `<html><title>Sign in</title>`), serve(t, 200, `[]`)
	for call := range calls {
		wants(t, endless.try(t, call), KindBadReply, false)
		wants(t, huge.try(t, call), KindBadReply, false)
		if call != CallDeleteSecret { // its body is not read
			wants(t, page.try(t, call), KindNotJSON, false)
			wants(t, array.try(t, call), KindBadReply, false)
		}
	}
	const around = `{"status":{},"pad":""}`
	for extra, ok := range map[int]bool{0: true, 1: false} {
		body := strings.Replace(around, `""`, `"`+strings.Repeat("x", maxBody-len(around)+extra)+`"`, 1)
		if err := serve(t, 200, body).try(t, CallEndpoint); (err == nil) != ok {
			t.Errorf("1 MiB and %d: got %v", extra, err)
		}
	}
}

// A reply that a server ends because of our cancellation is none; a whole one is.
func TestReadBody_Canceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for body, want := range map[string]bool{"": true, `{"access_token":`: true, `{"access_token":"at"}`: false} {
		_, failed := readBody(ctx, &http.Response{Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, maxBody)
		if (failed != nil && failed.Kind == KindNoReply && errors.Is(failed, context.Canceled)) != want {
			t.Errorf("%q: got %v, want no reply: %v", body, failed, want)
		}
	}
}
