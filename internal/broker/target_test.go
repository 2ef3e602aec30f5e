package broker

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

const (
	instanceID   = "instances/shop"
	readOnlyHost = "ep-x-ro.database.us-east-1.cloud.databricks.com"
)

// bothHosts is a world whose target has a read-only host too.
func bothHosts() *world {
	w := newWorld()
	w.endpoint.ReadOnlyHost = readOnlyHost
	return w
}

// shop is a configuration for the instance; more as in resolve.
func shop(t *testing.T, more ...string) config.Config {
	return resolve(t, append([]string{"LAKEBASE_ENDPOINT", "", "LAKEBASE_INSTANCE", "shop"}, more...)...)
}

func TestInstanceIsMintedFor(t *testing.T) {
	w := newWorld()
	w.target = instanceID
	s, err := w.ready(t, shop(t))
	if got := w.did(); err != nil || s.Target.Host != ownHost || !strings.HasPrefix(got, "keychain sign-in ") || !strings.Contains(got, "credential") || !strings.Contains(got, "endpoint") {
		t.Fatalf("%+v, %v: %s", s, err, got)
	}
	if s, err = w.ready(t, shop(t)); err != nil || s.Target.Host != ownHost || w.did() != "" {
		t.Errorf("its host is not remembered: %+v, %v", s, err)
	}
	// A host that is trusted needs no third request; and no key is shared.
	w.items = map[string]string{}
	if s, err = w.ready(t, shop(t, "PGHOST", ownHost)); err != nil || s.Target.Host != ownHost {
		t.Errorf("%+v, %v", s, err)
	}
	if got := w.did(); got != "keychain sign-in credential login:token-2" {
		t.Error(got)
	}
	w.target = endpointID
	if s, err = w.ready(t, resolve(t)); err != nil || !strings.Contains(w.did(), "sign-in") {
		t.Errorf("the endpoint is answered with the instance's token: %+v, %v", s, err)
	}
}

func TestInstanceStates(t *testing.T) {
	for state, want := range map[string]exchange.Kind{
		"STOPPED": exchange.KindInstanceStopped, "FAILING_OVER": exchange.KindInstanceFailingOver, "DELETING": exchange.KindInstanceDeleting,
		"STARTING": "", "AVAILABLE": "", "UPDATING": "",
	} {
		w := newWorld()
		w.target, w.endpoint.State = instanceID, state
		_, err := w.ready(t, shop(t))
		got := w.did()
		if want == "" {
			if err != nil || !strings.Contains(got, "login:token-1") {
				t.Errorf("%s: %v: %s", state, err, got)
			}
			continue
		}
		var e *exchange.Error
		if !errors.As(err, &e) || e.Kind != want || !e.IsInstance() || e.Host != "w.example" || e.Message != "instances/shop is "+state || strings.Contains(got, "login") || strings.Count(got, "endpoint") != 1 {
			t.Errorf("%s: %v: %s", state, err, got)
		}
	}
}

func TestReadOnlyHostsNeverMix(t *testing.T) {
	for name, ask := range map[string]func(...string) config.Config{
		"endpoint": func(more ...string) config.Config { return resolve(t, more...) },
		"instance": func(more ...string) config.Config { return shop(t, more...) },
	} {
		for _, order := range []string{"rw ro rw ro", "ro rw ro rw"} {
			w := bothHosts()
			w.target = map[string]string{"instance": instanceID, "endpoint": endpointID}[name]
			for i, kind := range strings.Fields(order) {
				want, more := ownHost, []string(nil)
				if kind == "ro" {
					want, more = readOnlyHost, []string{"read-only", "true"}
				}
				s, err := w.ready(t, ask(more...))
				got := w.did()
				if err != nil || s.Target.Host != want || strings.Contains(got, "endpoint") != (i < 2) {
					t.Errorf("%s, %s, run %d: %+v, %v: %s", name, order, i, s.Target, err, got)
				}
			}
		}
	}
	// PGHOST of a lower source does not lead to the other host.
	w := bothHosts()
	s, err := w.ready(t, resolve(t, "PGHOST", ownHost, "read-only", "true"))
	if err != nil || s.Target.Host != readOnlyHost {
		t.Errorf("%+v, %v", s.Target, err)
	}
}

func TestReadOnlyHostIsChecked(t *testing.T) {
	for host, want := range map[string]string{
		"":                "names no read-only host",
		"ep-x-pooler.foo": "takes no OAuth roles",
		"a.foo,b.foo":     "not a list",
	} {
		w := newWorld()
		w.endpoint.ReadOnlyHost = host
		_, err := w.ready(t, resolve(t, "read-only", "true"))
		if got := w.did(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(got, "login") || len(w.items) != 0 {
			t.Errorf("%q: %v: %s", host, err, got)
		}
		var e *HostError
		if host == "" && (!errors.As(err, &e) || !e.ReadOnly || e.Target != endpointID) {
			t.Errorf("%v", err)
		}
	}
	w := bothHosts()
	s, err := w.ready(t, resolve(t, "read-only", "true", "pghost", "ro.private.example"))
	if got := w.did(); err != nil || s.Target.Host != "ro.private.example" || strings.Contains(got, "endpoint") {
		t.Errorf("as an option: %+v, %v: %s", s.Target, err, got)
	}
}

// With --credential workspace the credential call is left out.
func TestWorkspaceTokenAsPassword(t *testing.T) {
	w := newWorld()
	w.target = instanceID
	w.credError = func(context.Context, int) error { return errors.New("was called") }
	s, err := w.ready(t, shop(t, "credential", "workspace", "PGHOST", ownHost))
	if got := w.did(); err != nil || got != "keychain sign-in login:bearer" || s.Token.Value.Reveal() != "bearer" {
		t.Fatalf("%v: %s", err, got)
	}
	if s, err = w.ready(t, shop(t, "credential", "workspace")); err != nil || s.Target.Host != ownHost || w.did() != "keychain sign-in endpoint" { // the login has just worked
		t.Errorf("%+v, %v", s.Target, err)
	}
	if _, err := w.ready(t, shop(t, "credential", "workspace")); err != nil || w.did() != "" {
		t.Errorf("it is not cached: %v", err)
	}
	// It is not the answer to a run that wants a database credential, nor to get
	// --format workspace-token.
	w.credError = nil
	if s, err = w.ready(t, shop(t)); err != nil || s.Token.Value.Reveal() != "token-1" {
		t.Errorf("%v", err)
	}
	w.did()
	if _, err := w.broker(shop(t, "credential", "workspace", "read-only", "true")).WorkspaceToken(t.Context()); err != nil || w.did() != "keychain sign-in" {
		t.Errorf("%v", err)
	}
	if _, err := w.broker(resolve(t)).WorkspaceToken(t.Context()); err != nil || w.did() != "" {
		t.Errorf("the workspace's own token depends on the target: %v", err)
	}
	w.endpoint.State = "STOPPED"
	var e *exchange.Error
	if _, err := w.ready(t, shop(t, "credential", "workspace", "read-only", "true")); !errors.As(err, &e) || e.Kind != exchange.KindInstanceStopped {
		t.Errorf("%v", err)
	}
}
