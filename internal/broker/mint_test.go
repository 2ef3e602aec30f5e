package broker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

// The endpoint and the credential are asked for side by side: each waits here
// until the other one has come.
func TestHostIsAskedBesideTheCredential(t *testing.T) {
	w := newWorld()
	here := make(chan struct{})
	w.credError = func(ctx context.Context, _ int) error {
		select {
		case here <- struct{}{}:
			return nil
		case <-ctx.Done():
			return errors.New("the credential was asked for alone")
		}
	}
	w.endError = func(ctx context.Context, _ int) error {
		select {
		case <-here:
			return nil
		case <-ctx.Done():
			return errors.New("the endpoint was asked for alone")
		}
	}
	s, err := w.ready(t, resolve(t, "timeout", "3s"))
	if err != nil || s.Target.Host != ownHost {
		t.Fatalf("%+v, %v", s, err)
	}
	w.did()
	s, err = w.ready(t, resolve(t))
	if got := w.did(); err != nil || s.Target.Host != ownHost || got != "" {
		t.Errorf("the host is not remembered: %+v, %v: %s", s, err, got)
	}
}

func TestUntrustedHost(t *testing.T) {
	const mine = "db.private.example"
	for _, c := range []struct {
		name string
		e    exchange.Endpoint
		ok   bool
	}{
		{"the endpoint's host", exchange.Endpoint{Host: mine}, true},
		{"the endpoint's host, written otherwise", exchange.Endpoint{Host: "DB.Private.Example."}, true},
		{"its read-only host", exchange.Endpoint{Host: ownHost, ReadOnlyHost: mine}, true},
		{"another host", exchange.Endpoint{Host: ownHost}, false},
		{"its pooled host", exchange.Endpoint{Host: ownHost, PooledHost: mine}, false},
		{"no host", exchange.Endpoint{}, false},
	} {
		w := newWorld()
		w.endpoint = c.e
		s, err := w.ready(t, resolve(t, "PGHOST", mine))
		got := w.did()
		if c.ok {
			if err != nil || s.Target.Host != mine || !strings.Contains(got, "endpoint") || !strings.Contains(got, "login:token-1") {
				t.Errorf("%s: %+v, %v: %s", c.name, s, err, got)
			}
			continue
		}
		var e *HostError
		if !errors.As(err, &e) || e.Configured.Value != mine || e.Configured.Source.Name != "PGHOST" || e.Named != c.e.Host || e.Target != endpointID {
			t.Errorf("%s: %v", c.name, err)
		}
		if strings.Contains(got, "login") || len(w.items) != 0 {
			t.Errorf("%s: %s, stored %d", c.name, got, len(w.items))
		}
	}
}

func TestRememberedHost(t *testing.T) {
	const mine = "db.private.example"
	w := newWorld()
	w.endpoint.Host = mine
	for _, want := range []string{"ask", "remember"} {
		s, err := w.ready(t, resolve(t, "PGHOST", mine))
		if got := w.did(); err != nil || s.Target.Host != mine || strings.Contains(got, "endpoint") != (want == "ask") {
			t.Errorf("%s: %+v, %v: %s", want, s, err, got)
		}
	}
	// Another host than the remembered one is asked about.
	_, err := w.ready(t, resolve(t, "PGHOST", "other.private.example"))
	var e *HostError
	if got := w.did(); !errors.As(err, &e) || !strings.Contains(got, "endpoint") || strings.Contains(got, "login") {
		t.Errorf("%v: %s", err, got)
	}
	// As an option it is used unasked, whatever is remembered.
	s, err := w.ready(t, resolve(t, "pghost", "other.private.example"))
	if got := w.did(); err != nil || s.Target.Host != "other.private.example" || got != "login:token-1" {
		t.Errorf("%+v, %v: %s", s, err, got)
	}
}

