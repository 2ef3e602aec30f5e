package config

import (
	"strings"
	"testing"
)

func TestEndpoint(t *testing.T) {
	for in, want := range map[string]string{
		"projects/p/branches/b/endpoints/e": "", "projects/my-shop/branches/br-1/endpoints/e": "", "projects/p/branches/b/endpoints/ep_2": "",
		"projects/shop": "", "projects/shop/branches/dev": "", "shop": "projects/shop", "shop/dev": "projects/shop/branches/dev",
		"shop/dev/primary":                          "projects/shop/branches/dev/endpoints/primary",
		"shop/br-cool-wind-a1b2c3d4":                "projects/shop/branches/br-cool-wind-a1b2c3d4",
		"shop/dev/ep-cool-wind-a1b2c3d4":            "projects/shop/branches/dev/endpoints/ep-cool-wind-a1b2c3d4",
		"projects/p/branches/br-cool-wind-a1b2c3d4": "",
		"ep-x":                       "projects/ep-x", // a project may be called so
		"br-1":                       "projects/br-1",
		"projects/ep-cool-wind-a1b2": "",
	} {
		if want == "" {
			want = in
		}
		if got, err := endpoint(in, option); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
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
}

// An id of the console's is told apart from a project's, which it is not.
func TestEndpoint_ConsoleID(t *testing.T) {
	for in, why := range map[string]string{
		"ep-cool-wind-a1b2c3d4":      "PROJECT/BRANCH/ep-cool-wind-a1b2c3d4",
		"shop/ep-cool-wind-a1b2c3d4": "PROJECT/BRANCH/ep-cool-wind-a1b2c3d4",
		"br-cool-wind-a1b2c3d4":      "PROJECT/br-cool-wind-a1b2c3d4",
	} {
		_, err := endpoint(in, option)
		refused(t, err, "--x", `"`+in+`"`, "not its name", why, "lakebase-credential-helper endpoints")
	}
}

func TestEndpointWhole(t *testing.T) {
	for in, want := range map[string]bool{
		"":                                  true, // nothing to look up
		"projects/p/branches/b/endpoints/e": true,
		"p/b/e":                             true,
		"projects/p/branches/br-1/endpoints/ep-1":   true,
		"projects/ep-a-b-c1/branches/b/endpoints/e": true, // a project has no such uid
		"projects/p/branches/b":                     false, "projects/p": false, "p": false, "p/b": false, "projects/p/branches/br-cool-wind-a1b2c3d4/endpoints/e": false,
		"projects/p/branches/b/endpoints/ep-cool-wind-a1b2c3d4": false, "projects/p/branches/br-1a2b3c4d/endpoints/ep-local-0123456789ab": false,
	} {
		c := Config{}
		if in != "" {
			name, err := endpoint(in, option)
			if err != nil {
				t.Errorf("%q: %v", in, err)
			}
			c.Endpoint.Value = name
		}
		if c.EndpointWhole() != want {
			t.Errorf("%q: %v", in, !want)
		}
	}
}

func TestIsUID(t *testing.T) {
	for id, want := range map[string]bool{
		"ep-cool-wind-a1b2c3d4": true, "br-cool-wind-123456": true, "ep-local-0123456789a": true, "br-1a2b3c4d5e6f": true,
		"": false, "primary": false, "ep-": false, "br-": false, "ep-x": false, "br-1": false, "br-staging": false, "ep_cool_wind_a1b2": false,
		"xep-cool-wind-a1b2": false, "EP-COOL-WIND-A1B2": false, "ep-cool-wind-": false, "ep-cool/wind-a1b2c3": false,
	} {
		if IsUID(id) != want {
			t.Errorf("%q: %v", id, !want)
		}
	}
}

func TestSplitEndpoint(t *testing.T) {
	for name, want := range map[string][3]string{
		"": {}, "projects/p": {"p"}, "projects/p/branches/b": {"p", "b"}, "projects/p/branches/b/endpoints/e": {"p", "b", "e"},
	} {
		p, b, e := SplitEndpoint(name)
		if [3]string{p, b, e} != want {
			t.Errorf("%q: %q %q %q", name, p, b, e)
		}
	}
}

func FuzzEndpoint(f *testing.F) {
	for _, s := range []string{"projects/p/branches/b/endpoints/e", "shop", "shop/dev", "shop/dev/primary", "projects/shop", "projects/shop/branches/dev", "ep-cool-wind-a1b2c3d4",
		"shop/br-cool-wind-a1b2c3d4", "projects/projects/branches/branches", "projects//branches/b", "a/b/c/d", "../..", "shop?x=y", "projects/p/branches/b/endpoints/e/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := endpoint(s, option)
		if err != nil {
			return
		}
		if again, err := endpoint(name, option); err != nil || again != name {
			t.Fatalf("%q is %q, and that again is %q, %v", s, name, again, err)
		}
		if !strings.HasPrefix(name, "projects/") || strings.HasPrefix(s, "projects/") && name != s || strings.ContainsAny(name, "?#%.\\ ") || strings.Contains(name, "//") {
			t.Fatalf("%q is taken as %q", s, name)
		}
		p, b, e := SplitEndpoint(name)
		if p == "" || b == "" && e != "" {
			t.Fatalf("%q has the ids %q %q %q", name, p, b, e)
		}
		if long := strings.TrimRight("projects/"+p+"/branches/"+b+"/endpoints/"+e, "/"); !strings.HasPrefix(long, name) {
			t.Fatalf("%q has the ids %q %q %q", name, p, b, e)
		}
	})
}
