package lakebase

import (
	"cmp"
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
	instanceID  = "instances/shop"
	privateHost = "db.private.example"
)

// A token is sent to PGHOST only if the endpoint names it.
func TestHost_OfUntrustedPGHOST(t *testing.T) {
	for name, c := range map[string]struct {
		e    exchange.Resource
		want string // of the error; empty: none
	}{
		"the endpoint's host":   {exchange.Resource{Host: privateHost}, ""},
		"in another spelling":   {exchange.Resource{Host: "DB.Private.Example."}, ""},
		"its read-only host":    {exchange.Resource{Host: ownHost, ReadOnlyHost: privateHost}, ""},
		"another host":          {exchange.Resource{Host: ownHost}, "PGHOST: db.private.example is not the host of " + endpointID + ", which is " + ownHost},
		"its pooled host":       {exchange.Resource{Host: ownHost, PooledHost: privateHost}, ""},
		"its other pooled host": {exchange.Resource{Host: ownHost, ReadOnlyPooledHost: privateHost}, ""},
		"no host":               {exchange.Resource{}, endpointID + ": no host"},
	} {
		f := newFake()
		f.endpoint = c.e
		s, err := f.open(t.Context(), resolve(t, "PGHOST", privateHost))
		got := f.took()
		if c.want == "" {
			if err != nil || s.Target.Host != privateHost || !strings.Contains(got, "endpoint") || !strings.Contains(got, "login:token-1") {
				t.Errorf("%s: got %+v, %v: %s", name, s, err, got)
			}
		} else if !errors.As(err, new(*config.Error)) || !strings.Contains(err.Error(), c.want) || strings.Contains(got, "login") || len(f.cache) != 0 {
			t.Errorf("%s: got %v, calls %s, want %q", name, err, got, c.want)
		}
	}
}

func TestDescribe_DisabledEndpointCancelsTheOtherCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.endpoint.Disabled = true
		f.fail["credential"] = func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }
		begun := time.Now()
		_, err := f.open(t.Context(), resolve(t))
		e, ok := errors.AsType[*exchange.Error](err)
		if took := time.Since(begun); !ok || e.Kind != exchange.KindEndpointDisabled || took != 0 || strings.Contains(f.took(), "login") {
			t.Errorf("got %v after %s", err, took)
		}
	})
}

// shop is a workspace with two projects. Branch dev has two endpoints.
func shop() *fakeWorkspace {
	f := newFake()
	endpoint := func(name, uid, kind string) exchange.Resource {
		return exchange.Resource{Name: "projects/" + name, UID: uid, Type: "ENDPOINT_TYPE_" + kind, State: "IDLE", Host: ownHost}
	}
	f.lists = map[string][]exchange.Resource{
		"": {{Name: "projects/shop"}, {Name: "projects/lone"}},
		"projects/shop": {{Name: "projects/shop/branches/main", UID: "br-cold-1", State: "READY", Default: true}, {Name: "projects/shop/branches/dev", UID: "br-warm-2", State: "READY"},
			{Name: "projects/shop/branches/gone", State: "DELETED"}},
		"projects/lone":               {{Name: "projects/lone/branches/main", State: "READY"}},
		"projects/shop/branches/main": {endpoint("shop/branches/main/endpoints/primary", "ep-blue-9", "READ_WRITE")},
		"projects/shop/branches/dev":  {endpoint("shop/branches/dev/endpoints/a", "", "READ_WRITE"), endpoint("shop/branches/dev/endpoints/b", "", "READ_WRITE")},
		"projects/lone/branches/main": {endpoint("lone/branches/main/endpoints/primary", "", "READ_WRITE"), endpoint("lone/branches/main/endpoints/read", "", "READ_ONLY")},
	}
	return f
}

func TestEndpoint_ShortNames(t *testing.T) {
	const primary = "projects/shop/branches/main/endpoints/primary"
	for name, c := range map[string]struct {
		want    string // the endpoint
		problem string
		choices []string
		warned  bool
	}{
		"lone":                             {want: "projects/lone/branches/main/endpoints/primary"},
		"projects/shop/branches/main":      {want: primary},
		"shop/main":                        {want: primary},
		"projects/shop/branches/br-cold-1": {want: primary, warned: true},
		"projects/shop/branches/main/endpoints/ep-blue-9": {want: primary, warned: true},
		primary:         {want: primary}, // without a search
		"projects/shop": {problem: "may mean any of 3", choices: []string{"projects/shop/branches/dev/endpoints/a", "projects/shop/branches/dev/endpoints/b", primary}},
		"shop/dev":      {problem: "may mean any of 2", choices: []string{"projects/shop/branches/dev/endpoints/a", "projects/shop/branches/dev/endpoints/b"}},
		"shop/test":     {problem: "branches/test\" names no endpoint"},
		"empty":         {problem: "names no endpoint"},
		"projects/shop/branches/main/endpoints/ep-red-1": {problem: "names no endpoint"},
	} {
		f := shop()
		f.target = c.want
		_, err := f.source(resolve(t, "endpoint", name, "pghost", ownHost)).Token(t.Context())
		if c.want != "" {
			want := "keychain sign-in branches endpoints credential"
			if name == primary {
				want = "keychain sign-in credential"
			}
			warned := slices.ContainsFunc(f.notes, func(s string) bool { return strings.HasPrefix(s, "warning: ") && strings.Contains(s, c.want) })
			if got := f.took(); err != nil || got != want || warned != c.warned {
				t.Errorf("%s: got %v, calls %q, notes %q; want calls %q", name, err, got, f.notes, want)
			}
		} else if e, ok := errors.AsType[*config.Error](err); !ok || !strings.Contains(e.Error(), c.problem) || !strings.HasSuffix(e.Fix, cmp.Or(strings.Join(c.choices, ", "), " endpoints")) {
			t.Errorf("%s: got %v; want %s, choices %q", name, err, c.problem, c.choices)
		}
	}
}

func TestList(t *testing.T) {
	for endpoint, want := range map[string]string{
		"": "projects/lone/branches/main/endpoints/primary projects/lone/branches/main/endpoints/read projects/shop/branches/dev/endpoints/a " +
			"projects/shop/branches/dev/endpoints/b projects/shop/branches/gone projects/shop/branches/main/endpoints/primary",
		"projects/shop/branches/dev": "projects/shop/branches/dev/endpoints/a projects/shop/branches/dev/endpoints/b",
	} {
		c, f := resolve(t), shop()
		c.Endpoint.Value = endpoint
		list, err := f.source(c).List(t.Context())
		var got []string
		for _, e := range list {
			got = append(got, cmp.Or(e.Endpoint, e.Branch))
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: got %q, %v; want %q", endpoint, got, err, want)
		}
		f.refuse("endpoints", &exchange.Error{Kind: exchange.KindPermissionDenied})
		if _, err := f.source(c).List(t.Context()); !errors.As(err, new(*exchange.Error)) {
			t.Errorf("refused: got %v", err)
		}
	}
}
