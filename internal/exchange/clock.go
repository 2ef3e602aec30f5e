package exchange

import (
	"context"
	"io"
	"net/http"
	"time"
)

// ServerTime tells how far the workspace's clock is ahead of ours; below zero,
// behind. It holds the Date of an answer, any answer, against the middle of the
// request, so it may be wrong by half of the time that the request took, and the
// server's seconds are whole ones. Nobody signs in for it. The error is an *Error.
func (c *Client) ServerTime(ctx context.Context) (skew time.Duration, err error) {
	r := request{call: CallClock, method: http.MethodGet, path: configDocument}
	resp, sentAt, failed := c.send(ctx, r)
	if failed != nil {
		return 0, failed
	}
	gotAt := c.now()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxErrorBody)) // so that the connection is kept
	_ = resp.Body.Close()
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0, c.fail(r, &Error{Kind: KindBadReply, Status: resp.StatusCode, Message: "it has no Date", RequestID: headerID(resp.Header)})
	}
	// Whole seconds are cut off, so half of one is what is missing on average.
	middle := sentAt.Add(gotAt.Sub(sentAt) / 2)
	return date.Add(time.Second / 2).Sub(middle.Round(0)), nil
}
