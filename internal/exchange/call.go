package exchange

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	pageSize      = "100"     // the API's maximum (databricks-sdk-go service/postgres)
)

// request is a call to be made.
type request struct {
	call          Call
	method        string
	path          string
	rawPath       string // path as it was escaped, if that differs
	query         url.Values
	contentType   string
	body          []byte
	authorization credential.Secret   // the header's whole value; zero: not sent
	workspaceID   string              // empty: not sent
	bearer        *credential.Secret  // of an API call
	secrets       []credential.Secret // redacted from what the server says
}

// reply is a 2xx reply.
type reply struct {
	body   []byte
	sentAt time.Time // our clock, UTC, before the request left
	date   time.Time // the server's Date; zero: none
}

// apiRequest is an API call with a workspace token.
func (c *Client) apiRequest(call Call, method, path string, bearer credential.Secret) request {
	return request{
		call: call, method: method, path: path, workspaceID: c.endpoints().workspaceID, bearer: &bearer,
		authorization: credential.NewSecret("Bearer " + bearer.Reveal()),
		secrets:       []credential.Secret{bearer},
	}
}

// jsonRequest is an API call with a body.
func (c *Client) jsonRequest(call Call, path string, bearer credential.Secret, body any) request {
	r := c.apiRequest(call, http.MethodPost, path, bearer)
	r.body, _ = json.Marshal(body) // structs of strings: it cannot fail
	r.contentType = "application/json"
	return r
}

// formRequest is a POST to the token endpoint.
func (c *Client) formRequest(call Call, form url.Values, secrets ...credential.Secret) request {
	return request{
		call: call, method: http.MethodPost, path: c.endpoints().token,
		contentType: "application/x-www-form-urlencoded", body: []byte(form.Encode()), secrets: secrets,
	}
}

// send makes one attempt and returns the response, whatever its status, and our clock
// before the request left. It follows no redirect: that is http.Client's work, and
// this is the transport's RoundTrip.
func (c *Client) send(ctx context.Context, r request) (*http.Response, time.Time, *Error) {
	c.addSecrets(r.secrets...)
	if r.bearer != nil { // net/http would call it a broken request
		if why := badToken(r.bearer.Reveal()); why != "" {
			return nil, time.Time{}, c.notSent(r, KindBearerRefused, "the workspace token "+why)
		}
	}
	transport, err := c.transport()
	if err != nil {
		return nil, time.Time{}, c.fail(r, &Error{Kind: KindCertificate, Err: err, NotSent: true})
	}
	var connected atomic.Bool // without a connection nothing can have been sent
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req, err := c.newRequest(traced, r)
	if err != nil {
		return nil, time.Time{}, c.fail(r, &Error{Kind: KindRefused, Message: "the request cannot be written", NotSent: true})
	}
	sentAt := c.now()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		failed := transportError(ctx, err)
		failed.NotSent = !connected.Load()
		return nil, time.Time{}, c.fail(r, failed)
	}
	return resp, sentAt, nil
}

// do makes one attempt that must get a 2xx reply.
func (c *Client) do(ctx context.Context, r request) (reply, *Error) {
	resp, sentAt, failed := c.send(ctx, r)
	if failed != nil {
		return reply{}, failed
	}
	defer resp.Body.Close()
	switch resp.StatusCode / 100 {
	case 2:
		body, failed := readBody(ctx, resp)
		if failed != nil {
			failed.Status, failed.RequestID = resp.StatusCode, requestID(resp.Header)
			return reply{}, c.fail(r, failed)
		}
		date, _ := http.ParseTime(resp.Header.Get("Date"))
		return reply{body: body, sentAt: sentAt.Round(0).UTC(), date: date}, nil
	case 3:
		return reply{}, c.fail(r, &Error{Kind: KindRedirect, Status: resp.StatusCode, Message: redirectTarget(resp), RequestID: requestID(resp.Header)})
	}
	return reply{}, c.refused(ctx, r, resp)
}

