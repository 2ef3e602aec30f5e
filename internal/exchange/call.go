package exchange

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync/atomic"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// request is one call to be made.
type request struct {
	call          Call
	method        string
	path          string
	rawPath       string // path as it was escaped, if that differs
	query         string
	contentType   string
	body          []byte
	authorization credential.Secret   // the header's whole value; none: not sent
	workspaceID   string              // empty: not sent
	secrets       []credential.Secret // hidden from whatever the server says
}

// reply is a 2xx answer.
type reply struct {
	body   []byte
	sentAt time.Time // our clock, UTC, before the request left
	date   time.Time // the server's Date, zero where it gave none
}

// send makes one attempt and gives the answer, whatever it says, and our clock
// before the request left. It follows no redirect: it uses the transport, and the
// code that follows them is in http.Client.
func (c *Client) send(ctx context.Context, r request) (*http.Response, time.Time, *Error) {
	c.addSecrets(r.secrets...)
	transport, err := c.transport()
	if err != nil {
		return nil, time.Time{}, c.fail(r, &Error{Kind: KindCertificate, Err: err, NotSent: true})
	}
	// Before there is a connection to the workspace nothing can have been sent.
	var connected atomic.Bool
	watched := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req, err := c.newRequest(watched, r)
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

// do makes one attempt that must give a 2xx answer.
func (c *Client) do(ctx context.Context, r request) (reply, *Error) {
	resp, sentAt, failed := c.send(ctx, r)
	if failed != nil {
		return reply{}, failed
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		body, failed := readBody(ctx, resp)
		if failed != nil {
			failed.Status, failed.RequestID = resp.StatusCode, headerID(resp.Header)
			return reply{}, c.fail(r, failed)
		}
		date, _ := http.ParseTime(resp.Header.Get("Date"))
		return reply{body: body, sentAt: sentAt.Round(0).UTC(), date: date}, nil
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return reply{}, c.fail(r, &Error{Kind: KindRedirect, Status: resp.StatusCode, Message: redirectTarget(resp), RequestID: headerID(resp.Header)})
	}
	return reply{}, c.refused(ctx, r, resp)
}

func (c *Client) newRequest(ctx context.Context, r request) (*http.Request, error) {
	u := c.base
	u.Path, u.RawPath, u.RawQuery = r.path, r.rawPath, r.query
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	if !r.authorization.IsZero() {
		req.Header.Set("Authorization", r.authorization.Reveal())
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	if r.workspaceID != "" {
		req.Header.Set("X-Databricks-Workspace-Id", r.workspaceID)
	}
	return req, nil
}

// readBody reads a 2xx body, whole and within its bound.
func readBody(ctx context.Context, resp *http.Response) ([]byte, *Error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, transportError(ctx, err)
	}
	if ctx.Err() != nil && !json.Valid(body) {
		// A server that hears of our going can end its reply in good form, and
		// be heard before net/http has closed the connection.
		return nil, transportError(ctx, io.ErrUnexpectedEOF)
	}
	if len(body) > maxBody {
		return nil, &Error{Kind: KindTooLarge, Message: "the reply is larger than 1 MiB"}
	}
	if compressed(resp) {
		return nil, &Error{Kind: KindNotJSON, Message: "the reply is compressed, which was not asked for"}
	}
	return body, nil
}

// compressed says whether the body is encoded, which no request asks for.
func compressed(resp *http.Response) bool {
	enc := resp.Header.Get("Content-Encoding")
	return enc != "" && enc != "identity"
}

// refused reads a 4xx or 5xx. What the workspace says then is worth having, but
// not worth failing over: a body that is cut short or too long is read as far
// as it goes. One that was given up meanwhile may be cut short for that alone,
// and then says nothing of the server.
func (c *Client) refused(ctx context.Context, r request, resp *http.Response) *Error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if cause := ctx.Err(); errors.Is(cause, context.Canceled) {
		return c.fail(r, transportError(ctx, cause))
	}
	if compressed(resp) {
		body = nil // bytes that say nothing to anybody
	}
	said := parseRefusal(body)
	if said.requestID == "" {
		said.requestID = headerID(resp.Header)
	}
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		now = c.now()
	}
	r.secrets = append(r.secrets, said.tokens...)
	return c.fail(r, &Error{
		Kind: kindOf(r, resp.StatusCode, said), Status: resp.StatusCode,
		Code: said.code, Message: said.message, RequestID: said.requestID,
		RetryAfter: parseRetryAfter(resp.Header.Get("Retry-After"), now),
	})
}

// redirectTarget names the host only: a path or query may hold what was sent.
func redirectTarget(resp *http.Response) string {
	loc := resp.Header.Get("Location")
	if loc == "" {
		return "to nowhere"
	}
	u, err := resp.Request.URL.Parse(loc)
	if err != nil || u.Host == "" {
		return "to something that is not a URL"
	}
	return "to " + u.Host
}

// learn adds secrets to those that are hidden in every error from now on.
func (c *Client) addSecrets(secrets ...credential.Secret) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range secrets {
		if !s.IsZero() && !slices.ContainsFunc(c.known, s.Equal) {
			c.known = append(c.known, s)
		}
	}
}

// unsent is the error of a call that was not made.
func (c *Client) notSent(r request, kind Kind, why string) *Error {
	return c.fail(r, &Error{Kind: kind, Message: "not sent: " + why, NotSent: true})
}

// fail completes e and cleans its texts. The cause is one of them: net/http
// quotes what a server says wrongly.
func (c *Client) fail(r request, e *Error) *Error {
	e.Call, e.Host = r.call, c.base.Host
	c.addSecrets(r.secrets...)
	c.mu.Lock()
	known := c.known
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
