package exchange

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

const (
	maxErrorBody  = 64 << 10  // what is read of a refusal
	maxRetryAfter = time.Hour // the longest wait that a server can ask for
	maxToken      = 64 << 10  // Linux allows 128 KiB for an environment string; no server accepts such a header
	maxPages      = 20        // of a list
)

// request is a call to be made.
type request struct {
	*http.Request
	call Call
}

// reply has the times of a 2xx reply.
type reply struct {
	sentAt time.Time // our clock, UTC, before the request left
	date   time.Time // the server's clock afterwards, or ours if it did not send its own
}

// newRequest returns an unauthenticated request.
func (c *Client) newRequest(call Call, method, path string, body []byte) request {
	u := c.base
	u.Path = path
	r, _ := http.NewRequest(method, u.String(), bytes.NewReader(body)) // New has checked the base
	r.Header = http.Header{"Accept": {"application/json"}, "User-Agent": {c.options.UserAgent}}
	return request{r, call}
}

// apiRequest is an API call with a workspace token. A body is sent as JSON.
func (c *Client) apiRequest(call Call, method, path string, bearer credential.Secret, body any) request {
	c.addSecrets(bearer)
	var data []byte
	if body != nil {
		data, _ = json.Marshal(body) // maps of strings: it cannot fail
	}
	r := c.newRequest(call, method, path, data)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Authorization", "Bearer "+bearer.Reveal())
	if id := c.endpoints().workspaceID; id != "" {
		r.Header.Set("X-Databricks-Workspace-Id", id)
	}
	return r
}

// formRequest is a POST to the token endpoint.
func (c *Client) formRequest(call Call, form url.Values, secrets ...credential.Secret) request {
	c.addSecrets(secrets...)
	r := c.newRequest(call, http.MethodPost, c.endpoints().token, []byte(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// send makes one attempt and returns the response, whatever its status, and our clock
// before the request left. It follows no redirect: that is http.Client's work, and
// this is the transport's RoundTrip.
func (c *Client) send(ctx context.Context, r request) (*http.Response, time.Time, *Error) {
	if err := c.loadRoots(); err != nil {
		return nil, time.Time{}, c.fail(r, &Error{Kind: KindCertificate, Err: err, NotSent: true})
	}
	var connected atomic.Bool // without a connection nothing can have been sent
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	sentAt := c.options.now()
	resp, err := c.transport.RoundTrip(r.WithContext(traced))
	if err != nil {
		failed := transportError(ctx, err)
		failed.NotSent = !connected.Load()
		return nil, time.Time{}, c.fail(r, failed)
	}
	return resp, sentAt, nil
}

// do makes one attempt that must get a 2xx reply, and decodes that into v unless it is nil.
func (c *Client) do(ctx context.Context, r request, v any) (reply, *Error) {
	resp, sentAt, failed := c.send(ctx, r)
	if failed != nil {
		return reply{}, failed
	}
	defer resp.Body.Close()
	switch resp.StatusCode / 100 {
	case 2:
		body, failed := readBody(ctx, resp, maxBody)
		if failed == nil && v != nil {
			failed = decode(body, v)
		}
		if failed != nil {
			failed.Status, failed.RequestID = resp.StatusCode, requestID(resp.Header)
			return reply{}, c.fail(r, failed)
		}
		return reply{sentAt: sentAt.Round(0).UTC(), date: c.date(resp)}, nil
	case 3:
		return reply{}, c.fail(r, &Error{Kind: KindRedirect, Status: resp.StatusCode,
			Message: redirectTarget(resp), RequestID: requestID(resp.Header)})
	}
	return reply{}, c.refused(ctx, r, resp)
}

// list makes the call for each page of a list, and returns the elements of its field.
// convert reports whether an element can be named in another request.
func list[W, T any](ctx context.Context, c *Client, r request, field string, convert func(W) (T, bool)) (out []T, err error) {
	query := r.URL.Query()
	for range maxPages {
		var fields map[string]json.RawMessage
		var page []W
		var next string
		if _, failed := c.do(ctx, r, &fields); failed != nil {
			return nil, failed
		}
		for name, v := range map[string]any{field: &page, "next_page_token": &next} {
			if raw, ok := fields[name]; ok && json.Unmarshal(raw, v) != nil {
				return nil, c.badReply(r, "a field of the reply has the wrong type")
			}
		}
		for _, w := range page {
			v, ok := convert(w)
			if !ok {
				return nil, c.badReply(r, "an element of the list has no valid name")
			}
			out = append(out, v)
		}
		if next == "" {
			return out, nil
		}
		query.Set("page_token", next)
		r.Request = r.Clone(ctx) // the transport may still hold the one before
		r.URL.RawQuery = query.Encode()
	}
	return nil, c.fail(r, &Error{Kind: KindBadReply, Message: "the list does not end after " + strconv.Itoa(maxPages) + " pages"})
}

// readBody reads a body of at most limit bytes, before and after decompression. net/http
// decompresses gzip, which it asks for; some proxies choose another encoding unasked. What
// was read is returned with an error, too.
func readBody(ctx context.Context, resp *http.Response, limit int64) ([]byte, *Error) {
	sent := &io.LimitedReader{R: resp.Body, N: limit + 1}
	var plain io.Reader = sent
	var body []byte
	var err error
	switch enc := strings.ToLower(resp.Header.Get("Content-Encoding")); enc {
	case "", "identity":
	case "x-gzip":
		plain, err = gzip.NewReader(sent)
	case "deflate":
		plain, err = zlib.NewReader(sent)
	default:
		return nil, &Error{Kind: KindNotJSON, Message: "the reply has the unsupported encoding " + sanitize.Quote(enc)}
	}
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(plain, limit+1))
	}
	switch {
	case sent.N == 0 || int64(len(body)) > limit:
		return body, &Error{Kind: KindBadReply, Message: "the reply is larger than 1 MiB"}
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, zlib.ErrHeader):
		return nil, &Error{Kind: KindNotJSON, Message: "the reply is not compressed as it claims"}
	case err != nil:
		return body, transportError(ctx, err)
	case ctx.Err() != nil && !json.Valid(body):
		// A server that notices the cancellation can end its reply in good form before
		// net/http has closed the connection.
		return body, transportError(ctx, io.ErrUnexpectedEOF)
	}
	return body, nil
}