func TestHostOfTheAPIIsChecked(t *testing.T) {
	for host, want := range map[string]string{
		"":                "names no host",
		"ep-x-pooler.foo": "takes no OAuth roles",
		"a.foo,b.foo":     "not a list",
		"/tmp":            "Unix socket",
	} {
		w := newWorld()
		w.endpoint.Host = host
		_, err := w.ready(t, resolve(t))
		if got := w.did(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(got, "login") {
			t.Errorf("%q: %v: %s", host, err, got)
		}
	}
	w := newWorld()
	w.endpoint.Host = strings.ToUpper(ownHost)
	if s, err := w.ready(t, resolve(t)); err != nil || s.Target.Host != ownHost {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestDisabledEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.endpoint.Disabled = true
		w.credError = func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() } // is given up
		begun := time.Now()
		_, err := w.ready(t, resolve(t))
		var e *exchange.Error
		if took := time.Since(begun); !errors.As(err, &e) || e.Kind != exchange.KindEndpointDisabled || took != 0 || strings.Contains(w.did(), "login") {
			t.Errorf("%v after %s", err, took)
		}
	})
}

func TestRefusalIsNotRetried(t *testing.T) {
	for _, k := range []exchange.Kind{exchange.KindInvalidClient, exchange.KindEntitlement, exchange.KindCertificate, exchange.KindRedirect, exchange.KindNotJSON} {
		w := newWorld()
		w.token = func(int) error { return &exchange.Error{Kind: k} }
		_, err := w.ready(t, resolve(t))
		var e *exchange.Error
		if got := w.did(); !errors.As(err, &e) || e.Kind != k || got != "keychain sign-in" {
			t.Errorf("%s: %v: %s", k, err, got)
		}
	}
	w := newWorld()
	w.credError = func(context.Context, int) error {
		return &exchange.Error{Kind: exchange.KindPermissionDenied, Message: "no"}
	}
	w.endError = func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() } // is given up
	_, err := w.ready(t, resolve(t))
	var e *exchange.Error
	if !errors.As(err, &e) || e.Kind != exchange.KindPermissionDenied || strings.Count(w.did(), "credential") != 1 {
		t.Errorf("the refusal is lost: %v", err)
	}
}

func TestUnavailableIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		twice := func(_ context.Context, n int) error {
			if n < 3 {
				return unavailable()
			}
			return nil
		}
		w := newWorld()
		w.token = func(n int) error { return twice(t.Context(), n) }
		w.credError, w.endError = twice, twice
		s, err := w.ready(t, resolve(t))
		got := w.did()
		if err != nil || s.Target.Host != ownHost || strings.Count(got, "sign-in") != 3 || strings.Count(got, "credential") != 3 || strings.Count(got, "endpoint") != 3 {
			t.Errorf("%v: %s", err, got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.token = func(int) error { return unavailable() }
		begun := time.Now()
		_, err := w.ready(t, resolve(t, "timeout", "20s"))
		var tried *retry.Error
		var e *exchange.Error
		if !errors.As(err, &tried) || !errors.As(err, &e) || e.Status != 503 || tried.Attempts < 4 || time.Since(begun) > 20*time.Second {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
	})
}

func TestSignInMintsNothing(t *testing.T) {
	w := newWorld()
	if _, err := w.broker(resolve(t)).SignIn(t.Context(), credential.NewSecret("s")); err != nil || w.did() != "sign-in" {
		t.Error(err)
	}
}

func TestHostErrorWords(t *testing.T) {
	e := &HostError{Configured: config.Value[string]{Value: "a", Source: config.Source{Origin: config.FromEnvironment, Name: "PGHOST"}}, Target: "E", Named: "b"}
	if e.Error() != "PGHOST: a is not the host of E, which is b" {
		t.Error(e)
	}
	if e := (&HostError{Target: "E"}); e.Error() != "E names no host" {
		t.Error(e)
	}
	if e := (&HostError{Target: "E", ReadOnly: true}); e.Error() != "E names no read-only host" {
		t.Error(e)
	}
	e.ReadOnly = true
	if e.Error() != "PGHOST: a is not the read-only host of E, which is b" {
		t.Error(e)
	}
}