// doJSON is do, and decodes the reply into v.
func (c *Client) doJSON(ctx context.Context, r request, v any) *Error {
	rep, failed := c.do(ctx, r)
	if failed == nil {
		if failed = decode(rep.body, v); failed != nil {
			c.fail(r, failed)
		}
	}
	return failed
}

// pages makes the call for each page of a list. read returns the next page's token,
// empty at the end.
func (c *Client) pages(ctx context.Context, r request, read func(body []byte) (next string, failed *Error)) *Error {
	if r.query == nil {
		r.query = url.Values{}
	}
	for range maxPages {
		rep, failed := c.do(ctx, r)
		if failed != nil {
			return failed
		}
		next, failed := read(rep.body)
		if failed != nil {
			return c.fail(r, failed)
		}
		if next == "" {
			return nil
		}
		r.query.Set("page_token", next)
	}
	return c.fail(r, &Error{Kind: KindTooLarge, Message: "the list does not end after " + strconv.Itoa(maxPages) + " pages"})
}

func (c *Client) newRequest(ctx context.Context, r request) (*http.Request, error) {
	u := c.base
	u.Path, u.RawPath, u.RawQuery = r.path, r.rawPath, r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	for name, value := range map[string]string{
		"Authorization": r.authorization.Reveal(), "User-Agent": c.userAgent, "Content-Type": r.contentType, "X-Databricks-Workspace-Id": r.workspaceID,
	} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	return req, nil
}

// readBody reads a 2xx body, complete and within its bound.
func readBody(ctx context.Context, resp *http.Response) ([]byte, *Error) {
	plain, unknown := decoded(resp)
	if unknown != nil {
		return nil, unknown
	}
	body, err := io.ReadAll(io.LimitReader(plain, maxBody+1))
	switch {
	case errors.Is(err, errEncoding):
		return nil, &Error{Kind: KindNotJSON, Message: "the reply is not compressed as it claims"}
	case err != nil:
		return nil, transportError(ctx, err)
	case ctx.Err() != nil && !json.Valid(body):
		// A server that notices the cancellation can end its reply in good form before
		// net/http has closed the connection.
		return nil, transportError(ctx, io.ErrUnexpectedEOF)
	case len(body) > maxBody:
		return nil, &Error{Kind: KindTooLarge, Message: "the reply is larger than 1 MiB"}
	}
	return body, nil
}

// errEncoding reports a body that is not encoded as its header says.
var errEncoding = errors.New("invalid compression")

// decoded returns the body without its compression. No request allows one, but some
// proxies compress all the same. The bound on the body is the reader's: it counts the
// bytes after decompression.
func decoded(resp *http.Response) (io.Reader, *Error) {
	switch enc := strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding"))); enc {
	case "", "identity":
		return resp.Body, nil
	case "gzip", "x-gzip":
		return &inflater{body: resp.Body, open: func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }}, nil
	case "deflate":
		return &inflater{body: resp.Body, open: func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }}, nil
	default:
		return nil, &Error{Kind: KindNotJSON, Message: "the reply has the unsupported encoding " + sanitize.Quote(enc)}
	}
}

// inflater decompresses a body from its first Read on.
type inflater struct {
	body  io.Reader
	open  func(io.Reader) (io.Reader, error)
	plain io.Reader
}

func (f *inflater) Read(p []byte) (int, error) {
	if f.plain == nil {
		var err error
		if f.plain, err = f.open(f.body); err != nil {
			return 0, encodingError(err)
		}
	}
	n, err := f.plain.Read(p)
	return n, encodingError(err)
}

// encodingError keeps the errors of the connection.
func encodingError(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.As(err, &corrupt), errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.Is(err, zlib.ErrHeader), errors.Is(err, zlib.ErrChecksum):
		return fmt.Errorf("%w: %w", errEncoding, err)
	}
	return err
}

