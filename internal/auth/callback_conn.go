package auth

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// accept lets visitors in until the door is closed.
func (d *CallbackServer) accept(in net.Listener) {
	for {
		conn, err := in.Accept()
		switch {
		case err == nil:
			d.admit(conn)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			// Out of descriptors, or a visitor that is gone: that may pass.
			select {
			case <-d.settled:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}

// admit makes room where there is none: those who say nothing came first, and
// must not keep the browser out.
func (d *CallbackServer) admit(conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		_ = conn.Close()
		return
	}
	if len(d.conns) >= maxConns {
		_ = d.conns[0].Close()
		d.conns = slices.Delete(d.conns, 0, 1)
	}
	d.conns = append(d.conns, conn)
	d.running.Go(func() {
		d.serve(conn)
		_ = conn.Close()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.conns = slices.DeleteFunc(d.conns, func(c net.Conn) bool { return c == conn })
	})
}

// serve reads one request, answers it, and ends the wait if it was the one.
func (d *CallbackServer) serve(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(d.connTimeout))
	a, status := d.login.judge(conn, d.port)
	counts := status == http.StatusOK || a.denied != nil
	if counts && !d.use() {
		counts, status = false, http.StatusGone
	}
	if status != 0 {
		respond(conn, status, a.denied != nil)
	}
	if counts {
		d.settle(a, nil)
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok && status != 0 {
		// What has not been read would reset the connection, and the page with it.
		_ = half.CloseWrite()
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, maxDrain))
	}
}

// judge reads a request and says what it is worth: 200 for this login's code, 403
// with an answer for this login's refusal, 4xx for all else, and 0 for a visitor
// that said nothing whole.
func (l Login) judge(from io.Reader, port int) (answer, int) {
	limited := &io.LimitedReader{R: from, N: maxHeader}
	r, err := http.ReadRequest(bufio.NewReader(limited))
	switch {
	case err != nil && limited.N <= 0:
		return answer{}, http.StatusRequestHeaderFieldsTooLarge
	case err != nil && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isNet(err)):
		return answer{}, 0
	case err != nil:
		return answer{}, http.StatusBadRequest
	case r.ProtoMajor != 1 || r.ContentLength != 0 || len(r.TransferEncoding) != 0:
		return answer{}, http.StatusBadRequest
	case r.Method != http.MethodGet:
		return answer{}, http.StatusMethodNotAllowed
	case r.URL.Scheme != "" || r.URL.Host != "" || !strings.EqualFold(r.Host, fmt.Sprintf("localhost:%d", port)):
		return answer{}, http.StatusMisdirectedRequest // another name for this address is a stranger's
	case r.URL.Path != "/" || r.URL.RawPath != "":
		return answer{}, http.StatusNotFound
	}
	a, err := l.read(r.URL.RawQuery)
	switch {
	case err != nil:
		return answer{}, http.StatusBadRequest
	case a.denied != nil:
		return a, http.StatusForbidden
	}
	return a, http.StatusOK
}

// isNet knows a connection that ended or took too long. url.Error is a net.Error
// too, so that does not tell.
func isNet(err error) bool {
	var e *net.OpError
	return errors.As(err, &e) || errors.Is(err, net.ErrClosed)
}

// The pages hold nothing that was sent: no script, nothing to load, nothing to
// follow.
const (
	pageDone   = "Your browser's part is done. You can close this page: the terminal says how it went on."
	pageDenied = "The login was refused. You can close this page: the terminal says why."
	pageUsed   = "This login has been answered already. You can close this page."
	pageOther  = "This is not the answer to a login that is under way."
)

func respond(to io.Writer, status int, denied bool) {
	text := pageOther
	switch {
	case status == http.StatusOK:
		text = pageDone
	case status == http.StatusGone:
		text = pageUsed
	case denied:
		text = pageDenied
	}
	page := "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>lakebase-credential-helper</title><p>" + text + "</p></html>\n"
	allow := ""
	if status == http.StatusMethodNotAllowed {
		allow = "Allow: GET\r\n"
	}
	_, _ = fmt.Fprintf(to, "HTTP/1.1 %d %s\r\n%sContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n"+
		"Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n"+
		"Content-Security-Policy: default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\r\n%s",
		status, http.StatusText(status), allow, len(page), page)
}
