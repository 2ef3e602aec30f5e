package lakebase

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

const (
	instanceID   = "instances/shop"
	readOnlyHost = "ep-x-ro.database.us-east-1.cloud.databricks.com"
	privateHost  = "db.private.example"
)

// instance resolves a configuration for an instance; more as in resolve.
func instance(t *testing.T, more ...string) config.Config {
	return resolve(t, append([]string{"LAKEBASE_ENDPOINT", "", "LAKEBASE_INSTANCE", "shop"}, more...)...)
}

func TestHost_OfUntrustedPGHOST(t *testing.T) {
	for _, c := range []struct {
		name string
		e    exchange.Endpoint
		ok   bool
	}{
		{"the endpoint's host", exchange.Endpoint{Host: privateHost}, true},
		{"in another spelling", exchange.Endpoint{Host: "DB.Private.Example."}, true},
		{"its read-only host", exchange.Endpoint{Host: ownHost, ReadOnlyHost: privateHost}, true},
		{"another host", exchange.Endpoint{Host: ownHost}, false},
		{"its pooled host", exchange.Endpoint{Host: ownHost, PooledHost: privateHost}, false},
		{"no host", exchange.Endpoint{}, false},
	} {
		f := newFake()
		f.endpoint = c.e
		s, err := f.open(t.Context(), resolve(t, "PGHOST", privateHost))
		got := f.took()
		if c.ok {
			if err != nil || s.Target.Host != privateHost || !strings.Contains(got, "endpoint") || !strings.Contains(got, "login:token-1") {
				t.Errorf("%s: got %+v, %v: %s", c.name, s, err, got)
			}
			continue
		}
		var e *HostError
		if !errors.As(err, &e) || e.Configured.Value != privateHost || e.Configured.Source.Name != "PGHOST" || e.Named != c.e.Host || e.Target != endpointID {
			t.Errorf("%s: got %v", c.name, err)
		}
		if strings.Contains(got, "login") || len(f.items) != 0 {
			t.Errorf("%s: got %s, stored %d", c.name, got, len(f.items))
		}
	}
}

func TestHost_IsRememberedForTheSamePGHOST(t *testing.T) {
	f := newFake()
	f.endpoint.Host = privateHost
	for _, asks := range []bool{true, false} {
		s, err := f.open(t.Context(), resolve(t, "PGHOST", privateHost))
		if got := f.took(); err != nil || s.Target.Host != privateHost || strings.Contains(got, "endpoint") != asks {
			t.Errorf("got %+v, %v: %s", s, err, got)
		}
	}
	_, err := f.open(t.Context(), resolve(t, "PGHOST", "other.private.example"))
	var e *HostError
	if got := f.took(); !errors.As(err, &e) || !strings.Contains(got, "endpoint") || strings.Contains(got, "login") {
		t.Errorf("another PGHOST: got %v: %s", err, got)
	}
	s, err := f.open(t.Context(), resolve(t, "pghost", "other.private.example"))
	if got := f.took(); err != nil || s.Target.Host != "other.private.example" || got != "login:token-1" {
		t.Errorf("as an option: got %+v, %v: %s", s, err, got)
	}
}

