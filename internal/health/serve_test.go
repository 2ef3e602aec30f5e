package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPaths(t *testing.T) {
	s := serve(t)
	st := running()
	st.Started, st.Beat = false, time.Time{}
	s.set(st)
	s.want("/startup", "503 not started: no login has worked yet, or the command was not started\n")
	s.want("/readiness", "503 not ready: no login has worked yet\n")
	s.want("/liveness", "200 alive\n")
	s.set(running())
	s.want("/startup?verbose", "200 started\n")
	s.want("/readiness", "200 ready\n")
	s.want("/liveness", "200 alive\n")
	st = running()
	st.Started = false // its child starts again
	st.TokenExpiresAt = time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	st.Beat = time.Now().Add(-100 * time.Second)
	s.set(st)
	s.want("/startup", "200 started\n")
	s.want("/readiness", "503 not ready: the token expired at 2026-03-01T12:00:00Z\n")
	s.want("/liveness", "503 not alive: no heartbeat for 100 s\n")
	for _, path := range []string{"/", "/startup/", "//startup", "/metrics", "/liveness/../startup", "*"} {
		s.want(path, "404 there are /startup, /readiness and /liveness\n")
	}
}

func TestMethodsAndHeaders(t *testing.T) {
	s := serve(t)
	got := s.ask("HEAD /readiness HTTP/1.1\r\nHost: x\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.HasSuffix(got, "\r\n\r\n") || !strings.Contains(got, "Content-Length: 6\r\n") {
		t.Errorf("HEAD: %q", got)
	}
	got = s.ask("GET /readiness HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
	for _, h := range []string{"Content-Type: text/plain; charset=utf-8", "X-Content-Type-Options: nosniff", "Cache-Control: no-store", "Connection: close"} {
		if !strings.Contains(got, h+"\r\n") {
			t.Errorf("no %s in %q", h, got)
		}
	}
	for _, m := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "ANY"} {
		got := s.ask(m + " /liveness HTTP/1.1\r\nHost: x\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 405 ") || !strings.Contains(got, "Allow: GET, HEAD\r\n") || !strings.HasSuffix(got, "\r\n\r\nGET and HEAD only\n") {
			t.Errorf("%s: %q", m, got)
		}
	}
	if got := s.ask("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 404 ") {
		t.Errorf("OPTIONS *: %q", got)
	}
}

func TestHeaderThatIsTooLarge(t *testing.T) {
	s := serve(t)
	ask := func(n int) string {
		c := s.dial()
		defer c.Close()
		_, _ = fmt.Fprintf(c, "GET /liveness HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", strings.Repeat("a", n)) // fails once the server has answered
		got, _ := io.ReadAll(io.LimitReader(c, 20))
		return string(got)
	}
	if got := ask(7 << 10); !strings.HasPrefix(got, "HTTP/1.1 200 OK") {
		t.Errorf("7 KiB: %q", got)
	}
	if got := ask(16 << 10); !strings.HasPrefix(got, "HTTP/1.1 431 ") {
		t.Errorf("16 KiB: %q", got)
	}
	if got := ask(8 << 20); got != "" && !strings.HasPrefix(got, "HTTP/1.1 431 ") {
		t.Errorf("8 MiB: %q", got)
	}
	s.want("/liveness", "200 alive\n")
}

// A client that dribbles is dropped after five seconds, and others do not wait.
func TestSlowClient(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *site) {
		begun := time.Now()
		dropped := make(chan string, 3)
		var writers sync.WaitGroup
		for sent, limit := range map[string]time.Duration{
			"": readFor + lingerFor,
			"GET /liveness HTTP/1.1\r\nHost: x\r\nX-Slow: ":                          readFor + lingerFor,
			"GET /liveness HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc": lingerFor,
		} {
			c := s.dial()
			_ = c.SetDeadline(time.Time{})
			writers.Go(func() {
				_, err := io.WriteString(c, sent)
				for ; err == nil && sent != ""; _, err = io.WriteString(c, "a") { // that it sends something does not help it
					time.Sleep(100 * time.Millisecond)
				}
			})
			go func() {
				_, _ = io.ReadAll(c)
				_ = c.Close()
				if took := time.Since(begun); took > limit {
					t.Errorf("%q is dropped after %v", sent, took)
				}
				dropped <- sent
			}()
		}
		for range 8 {
			s.want("/liveness", "200 alive\n")
			time.Sleep(500 * time.Millisecond)
		}
		for range cap(dropped) {
			<-dropped
		}
		writers.Wait()
	})
}