// decode reads a body that must be one JSON object into v.
func decode(body []byte, v any) *Error {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return &Error{Kind: KindNotJSON, Message: "the reply is empty"}
	}
	if body[0] == '<' {
		return &Error{Kind: KindNotJSON, Message: strings.TrimSpace("a web page " + between(string(body), "<title>", "</title>"))}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	err := d.Decode(v)
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Kind: KindBroken, Message: "the reply is cut short", Err: io.ErrUnexpectedEOF}
	case errors.As(err, &wrongType):
		return &Error{Kind: KindBadReply, Message: "a field of the reply has the wrong type"}
	case err != nil:
		return &Error{Kind: KindNotJSON, Message: "the reply is not JSON"}
	case body[0] != '{':
		return &Error{Kind: KindBadReply, Message: "the reply is not a JSON object"}
	}
	if _, err := d.Token(); err != io.EOF {
		return &Error{Kind: KindNotJSON, Message: "data after the JSON document"}
	}
	return nil
}

// refused reads a 4xx or 5xx reply. A body that is cut short or too long is read as
// far as it goes; after a cancellation it may be cut short for that alone.
func (c *Client) refused(ctx context.Context, r request, resp *http.Response) *Error {
	var body []byte
	if plain, unknown := decoded(resp); unknown == nil {
		body, _ = io.ReadAll(io.LimitReader(plain, maxErrorBody))
	}
	if cause := ctx.Err(); errors.Is(cause, context.Canceled) {
		return c.fail(r, transportError(ctx, cause))
	}
	said := parseRefusal(body)
	if said.requestID == "" {
		said.requestID = requestID(resp.Header)
	}
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		now = c.now()
	}
	r.secrets = append(r.secrets, said.tokens...)
	return c.fail(r, &Error{
		Kind: refusalKind(r.call, resp.StatusCode, said), Status: resp.StatusCode,
		Code: said.code, Message: said.message, RequestID: said.requestID,
		RetryAfter: parseRetryAfter(resp.Header.Get("Retry-After"), now),
	})
}

// requestID returns the request's ID from the headers.
func requestID(h http.Header) string {
	if id := h.Get("X-Request-Id"); id != "" {
		return id
	}
	return h.Get("X-Databricks-Request-Id")
}

// parseRetryAfter reads seconds or a date (RFC 9110 10.2.3), the latter counted from
// now. It returns 0 for what it cannot read.
func parseRetryAfter(value string, now time.Time) time.Duration {
	var wait time.Duration
	if n, err := strconv.ParseUint(value, 10, 64); err == nil {
		wait = time.Duration(min(n, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if errors.Is(err, strconv.ErrRange) {
		wait = maxRetryAfter
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return max(0, min(wait, maxRetryAfter))
}

// redirectTarget names the host only: path and query may hold what was sent.
func redirectTarget(resp *http.Response) string {
	loc := resp.Header.Get("Location")
	if loc == "" {
		return "without a Location"
	}
	u, err := resp.Request.URL.Parse(loc)
	if err != nil || u.Host == "" {
		return "to an invalid URL"
	}
	return "to " + u.Host
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

// notSent is the error of a call that was not made.
func (c *Client) notSent(r request, kind Kind, why string) *Error {
	return c.fail(r, &Error{Kind: kind, Message: "not sent: " + why, NotSent: true})
}

// badReply is the error of a reply without a valid value.
func (c *Client) badReply(r request, message string) *Error {
	return c.fail(r, &Error{Kind: KindBadReply, Message: message})
}

// fail completes e and redacts its texts. The cause is one of them: net/http quotes
// malformed replies.
func (c *Client) fail(r request, e *Error) *Error {
	e.Call, e.Host = r.call, c.base.Host
	c.addSecrets(r.secrets...)
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
	if s == "" {
		return "is empty"
	}
	if len(s) > maxToken {
		return "is longer than 64 KiB"
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= 0x20 || s[i] > 0x7e {
			return "holds characters that no token has"
		}
	}
	return ""
}