// decode reads a body that must be one JSON object into v.
func decode(body []byte, v any) *Error {
	body = bytes.TrimSpace(body)
	d := json.NewDecoder(bytes.NewReader(body))
	err := d.Decode(v)
	_, end := d.Token()
	var wrongType *json.UnmarshalTypeError
	switch {
	case bytes.HasPrefix(body, []byte("<")):
		return &Error{Kind: KindNotJSON, Message: strings.TrimSpace("a web page " + between(string(body), "<title>", "</title>"))}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Kind: KindNoReply, Message: "the reply is cut short", Err: err}
	case errors.As(err, &wrongType):
		return &Error{Kind: KindBadReply, Message: "a field of the reply has the wrong type"}
	case err != nil || end != io.EOF:
		return &Error{Kind: KindNotJSON, Message: "the reply is not JSON"}
	case body[0] != '{':
		return &Error{Kind: KindBadReply, Message: "the reply is not a JSON object"}
	}
	return nil
}

// refused reads a 4xx or 5xx reply. A body that is cut short or too long is read as far as
// it goes; after a cancellation it may be cut short for that alone.
func (c *Client) refused(ctx context.Context, r request, resp *http.Response) *Error {
	body, _ := readBody(ctx, resp, maxErrorBody)
	if cause := ctx.Err(); errors.Is(cause, context.Canceled) {
		return c.fail(r, transportError(ctx, cause))
	}
	said := parseRefusal(body)
	c.addSecrets(said.tokens...)
	return c.fail(r, &Error{
		Kind: refusalKind(r.call, resp.StatusCode, said), Status: resp.StatusCode,
		Code: said.code, Message: said.message, RequestID: cmp.Or(said.requestID, requestID(resp.Header)),
		RetryAfter: parseRetryAfter(resp.Header.Get("Retry-After"), c.date(resp)),
	})
}

// date returns the server's time, or ours if the response has none.
func (c *Client) date(resp *http.Response) time.Time {
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		return date
	}
	return c.options.now()
}

// requestID returns the request's ID from the headers.
func requestID(h http.Header) string {
	return cmp.Or(h.Get("X-Request-Id"), h.Get("X-Databricks-Request-Id"))
}

// parseRetryAfter reads seconds or a date (RFC 9110 10.2.3), the latter counted from
// now. It returns 0 for what it cannot read.
func parseRetryAfter(value string, now time.Time) time.Duration {
	var wait time.Duration
	if n, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		wait = time.Duration(min(n, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return max(0, min(wait, maxRetryAfter))
}

// redirectTarget names the host only: path and query may hold what was sent.
func redirectTarget(resp *http.Response) string {
	if u, err := resp.Location(); err == nil && u.Host != "" {
		return "to " + u.Host
	}
	return "without a valid Location"
}

// addSecrets has secrets redacted from every later error.
func (c *Client) addSecrets(secrets ...credential.Secret) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range secrets {
		if !s.IsZero() && !slices.ContainsFunc(c.secrets, s.Equal) {
			c.secrets = append(c.secrets, s)
		}
	}
}

// badReply is the error of a reply without a valid value.
func (c *Client) badReply(r request, message string) *Error {
	return c.fail(r, &Error{Kind: KindBadReply, Message: message})
}

// fail completes e and redacts its texts. The cause is one of them: net/http quotes
// malformed replies.
func (c *Client) fail(r request, e *Error) *Error {
	e.Call, e.Host, e.Scope = r.call, c.base.Host, c.options.Scope
	c.mu.Lock()
	known := c.secrets
	c.mu.Unlock()
	for _, text := range []*string{&e.Code, &e.Message, &e.RequestID} {
		*text = sanitize.Line(*text, known...)
	}
	if e.Err != nil {
		e.Err = redacted{sanitize.Line(e.Err.Error(), known...), e.Err}
	}
	return e
}

// redacted is a cause whose text holds no secret. It unwraps to the cause itself.
type redacted struct {
	text  string
	cause error
}

func (r redacted) Error() string { return r.text }
func (r redacted) Unwrap() error { return r.cause }

// badToken returns why s cannot be a token, or nothing. A token becomes a header or a
// Postgres password: visible ASCII without spaces.
func badToken(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > maxToken:
		return "is longer than 64 KiB"
	case strings.ContainsFunc(s, func(c rune) bool { return c <= 0x20 || c > 0x7e }):
		return "holds characters that no token has"
	}
	return ""
}
