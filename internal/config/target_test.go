package config

import (
	"strings"
	"testing"
)

const anEndpoint = "projects/x/branches/b/endpoints/e"

// onlyInstance is env with an instance in the endpoint's place.
func onlyInstance(more ...string) map[string]string {
	return env(append([]string{"LAKEBASE_ENDPOINT", "", "LAKEBASE_INSTANCE", "shop"}, more...)...)
}

func TestTarget_Instance(t *testing.T) {
	c := given{env: onlyInstance()}.must(t)
	if c.Instance.Value != "shop" || c.Endpoint.Value != "" || c.Target().Value != "instances/shop" || c.Target().Source.Name != "LAKEBASE_INSTANCE" {
		t.Errorf("got %+v", c)
	}
	if c := (given{env: env()}).must(t); c.Target().Value != env()["LAKEBASE_ENDPOINT"] || c.Target().Source.Name != "LAKEBASE_ENDPOINT" {
		t.Errorf("got %q from %s", c.Target().Value, c.Target().Source)
	}
	for _, name := range []string{"My-Instance2", strings.Repeat("a", 63)} {
		if c := (given{env: onlyInstance("LAKEBASE_INSTANCE", name)}).must(t); c.Instance.Value != name {
			t.Errorf("%q: got %q", name, c.Instance.Value)
		}
	}
	for _, name := range []string{"a/b", "..", "a b", "-a", "a-", "instances/a", "a?b", "ä", strings.Repeat("a", 64)} {
		_, err := given{env: onlyInstance("LAKEBASE_INSTANCE", name)}.resolve()
		refused(t, err, "LAKEBASE_INSTANCE", "is not an instance's name", "letters, digits and hyphens")
	}
	_, err := given{env: env(), options: map[string]string{"instance": anEndpoint}}.resolve()
	refused(t, err, "--instance", "is not an instance's name", "--endpoint")
}

func TestEndpoint(t *testing.T) {
	for in, want := range map[string]string{
		"projects/p/branches/b/endpoints/e": "", "projects/my-shop/branches/br-1/endpoints/e": "", "projects/p/branches/b/endpoints/ep_2": "",
		"projects/shop": "", "projects/shop/branches/dev": "", "shop": "projects/shop", "shop/dev": "projects/shop/branches/dev",
		"shop/dev/primary": "projects/shop/branches/dev/endpoints/primary", "shop/br-cool-wind-a1b2c3d4": "projects/shop/branches/br-cool-wind-a1b2c3d4",
		"shop/dev/ep-cool-wind-a1b2c3d4":            "projects/shop/branches/dev/endpoints/ep-cool-wind-a1b2c3d4",
		"projects/p/branches/br-cool-wind-a1b2c3d4": "", "projects/ep-cool-wind-a1b2": "",
		"ep-x": "projects/ep-x", "br-1": "projects/br-1", // projects may be called so
	} {
		if want == "" {
			want = in
		}
		if got, err := endpoint(in, option); err != nil || got != want {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "/", "/projects/p/branches/b/endpoints/e", "projects/p/branches/b/endpoints/e/", "projects//branches/b/endpoints/e", "projects/p/",
		"projects/../branches/b/endpoints/e", "projects/p/branches/b/endpoints/e?x", "projects/p/branches/b/endpoints/%2e", "projects/p/endpoints/b/branches/e",
		"projects/p/branches/b/endpoints/e\x00", "Projects/p/branches/b/endpoints/e", "projects", "projects/p/branches", "projects/p/branches/b/endpoints", "projects/p/endpoints/e",
		"projects/p/branches/b/endpoints/e/x/y", "branches/b", "endpoints/e", "instances/shop", "a/b/c/d", "shop/", "/shop", "shop//primary", "Shop", "a b", "shop.example", "https://shop",
		"..", "shop/-", "-", "shop/dev/primary\n", strings.Repeat("a", 64)} {
		_, err := endpoint(in, option)
		refused(t, err, "--x", "not an endpoint's name", EndpointForm)
	}
	for _, in := range []string{"ep-cool-wind-a1b2c3d4", "shop/ep-cool-wind-a1b2c3d4", "br-cool-wind-a1b2c3d4"} {
		_, err := endpoint(in, option)
		refused(t, err, "--x", `"`+in+`" is an ID of the console, not a name`, "lakebase-credential-helper endpoints")
	}
}

func TestEndpointWhole(t *testing.T) {
	for in, want := range map[string]bool{
		"p/b/e": true, "projects/p/branches/br-1/endpoints/ep-1": true, "projects/ep-a-b-c1/branches/b/endpoints/e": true, // a project has no such UID
		"projects/p/branches/b": false, "projects/p": false, "p": false, "p/b": false, "projects/p/branches/br-cool-wind-a1b2c3d4/endpoints/e": false,
		"projects/p/branches/b/endpoints/ep-cool-wind-a1b2c3d4": false, "projects/p/branches/br-1a2b3c4d/endpoints/ep-local-0123456789ab": false,
	} {
		name, err := endpoint(in, option)
		if c := (Config{Endpoint: Value[string]{Value: name}}); err != nil || c.EndpointWhole() != want {
			t.Errorf("%q: got %v, %v", in, !want, err)
		}
	}
	if !(&Config{}).EndpointWhole() {
		t.Error("no endpoint: got false")
	}
	for id, want := range map[string]bool{
		"ep-cool-wind-a1b2c3d4": true, "br-cool-wind-123456": true, "ep-local-0123456789a": true, "br-1a2b3c4d5e6f": true,
		"": false, "primary": false, "ep-": false, "br-": false, "ep-x": false, "br-1": false, "br-staging": false, "ep_cool_wind_a1b2": false,
		"xep-cool-wind-a1b2": false, "EP-COOL-WIND-A1B2": false, "ep-cool-wind-": false, "ep-cool/wind-a1b2c3": false,
	} {
		if IsUID(id) != want {
			t.Errorf("IsUID(%q): got %v", id, !want)
		}
	}
}