func TestHost_FromTheAPIIsChecked(t *testing.T) {
	for host, want := range map[string]string{
		"":                "names no ",
		"ep-x-pooler.foo": "takes no OAuth roles",
		"a.foo,b.foo":     "list of hosts",
		"/tmp":            "Unix socket",
	} {
		for _, readOnly := range []bool{false, true} {
			f, more := newFake(), []string(nil)
			f.endpoint.Host, f.endpoint.ReadOnlyHost = host, ownHost
			if readOnly {
				f.endpoint.Host, f.endpoint.ReadOnlyHost, more = ownHost, host, []string{"read-only", "true"}
			}
			_, err := f.open(t.Context(), resolve(t, more...))
			if got := f.took(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(got, "login") || len(f.items) != 0 {
				t.Errorf("%q: got %v: %s", host, err, got)
			}
			var e *HostError
			if host == "" && (!errors.As(err, &e) || e.ReadOnly != readOnly || e.Hint() == "") {
				t.Errorf("got %v", err)
			}
		}
	}
	f := newFake()
	f.endpoint.Host = strings.ToUpper(ownHost)
	if s, err := f.open(t.Context(), resolve(t)); err != nil || s.Target.Host != ownHost {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestHostError(t *testing.T) {
	configured := config.Value[string]{Value: "a", Source: config.Source{Origin: config.FromEnvironment, Name: "PGHOST"}}
	for want, e := range map[string]*HostError{
		"PGHOST: a is not the host of E, which is b":           {Configured: configured, Target: "E", Named: "b"},
		"PGHOST: a is not the read-only host of E, which is b": {Configured: configured, Target: "E", Named: "b", ReadOnly: true},
		"E names no host":           {Target: "E"},
		"E names no read-only host": {Target: "E", ReadOnly: true},
	} {
		if e.Error() != want {
			t.Errorf("got %q, want %q", e.Error(), want)
		}
	}
}

func TestHost_ReadOnlyAndReadWriteNeverMix(t *testing.T) {
	for target, ask := range map[string]func(...string) config.Config{
		endpointID: func(more ...string) config.Config { return resolve(t, more...) },
		instanceID: func(more ...string) config.Config { return instance(t, more...) },
	} {
		for _, order := range []string{"rw ro rw ro", "ro rw ro rw"} {
			f := newFake()
			f.endpoint.ReadOnlyHost, f.target = readOnlyHost, target
			for i, kind := range strings.Fields(order) {
				want, more := ownHost, []string(nil)
				if kind == "ro" {
					want, more = readOnlyHost, []string{"read-only", "true"}
				}
				s, err := f.open(t.Context(), ask(more...))
				if got := f.took(); err != nil || s.Target.Host != want || strings.Contains(got, "endpoint") != (i < 2) {
					t.Errorf("%s, %s, run %d: got %q, %v: %s", target, order, i, s.Target.Host, err, got)
				}
			}
		}
	}
	f := newFake()
	f.endpoint.ReadOnlyHost = readOnlyHost
	// PGHOST does not lead to the other host; an option does.
	if s, err := f.open(t.Context(), resolve(t, "PGHOST", ownHost, "read-only", "true")); err != nil || s.Target.Host != readOnlyHost {
		t.Errorf("got %q, %v", s.Target.Host, err)
	}
	f.took()
	if s, err := f.open(t.Context(), resolve(t, "read-only", "true", "pghost", "ro.private.example")); err != nil || s.Target.Host != "ro.private.example" || strings.Contains(f.took(), "endpoint") {
		t.Errorf("got %q, %v", s.Target.Host, err)
	}
}

func TestDescribe_States(t *testing.T) {
	for state, want := range map[string]exchange.Kind{
		"STOPPED": exchange.KindInstanceStopped, "FAILING_OVER": exchange.KindInstanceFailingOver, "DELETING": exchange.KindInstanceDeleting,
		"STARTING": "", "AVAILABLE": "", "UPDATING": "",
	} {
		for _, credential := range []string{"database", "workspace"} {
			f := newFake()
			f.target, f.endpoint.State = instanceID, state
			_, err := f.open(t.Context(), instance(t, "credential", credential))
			got := f.took()
			if want == "" {
				if err != nil || !strings.Contains(got, "login:") {
					t.Errorf("%s: got %v: %s", state, err, got)
				}
				continue
			}
			var e *exchange.Error
			if !errors.As(err, &e) || e.Kind != want || e.Message != "instances/shop is "+state || strings.Contains(got, "login") || strings.Count(got, "endpoint") != 1 {
				t.Errorf("%s: got %v: %s", state, err, got)
			}
		}
	}
}

func TestDescribe_DisabledEndpointCancelsTheOtherCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.endpoint.Disabled = true
		f.credError = func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }
		begun := time.Now()
		_, err := f.open(t.Context(), resolve(t))
		var e *exchange.Error
		if took := time.Since(begun); !errors.As(err, &e) || e.Kind != exchange.KindEndpointDisabled || took != 0 || strings.Contains(f.took(), "login") {
			t.Errorf("got %v after %s", err, took)
		}
	})
}

func TestInstance_IsNotCachedForAnEndpoint(t *testing.T) {
	f := newFake()
	f.target = instanceID
	s, err := f.open(t.Context(), instance(t))
	if got := f.took(); err != nil || s.Target.Host != ownHost || !strings.Contains(got, "endpoint") {
		t.Fatalf("got %+v, %v: %s", s, err, got)
	}
	f.target = endpointID
	if s, err = f.open(t.Context(), resolve(t)); err != nil || s.Cached {
		t.Errorf("got %+v, %v", s, err)
	}
}

// shop is a workspace with two projects. Branch dev has two endpoints.
func shop() *fakeWorkspace {
	f := newFake()
	f.branches = map[string][]exchange.Branch{
		"projects/shop": {{Name: "projects/shop/branches/main", UID: "br-cold-1", State: "READY", Default: true}, {Name: "projects/shop/branches/dev", UID: "br-warm-2", State: "READY"},
			{Name: "projects/shop/branches/gone", State: "DELETED"}},
		"projects/lone": {{Name: "projects/lone/branches/main", State: "READY"}},
	}
	rw := "ENDPOINT_TYPE_READ_WRITE"
	f.endpoints = map[string][]exchange.Endpoint{
		"projects/shop/branches/main": {{Name: "projects/shop/branches/main/endpoints/primary", UID: "ep-blue-9", Type: rw, State: "IDLE", Host: ownHost}},
		"projects/shop/branches/dev":  {{Name: "projects/shop/branches/dev/endpoints/a", Type: rw, State: "ACTIVE", Host: ownHost}, {Name: "projects/shop/branches/dev/endpoints/b", Type: rw, State: "ACTIVE", Host: ownHost}},
		"projects/lone/branches/main": {{Name: "projects/lone/branches/main/endpoints/primary", Type: rw, State: "IDLE", Host: ownHost},
			{Name: "projects/lone/branches/main/endpoints/read", Type: "ENDPOINT_TYPE_READ_ONLY", State: "IDLE", Host: ownHost}},
	}
	return f
}

