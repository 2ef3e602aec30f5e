package config

import (
	"strings"
	"testing"
	"time"
)

const anEndpoint = "projects/x/branches/b/endpoints/e"

// onlyInstance is env with an instance in the endpoint's place.
func onlyInstance(more ...string) map[string]string {
	return env(append([]string{"LAKEBASE_ENDPOINT", "", "LAKEBASE_INSTANCE", "shop"}, more...)...)
}

func TestTarget_Instance(t *testing.T) {
	c := given{env: onlyInstance()}.must(t)
	if c.Instance.Value != "shop" || c.Endpoint.Value != "" || c.Target() != "instances/shop" || c.TargetFrom().Name != "LAKEBASE_INSTANCE" {
		t.Errorf("%+v", c)
	}
	if c := (given{env: env()}).must(t); c.Target() != env()["LAKEBASE_ENDPOINT"] || c.TargetFrom().Name != "LAKEBASE_ENDPOINT" {
		t.Errorf("%q from %s", c.Target(), c.TargetFrom())
	}
	for _, name := range []string{"shop", "My-Instance2", strings.Repeat("a", 63)} {
		if c := (given{env: onlyInstance("LAKEBASE_INSTANCE", name)}).must(t); c.Instance.Value != name {
			t.Errorf("%q became %q", name, c.Instance.Value)
		}
	}
	for _, name := range []string{"a/b", "..", "a b", "-a", "a-", "instances/a", "a?b", "ä", strings.Repeat("a", 64)} {
		_, err := given{env: onlyInstance("LAKEBASE_INSTANCE", name)}.resolve()
		refused(t, err, "LAKEBASE_INSTANCE", "is not an instance's name", "letters, digits and hyphens")
	}
	_, err := given{env: env(), options: map[string]string{"instance": anEndpoint}}.resolve()
	refused(t, err, "--instance", "is not an instance's name", "--endpoint")
}

func TestTarget_Conflict(t *testing.T) {
	_, err := given{env: env(), options: map[string]string{"endpoint": anEndpoint, "instance": "shop"}}.resolve()
	refused(t, err, "--instance", "conflicts with --endpoint", "give one of them")
	_, err = given{env: env("LAKEBASE_INSTANCE", "shop")}.resolve()
	refused(t, err, "LAKEBASE_INSTANCE", "conflicts with LAKEBASE_ENDPOINT")
	_, err = given{options: map[string]string{"profile": "prod"}, profiles: prodProfile + "instance = shop\n"}.resolve()
	refused(t, err, `key instance of profile "prod" (`+profilesPath+`:5)`, `conflicts with key endpoint of profile "prod"`)
	// An option overrides both.
	for option, want := range map[string]string{"endpoint": anEndpoint, "instance": "other"} {
		g := given{options: map[string]string{"profile": "prod", option: want}, profiles: prodProfile + "instance = shop\n"}
		if c := g.must(t); strings.TrimPrefix(c.Target(), "instances/") != want {
			t.Errorf("--%s: %q", option, c.Target())
		}
	}
	// The profile gives the whole target: the variable is another one's.
	c := given{env: env("LAKEBASE_INSTANCE", "shop"), options: map[string]string{"profile": "prod"}, profiles: prodProfile}.must(t)
	if c.Instance.Given() || notes(c, "LAKEBASE_INSTANCE") == "" {
		t.Errorf("%+v", c.Instance)
	}
}