func TestManyAtOnce(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *site) {
		on := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 200 {
			c := s.dial()
			wg.Go(func() {
				_, _ = io.WriteString(c, "GET /readiness HTTP/1.1\r\nHost: x\r\n")
				<-on
				_, _ = io.WriteString(c, "\r\n")
				if got, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(got), "\r\n\r\nready\n") {
					t.Errorf("client %d: %q %v", i, got, err)
				}
			})
		}
		synctest.Wait()
		if n := s.open.Load(); n != maxConns {
			t.Errorf("%d are open, and not %d", n, maxConns)
		}
		close(on)
		wg.Wait()
		if most := s.most.Load(); most != maxConns {
			t.Errorf("%d were open at once", most)
		}
	})
}

// The end comes within a second, whatever clients do.
func TestEndWithOpenConnections(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *site) {
		for range 100 { // more than are let in
			c := s.dial()
			go func() { _, _ = io.WriteString(c, "GET /readiness HTTP/1.1\r\n") }()
		}
		synctest.Wait()
		if n := s.open.Load(); n != maxConns {
			t.Errorf("%d are open, and not %d", n, maxConns)
		}
		s.end()
		if s.took > farewellFor {
			t.Errorf("ended after %v", s.took)
		}
	})
	s := serve(t)
	for range 100 {
		_, _ = io.WriteString(s.dial(), "GET /readiness HTTP/1.1\r\n")
	}
	s.wantOpen(maxConns)
	s.end()
	if c, err := s.connect(); err == nil {
		_ = c.Close()
		t.Error("it still listens")
	}
}

// An answer under way is waited for, but not for ever.
func TestEndDuringAnAnswer(t *testing.T) {
	for takes, waited := range map[time.Duration]bool{700 * time.Millisecond: true, 3 * time.Second: false} {
		synctest.Test(t, func(t *testing.T) {
			ln := newPipes()
			ctx, cancel := context.WithCancel(t.Context())
			asked, answered, ended := make(chan bool, 1), make(chan bool, 1), make(chan error, 1)
			go func() {
				ended <- Serve(ctx, ln, func() State {
					asked <- true
					time.Sleep(takes)
					answered <- true
					return running()
				})
			}()
			c, err := ln.dial()
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(c, "GET /liveness HTTP/1.1\r\nHost: x\r\n\r\n")
			<-asked
			cancel()
			begun := time.Now()
			if err := <-ended; err != nil || time.Since(begun) > farewellFor || (len(answered) == 1) != waited {
				t.Errorf("%v: ended after %v with %v, answered: %d", takes, time.Since(begun), err, len(answered))
			}
			<-answered
			_ = c.Close()
		})
	}
}

func TestServeTellsOfItsListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), ln, running); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if err := Serve(ended, ln, running); err != nil {
		t.Errorf("%v", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open: %v", err)
	}
}

func TestNothingIsLogged(t *testing.T) {
	var out bytes.Buffer
	was := log.Writer()
	log.SetOutput(&out)
	defer log.SetOutput(was)
	drop := func(addr string) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, "GET /liveness HTTP/1.1\r\nHost: x\r\n\r\n")
		if got, err := io.ReadAll(c); err == nil && len(got) > 0 {
			t.Errorf("%q", got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- Serve(ctx, ln, func() State { panic("of the caller") }) }()
	drop(ln.Addr().String())
	cancel()
	if err := <-ended; err != nil || out.Len() != 0 {
		t.Errorf("%v, logged: %s", err, &out)
	}
	// A plain server would have.
	if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	plain := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("of the caller") })}
	go func() { ended <- plain.Serve(ln) }()
	drop(ln.Addr().String())
	_ = plain.Close()
	<-ended
	log.SetOutput(was) // its lock puts the writing before the reading
	if !strings.Contains(out.String(), "of the caller") {
		t.Errorf("the test would not see it: %q", &out)
	}
}