func TestEndpoint_ShortNames(t *testing.T) {
	const primary = "projects/shop/branches/main/endpoints/primary"
	for name, c := range map[string]struct {
		want    string // the endpoint
		asked   string
		problem string
		choices []string
		warned  bool
	}{
		"lone":                             {want: "projects/lone/branches/main/endpoints/primary", asked: "branches endpoints"},
		"projects/shop/branches/main":      {want: primary, asked: "branches endpoints"},
		"shop/main":                        {want: primary, asked: "branches endpoints"},
		"projects/shop/branches/br-cold-1": {want: primary, asked: "branches endpoints", warned: true},
		"projects/shop/branches/main/endpoints/ep-blue-9": {want: primary, asked: "branches endpoints", warned: true},
		primary:         {want: primary},
		"projects/shop": {problem: "may mean any of 3", choices: []string{primary, "projects/shop/branches/dev/endpoints/a", "projects/shop/branches/dev/endpoints/b"}},
		"shop/dev":      {problem: "may mean any of 2", choices: []string{"projects/shop/branches/dev/endpoints/a", "projects/shop/branches/dev/endpoints/b"}},
		"shop/test":     {problem: `the branch "test"`, choices: []string{"projects/shop/branches/main", "projects/shop/branches/dev"}},
		"empty":         {problem: "without branches"},
		"projects/shop/branches/main/endpoints/ep-red-1": {problem: `the endpoint "ep-red-1"`, choices: []string{primary}},
	} {
		f := shop()
		f.target = c.want
		_, err := f.source(resolve(t, "endpoint", name, "pghost", ownHost)).Token(t.Context())
		if c.want != "" {
			want := strings.Join(strings.Fields("keychain sign-in "+c.asked+" credential"), " ")
			warned := slices.ContainsFunc(f.notes, func(s string) bool { return strings.HasPrefix(s, "warning: ") && strings.Contains(s, c.want) })
			if got := f.took(); err != nil || got != want || warned != c.warned {
				t.Errorf("%s: got %v, calls %q, notes %q; want calls %q", name, err, got, f.notes, want)
			}
			continue
		}
		var target *TargetError
		if !errors.As(err, &target) || !strings.Contains(target.Error(), c.problem) || !slices.Equal(target.Choices, c.choices) {
			t.Errorf("%s: got %v; want %s, choices %q", name, err, c.problem, c.choices)
		}
	}
}

// The result of the search, including the host, is not requested again.
func TestEndpoint_ShortNameBringsTheHost(t *testing.T) {
	const primary = "projects/lone/branches/main/endpoints/primary"
	f := shop()
	f.target = primary
	for _, want := range []string{"keychain sign-in branches endpoints credential login:token-1", ""} {
		s, err := f.open(t.Context(), resolve(t, "endpoint", "lone"))
		if got := f.took(); err != nil || s.Target.Host != ownHost || got != want {
			t.Errorf("got %q, %v: %s; want %s", s.Target.Host, err, got, want)
		}
	}
	f = shop()
	f.endpoints["projects/lone/branches/main"][0].State = "" // the list had no status
	f.target = primary
	s, err := f.open(t.Context(), resolve(t, "endpoint", "lone"))
	if got := f.took(); err != nil || s.Target.Host != ownHost || strings.Count(got, "endpoint") != 2 {
		t.Errorf("without a state: got %q, %v: %s", s.Target.Host, err, got)
	}
	f = shop()
	f.target = primary
	f.endpoints["projects/lone/branches/main"][0].Disabled = true
	var ex *exchange.Error
	if _, err := f.open(t.Context(), resolve(t, "endpoint", "lone")); !errors.As(err, &ex) || ex.Kind != exchange.KindEndpointDisabled {
		t.Errorf("disabled: got %v", err)
	}
}

func TestList(t *testing.T) {
	f := shop()
	for endpoint, want := range map[string][]string{
		"": {"projects/lone/branches/main/endpoints/primary", "projects/lone/branches/main/endpoints/read", "projects/shop/branches/dev/endpoints/a",
			"projects/shop/branches/dev/endpoints/b", "projects/shop/branches/gone", "projects/shop/branches/main/endpoints/primary"},
		"shop/dev": {"projects/shop/branches/dev/endpoints/a", "projects/shop/branches/dev/endpoints/b"},
	} {
		c := resolve(t)
		c.Endpoint.Value = ""
		if endpoint != "" {
			c = resolve(t, "endpoint", endpoint)
		}
		list, err := f.source(c).List(t.Context())
		var got []string
		for _, e := range list {
			if e.Endpoint.Name != "" {
				got = append(got, e.Endpoint.Name)
			} else {
				got = append(got, e.Branch.Name)
			}
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v; want %q", endpoint, got, err, want)
		}
	}
}
