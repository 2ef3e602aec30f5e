package emulator

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"
)

// Fault changes the response of one kind of call. With Status 0 the call is made, and
// its response is then sent as the fault says.
type Fault struct {
	Call  Call // AnyCall matches all
	Times int  // how many calls; 0 and 1: one; below 0: until the fault is removed

	Status int
	Header http.Header
	Body   string

	Drop     bool            // close the connection instead of answering
	Truncate bool            // declare the whole length, send half, close
	Slow     time.Duration   // spread the body over this time
	Hold     <-chan struct{} // keep the answer back until this is closed
	Echo     bool            // append to the body what the client sent: the Authorization header and the form
	Pad      int             // append this many spaces to the body, which stays JSON
}

// Answer is a fault with a plain JSON error body, and Retry-After when it is
// not empty (seconds, or an HTTP date).
func Answer(call Call, times, status int, retryAfter string) Fault {
	f := Fault{Call: call, Times: times, Status: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: fmt.Sprintf(`{"error_code":%q,"message":"emulated fault %d"}`, cmp.Or(faultCodes[status], "INTERNAL_ERROR"), status)}
	if retryAfter != "" {
		f.Header.Set("Retry-After", retryAfter)
	}
	return f
}

// HTML answers every call of this kind with a login page and status 200.
func HTML(call Call) Fault {
	return Fault{Call: call, Times: -1, Status: http.StatusOK, Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		Body: "<!doctype html><html><head><title>Databricks - Sign In</title></head><body><pre>Sign in</pre></body></html>\n"}
}

var faultCodes = map[int]string{
	http.StatusTooManyRequests: "REQUEST_LIMIT_EXCEEDED", http.StatusServiceUnavailable: "TEMPORARILY_UNAVAILABLE",
	http.StatusForbidden: "PERMISSION_DENIED", http.StatusNotFound: "NOT_FOUND", http.StatusBadRequest: "BAD_REQUEST",
}

// apply turns the call's own answer into the faulty one.
func (f Fault) apply(own reply, r *http.Request) reply {
	if f.Status != 0 {
		own = reply{status: f.Status, header: f.Header.Clone(), body: []byte(f.Body)}
	}
	if f.Echo {
		own.body = append(own.body, []byte("\nyou sent: "+r.Header.Get("Authorization")+" "+r.Form.Encode())...)
		if user, secret, ok := r.BasicAuth(); ok {
			own.body = append(own.body, []byte(" "+user+" "+secret)...)
		}
	}
	own.body = append(own.body, bytes.Repeat([]byte(" "), f.Pad)...)
	if own.header == nil {
		own.header = http.Header{}
	}
	return own
}

// send writes a response as the fault says.
func (f Fault) send(w http.ResponseWriter, r *http.Request, rep reply) {
	if f.Hold != nil {
		select {
		case <-f.Hold:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	if f.Drop {
		panic(http.ErrAbortHandler)
	}
	rep.writeHead(w)
	switch {
	case f.Truncate:
		_, _ = w.Write(rep.body[:len(rep.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case f.Slow > 0:
		const parts = 10
		_ = http.NewResponseController(w).Flush()
		for i := range parts {
			if pause(r.Context(), f.Slow/parts) != nil {
				panic(http.ErrAbortHandler)
			}
			_, _ = w.Write(rep.body[len(rep.body)*i/parts : len(rep.body)*(i+1)/parts])
			_ = http.NewResponseController(w).Flush()
		}
	default:
		_, _ = w.Write(rep.body)
	}
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