func TestTarget_OptionDropsOtherKind(t *testing.T) {
	for _, tc := range []struct{ option, value, lower, other string }{
		{"instance", "shop", "LAKEBASE_ENDPOINT", "not even looked at"},
		{"endpoint", anEndpoint, "LAKEBASE_INSTANCE", "not/even/looked/at"},
	} {
		g := given{env: env("LAKEBASE_ENDPOINT", "", tc.lower, tc.other, "PGHOST", "env.example", "PGPORT", "6000"), options: map[string]string{tc.option: tc.value}}
		c := g.must(t)
		if c.PGHost.Given() || c.PGPort.Value != 5432 || c.TargetFrom().Name != "--"+tc.option {
			t.Errorf("--%s: %+v", tc.option, c)
		}
		for _, name := range []string{tc.lower, "PGHOST", "PGPORT"} {
			if notes(c, name) != "not used: --"+tc.option+" names another target" {
				t.Errorf("--%s: %s is noted as %q", tc.option, name, notes(c, name))
			}
		}
		keys := c.ProfileKeys()
		if v, ok := keys[map[string]string{"instance": "endpoint", "endpoint": "instance"}[tc.option]]; v != "" || !ok || keys[tc.option] != tc.value {
			t.Errorf("--%s: a profile would get %v", tc.option, keys)
		}
	}
	c := given{env: onlyInstance("PGHOST", "env.example", "PGPORT", "6000")}.must(t)
	if _, drops := c.ProfileKeys()["endpoint"]; c.PGHost.Value != "env.example" || c.PGPort.Value != 6000 || drops {
		t.Errorf("without an option: %+v", c)
	}
}

func TestTarget_Missing(t *testing.T) {
	_, err := given{env: env("LAKEBASE_ENDPOINT", "")}.resolve()
	refused(t, err, "--endpoint", "LAKEBASE_ENDPOINT and ENDPOINT_NAME", "--instance (LAKEBASE_INSTANCE)")
	_, err = given{options: map[string]string{"profile": "p"}, profiles: "[p]\nhost = h.example\nclient_id = c\n"}.resolve()
	refused(t, err, `profile "p"`, "has no key endpoint or instance", "--endpoint or --instance")
	given{env: env("LAKEBASE_ENDPOINT", ""), change: func(in *Input) { in.NoEndpoint = true }}.must(t)
}

// The read-write host of a lower source is not where --read-only goes.
func TestReadOnly_DropsLowerHost(t *testing.T) {
	const rw = "ep-x.database.us-east-1.cloud.databricks.com"
	only := func(g given) given {
		g.many = map[string][]string{"read-only": {"true"}}
		return g
	}
	for _, g := range []given{
		{env: env("PGHOST", rw, "PGPORT", "6000")},
		{options: map[string]string{"profile": "prod"}, profiles: prodProfile + "pghost = " + rw + "\npgport = 6000\n"},
	} {
		c := only(g).must(t)
		if c.PGHost.Given() || c.PGHostTrusted() || c.PGPort.Value != 6000 || !c.ReadOnly.Value {
			t.Errorf("%v %v", c.PGHost, c.PGPort)
		}
		if len(c.Notes) != 1 || !strings.Contains(c.Notes[0].Why, "--read-only") {
			t.Errorf("notes %v", c.Notes)
		}
		if c := g.must(t); c.PGHost.Value != rw || !c.PGHostTrusted() || c.ReadOnly.Value {
			t.Errorf("without it: %v", c.PGHost)
		}
	}
	c := only(given{env: env("PGHOST", rw), options: map[string]string{"pghost": "ro.private.example"}}).must(t)
	if c.PGHost.Value != "ro.private.example" || !c.PGHostTrusted() {
		t.Errorf("the option is dropped: %v", c.PGHost)
	}
}

func TestCredential(t *testing.T) {
	if c := (given{env: env()}).must(t); c.Credential.Value != CredentialDatabase || c.Credential.Given() {
		t.Errorf("%v", c.Credential)
	}
	_, err := given{env: env(), options: map[string]string{"credential": "pat"}}.resolve()
	refused(t, err, "--credential", "database, workspace")
	const alone = "for the database credentials of an endpoint alone"
	_, err = given{env: onlyInstance("LAKEBASE_TTL", "10m")}.resolve()
	refused(t, err, "LAKEBASE_TTL", alone, "leave it out")
	_, err = given{env: env(), options: map[string]string{"credential": "workspace", "ttl": "10m"}}.resolve()
	refused(t, err, "--ttl", alone)
	if c := (given{env: env("LAKEBASE_TTL", "10m")}).must(t); c.TTL.Value != 10*time.Minute {
		t.Errorf("%v", c.TTL)
	}
}

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

// An ID of the console is distinguished from a project's name.
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
