package broker

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// shopping is a workspace with a project of two branches; dev has two endpoints.
func shopping() *ways {
	w := newWays()
	w.stored["secret:w.example:"+client] = secretText
	w.branches = map[string][]exchange.Branch{
		"projects/shop": {{Name: "projects/shop/branches/main", UID: "br-cold-1", State: "READY", Default: true}, {Name: "projects/shop/branches/dev", UID: "br-warm-2", State: "READY"},
			{Name: "projects/shop/branches/gone", State: "DELETED"}},
		"projects/lone": {{Name: "projects/lone/branches/main", State: "READY"}},
	}
	rw := "ENDPOINT_TYPE_READ_WRITE"
	w.endpoints = map[string][]exchange.Endpoint{
		"projects/shop/branches/main": {{Name: "projects/shop/branches/main/endpoints/primary", UID: "ep-blue-9", Type: rw, State: "IDLE", Host: ownHost}},
		"projects/shop/branches/dev":  {{Name: "projects/shop/branches/dev/endpoints/a", Type: rw, State: "ACTIVE", Host: ownHost}, {Name: "projects/shop/branches/dev/endpoints/b", Type: rw, State: "ACTIVE", Host: ownHost}},
		"projects/lone/branches/main": {{Name: "projects/lone/branches/main/endpoints/primary", Type: rw, State: "IDLE", Host: ownHost},
			{Name: "projects/lone/branches/main/endpoints/read", Type: "ENDPOINT_TYPE_READ_ONLY", State: "IDLE", Host: ownHost}},
	}
	return w
}

func TestShortNames(t *testing.T) {
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
		t.Run(name, func(t *testing.T) {
			w := shopping()
			w.target = c.want
			_, err := saved(t, w.broker(resolve(t, "endpoint", name, "pghost", ownHost)))
			if c.want != "" {
				asked := strings.Join(slices.DeleteFunc([]string{"keychain", "sign-in", c.asked, "credential"}, func(s string) bool { return s == "" }), " ")
				if got := w.did(); err != nil || got != asked || (len(w.said) == 1 && strings.Contains(w.said[0], c.want)) != c.warned {
					t.Errorf("%v: asked %s, said %q", err, got, w.said)
				}
				return
			}
			var target *TargetError
			if !errors.As(err, &target) || !strings.Contains(target.Error(), c.problem) || !slices.Equal(target.Choices, c.choices) {
				t.Errorf("%v, choices %v", err, target)
			}
		})
	}
}

// What the search has brought is not asked for again, the host included.
func TestShortNameBringsTheHost(t *testing.T) {
	w := shopping()
	w.target = "projects/lone/branches/main/endpoints/primary"
	s, err := saved(t, w.broker(resolve(t, "endpoint", "lone")))
	if got := w.did(); err != nil || s.Target.Host != ownHost || got != "keychain sign-in branches endpoints credential" {
		t.Errorf("%v: %q, %s", err, s.Target.Host, got)
	}
	if _, err := saved(t, w.broker(resolve(t, "endpoint", "lone"))); err != nil || w.did() != "" {
		t.Errorf("again: %v", err)
	}
	w = shopping()
	w.endpoints["projects/lone/branches/main"][0].State = "" // as where the list tells of no status
	w.target = "projects/lone/branches/main/endpoints/primary"
	s, err = saved(t, w.broker(resolve(t, "endpoint", "lone")))
	// The host and the token are asked for side by side.
	if got := w.did(); err != nil || s.Target.Host != ownHost || strings.Count(got, "endpoint") != 2 || !strings.HasPrefix(got, "keychain sign-in branches endpoints ") {
		t.Errorf("without a state: %v: %q, %s", err, s.Target.Host, got)
	}
	w = shopping()
	list := w.endpoints["projects/lone/branches/main"]
	list[0].Disabled = true
	var ex *exchange.Error
	if _, err := saved(t, w.broker(resolve(t, "endpoint", "lone"))); !errors.As(err, &ex) || ex.Kind != exchange.KindEndpointDisabled {
		t.Errorf("disabled: %v", err)
	}
}

func TestCatalog(t *testing.T) {
	w := shopping()
	names := func(more ...string) (out []string) {
		t.Helper()
		c := resolve(t, more...)
		if len(more) == 0 {
			c.Endpoint.Value = ""
		}
		places, err := w.broker(c).Catalog(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range places {
			name := p.Endpoint.Name
			if name == "" {
				name = p.Branch.Name
			}
			out = append(out, name)
		}
		return out
	}
	if got := names(); len(got) != 6 || got[0] != "projects/lone/branches/main/endpoints/primary" || got[4] != "projects/shop/branches/gone" || got[5] != "projects/shop/branches/main/endpoints/primary" {
		t.Errorf("%q", got)
	}
	if got := names("endpoint", "shop/dev"); !slices.Equal(got, []string{"projects/shop/branches/dev/endpoints/a", "projects/shop/branches/dev/endpoints/b"}) {
		t.Errorf("%q", got)
	}
}
