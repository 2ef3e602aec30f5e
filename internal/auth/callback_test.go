package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRedirect(t *testing.T) {
	l, d := open(t, anywhere(t))
	if want := fmt.Sprintf("http://localhost:%d", d.port); d.RedirectURI() != want {
		t.Errorf("redirect uri %q", d.RedirectURI())
	}
	resp, body := say(t, d, d.get(l.target()+"&iss=https%3A%2F%2Fdbc-1%2Foidc", "Cookie: a=b\r\n"))
	arrives(t, d)
	if resp.StatusCode != 200 || !strings.Contains(body, pageDone) || !resp.Close {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", "Access-Control-Allow-Origin": "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	for _, bad := range []string{"<script", "href", "src=", code, l.State} {
		if strings.Contains(body, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	arrives(t, d) // it is still the same
}

// A browser's own road: net/http goes to localhost, by whichever address.
func TestByName(t *testing.T) {
	l, d := open(t, Options{})
	if d.port < FirstPort || d.port > LastPort {
		t.Errorf("port %d", d.port)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, in := range d.listeners {
		req, err := http.NewRequestWithContext(soon(t), "GET", "http://"+in.Addr().String()+"/favicon.ico", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = strings.TrimPrefix(d.RedirectURI(), "http://")
		resp, err := client.Do(req)
		if err != nil || resp.StatusCode != 404 {
			t.Fatalf("at %s: %v", in.Addr(), err)
		}
		_ = resp.Body.Close()
	}
	resp, err := client.Get(d.RedirectURI() + l.target())
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v", err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	arrives(t, d)
}

func TestWhatDoesNotCount(t *testing.T) {
	l, d := open(t, anywhere(t))
	other := NewLogin()
	host := fmt.Sprintf("Host: localhost:%d\r\n\r\n", d.port)
	for _, tc := range []struct {
		name, raw string
		status    int
	}{
		{"no query", d.get("/"), 400},
		{"a state of another login", d.get("/?code=" + code + "&state=" + other.State), 400},
		{"no state", d.get("/?code=" + code), 400},
		{"an empty state", d.get("/?code=" + code + "&state="), 400},
		{"two states", d.get(l.target() + "&state=" + l.State), 400},
		{"two codes", d.get(l.target() + "&code=stolen"), 400},
		{"no code", d.get("/?state=" + l.State), 400},
		{"a code that is none", d.get("/?code=a%0d%0ab&state=" + l.State), 400},
		{"a query that is none", d.get(l.target() + "&x=%zz"), 400},
		{"a semicolon", d.get(l.target() + ";x=y"), 400},
		{"a refusal of another login", d.get("/?error=access_denied&state=" + other.State), 400},
		{"a refusal of no login", d.get("/?error=access_denied"), 400},
		{"favicon", d.get("/favicon.ico"), 404},
		{"another path", d.get("/x" + l.target()), 404},
		{"two slashes", d.get("/" + l.target()), 404},
		{"an escaped slash", d.get("/%2F" + l.target()[1:]), 404},
		{"POST", "POST " + l.target() + " HTTP/1.1\r\n" + host, 405},
		{"POST with a body", "POST / HTTP/1.1\r\nContent-Length: 4\r\n" + host + "a=bc", 400},
		{"HEAD", "HEAD " + l.target() + " HTTP/1.1\r\n" + host, 405},
		{"OPTIONS", "OPTIONS " + l.target() + " HTTP/1.1\r\nOrigin: https://evil.example\r\n" + host, 405},
		{"CONNECT", "CONNECT localhost:1 HTTP/1.1\r\n" + host, 405},
		{"a GET with a body", d.get(l.target(), "Content-Length: 3\r\n") + "abc", 400},
		{"chunks", d.get(l.target(), "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n", 400},
		{"a stranger's name", "GET " + l.target() + " HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421},
		{"a stranger's name and our port", fmt.Sprintf("GET %s HTTP/1.1\r\nHost: evil.example:%d\r\n\r\n", l.target(), d.port), 421},
		{"another port", fmt.Sprintf("GET %s HTTP/1.1\r\nHost: localhost:%d\r\n\r\n", l.target(), d.port+1), 421},
		{"the address", fmt.Sprintf("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", l.target(), d.port), 421},
		{"no Host", "GET " + l.target() + " HTTP/1.1\r\n\r\n", 421},
		{"a proxy's request", fmt.Sprintf("GET http://localhost:%d%s HTTP/1.1\r\n%s", d.port, l.target(), host), 421},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
		{"no HTTP", "hello\r\n\r\n", 400},
		{"no URL", "GET http://[::1 HTTP/1.1\r\n" + host, 400},
		{"a header that is none", "GET / HTTP/1.1\r\nno colon\r\n" + host, 400},
		{"a header of 1 MiB", d.get(l.target(), "X: "+strings.Repeat("x", 1<<20)+"\r\n"), 431},
		{"1 MiB of headers", d.get(l.target(), strings.Repeat("X: y\r\n", 1<<20/6)), 431},
		{"a request line of 1 MiB", d.get("/?x=" + strings.Repeat("x", 1<<20)), 431},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp, body := say(t, d, tc.raw)
			if resp.StatusCode != tc.status || !strings.Contains(body, pageOther) || !resp.Close || (tc.status == 405) != (resp.Header.Get("Allow") == "GET") {
				t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
			}
			for _, secret := range []string{code, l.State, other.State, "stolen"} {
				if strings.Contains(body, secret) {
					t.Errorf("the page shows %q", secret)
				}
			}
			waiting(t, d)
		})
	}
	if resp, _ := say(t, d, d.get(l.target())); resp.StatusCode != 200 {
		t.Errorf("the right one gets %d", resp.StatusCode)
	}
	arrives(t, d)
}

func TestDenied(t *testing.T) {
	l, d := open(t, anywhere(t))
	resp, body := say(t, d, d.get("/?error=access_denied&error_description=%3Cscript%3Eno%3C%2Fscript%3E&state="+l.State))
	if resp.StatusCode != 403 || !strings.Contains(body, pageDenied) || strings.Contains(body, "script") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	var denied *DeniedError
	if _, err := d.Wait(soon(t)); !errors.As(err, &denied) || *denied != (DeniedError{"access_denied", "<script>no</script>"}) {
		t.Errorf("%v", err)
	}
	if resp, body := say(t, d, d.get(l.target())); resp.StatusCode != 410 || !strings.Contains(body, pageUsed) {
		t.Errorf("a code after that: %d %s", resp.StatusCode, body)
	}
	if _, err := d.Wait(soon(t)); !errors.As(err, &denied) {
		t.Errorf("%v", err)
	}
}

func TestSecondRedirect(t *testing.T) {
	l, d := open(t, anywhere(t))
	if resp, _ := say(t, d, d.get(l.target())); resp.StatusCode != 200 {
		t.Fatalf("%d", resp.StatusCode)
	}
	for _, target := range []string{l.target(), "/?code=another-0123456789&state=" + l.State, "/?error=access_denied&state=" + l.State} {
		if resp, body := say(t, d, d.get(target)); resp.StatusCode != 410 || !strings.Contains(body, pageUsed) {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	}
	if err := d.Paste("another-0123456789"); !errors.Is(err, ErrUsed) {
		t.Errorf("pasted: %v", err)
	}
	arrives(t, d)
}

func TestManyAtOnceAndOneCounts(t *testing.T) {
	l, d := open(t, anywhere(t))
	var all sync.WaitGroup
	statuses := make(chan int, 20)
	for range cap(statuses) {
		all.Go(func() { resp, _ := say(t, d, d.get(l.target())); statuses <- resp.StatusCode })
	}
	all.Wait()
	close(statuses)
	count := map[int]int{}
	for s := range statuses {
		count[s]++
	}
	if count[200] != 1 || count[410] != cap(statuses)-1 {
		t.Errorf("statuses %v", count)
	}
	arrives(t, d)
}

func TestPaste(t *testing.T) {
	l, d := open(t, anywhere(t))
	if err := d.Paste("?code=" + code + "&state=x"); !errors.Is(err, ErrState) {
		t.Errorf("%v", err)
	}
	var denied *DeniedError
	if err := d.Paste("?error=access_denied&state=" + l.State); !errors.As(err, &denied) {
		t.Errorf("%v", err)
	}
	waiting(t, d)
	if err := d.Paste(d.RedirectURI() + l.target()); err != nil {
		t.Errorf("%v", err)
	}
	arrives(t, d)
	if resp, _ := say(t, d, d.get(l.target())); resp.StatusCode != 410 {
		t.Errorf("the browser, after that: %d", resp.StatusCode)
	}
}

func TestWaitEnds(t *testing.T) {
	l, d := open(t, anywhere(t))
	if _, err := d.Wait(context.Background()); !errors.Is(err, ErrNoDeadline) {
		t.Errorf("no deadline: %v", err)
	}
	ctx, cancel := context.WithCancel(soon(t))
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := d.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	ended := make(chan error, 1)
	go func() { _, err := d.Wait(soon(t)); ended <- err }()
	silent := dial(t, d)
	for end := time.Now().Add(guard); conns(d) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the connection is not accepted")
		}
	}
	d.Close()
	d.Close()
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if n, err := silent.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("a connection is left open")
	}
	if conn, err := net.Dial("tcp4", d.listeners[0].Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("the port is still open")
	}
	if err := d.Paste(l.target()); !errors.Is(err, ErrUsed) {
		t.Errorf("pasted: %v", err)
	}
	// What came before the end is not lost by it.
	l, d = open(t, anywhere(t))
	if err := d.Paste(l.target()); err != nil {
		t.Fatal(err)
	}
	d.Close()
	over, stop := context.WithTimeout(t.Context(), time.Hour)
	stop()
	if r, err := d.Wait(over); err != nil || r.Code.Reveal() != code {
		t.Errorf("%v", err)
	}
}

func conns(d *CallbackServer) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.conns)
}

func TestAddressesOfTheDoor(t *testing.T) {
	_, d := open(t, anywhere(t))
	for _, in := range d.listeners {
		if a := in.Addr().(*net.TCPAddr); !a.IP.IsLoopback() || a.Port != d.port {
			t.Errorf("it listens at %s", a)
		}
	}
	if u, err := url.Parse(d.RedirectURI()); err != nil || u.Hostname() != "localhost" || u.Path != "" {
		t.Errorf("%v", u)
	}
}
