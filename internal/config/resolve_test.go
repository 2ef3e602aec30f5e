package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// shown gives the settings of the target by option name, with their sources.
func shown(c Config) map[string]string {
	s := func(v any, from Source) string { return fmt.Sprintf("%v from %s", v, from) }
	return map[string]string{
		"host": s(c.Workspace.Value, c.Workspace.Source), "client-id": s(c.ClientID.Value, c.ClientID.Source), "endpoint": s(c.Endpoint.Value, c.Endpoint.Source), "instance": s(c.Instance.Value, c.Instance.Source),
		"pghost": s(c.PGHost.Value, c.PGHost.Source), "pgport": s(c.PGPort.Value, c.PGPort.Source), "database": s(c.Database.Value, c.Database.Source),
		"user": s(c.User.Value, c.User.Source), "sslmode": s(c.SSLMode.Value, c.SSLMode.Source), "sslrootcert": s(c.SSLRootCert.Value, c.SSLRootCert.Source),
		"cacert": s(c.CACert.Value, c.CACert.Source), "auth": s(c.Auth.Value, c.Auth.Source), "audience": s(c.Audience.Value, c.Audience.Source),
		"databricks-profile": s(c.DatabricksProfile.Value, c.DatabricksProfile.Source),
	}
}

// targets is each setting of the target from all three places.
var targets = map[string]struct{ key, variable, byProfile, byEnv, byOption, want, def string }{
	"host":               {"host", "DATABRICKS_HOST", "p.example", "e.example", "o.example", "https://%s", ""},
	"client-id":          {"client_id", "DATABRICKS_CLIENT_ID", "p", "e", "o", "%s", ""},
	"auth":               {"auth", "DATABRICKS_AUTH_TYPE", "databricks-cli", "external-browser", "oauth-m2m", "%s", ""},
	"audience":           {"audience", "DATABRICKS_TOKEN_AUDIENCE", "p", "e", "o", "%s", ""},
	"databricks-profile": {"databricks_profile", "DATABRICKS_CONFIG_PROFILE", "p", "e", "o", "%s", ""},
	"endpoint":           {"endpoint", "LAKEBASE_ENDPOINT", "projects/p/branches/b/endpoints/e", "projects/e/branches/b/endpoints/e", "projects/o/branches/b/endpoints/e", "%s", ""},
	"instance":           {"instance", "LAKEBASE_INSTANCE", "p", "e", "o", "%s", ""},
	"pghost":             {"pghost", "PGHOST", "p.example", "e.example", "o.example", "%s", ""},
	"pgport":             {"pgport", "PGPORT", "1", "2", "3", "%s", "5432"},
	"database":           {"database", "PGDATABASE", "p", "e", "o", "%s", "databricks_postgres"},
	"user":               {"user", "PGUSER", "p", "e", "o", "%s", "CLIENT"},
	"sslmode":            {"sslmode", "PGSSLMODE", "verify-full", "verify-full", "require", "%s", "verify-full"},
	"sslrootcert":        {"sslrootcert", "PGSSLROOTCERT", "/p.pem", "/e.pem", "/o.pem", "%s", ""},
	"cacert":             {"cacert", "LAKEBASE_CACERT", "/p.pem", "/e.pem", "/o.pem", "%s", ""},
}

func TestPrecedence_CoversSettings(t *testing.T) {
	for _, s := range Settings() {
		row, ok := targets[s.Option]
		if ok != s.Target || s.Target && (row.key != s.Key || row.variable != s.Env[0]) {
			t.Errorf("--%s: the setting and its row of the test differ", s.Option)
		}
	}
}

func TestPrecedence(t *testing.T) {
	for name, row := range targets {
		variables, options := map[string]string{}, map[string]string{}
		profile := "[prod]\n"
		for other, r := range targets {
			if other != name && (other == "endpoint" && name != "instance" || other == "host" || other == "client-id") {
				variables[r.variable], options[other] = r.byEnv, r.byOption
				profile += r.key + " = " + r.byProfile + "\n"
			}
		}
		profile += row.key + " = " + row.byProfile + "\n"
		line := strings.Count(profile, "\n")
		variables[row.variable], options[name] = row.byEnv, row.byOption
		with := func(useProfile, useOptions, noVariable bool) (Config, error) {
			g := given{env: map[string]string{}, profiles: profile, options: map[string]string{}, sections: "[p]\n[e]\n[o]\n"}
			for k, v := range variables {
				g.env[k] = v
			}
			if noVariable {
				delete(g.env, row.variable)
			}
			if useOptions {
				g.options = options
			}
			if useProfile {
				g.env["LAKEBASE_PROFILE"] = "prod"
			}
			return g.resolve()
		}
		check := func(what string, c Config, err error, value, from string) {
			if err != nil {
				t.Errorf("%s %s: %v", name, what, err)
				return
			}
			if got, want := shown(c)[name], fmt.Sprintf(row.want, value)+" from "+from; got != want {
				t.Errorf("%s %s: %s, want %s", name, what, got, want)
			}
		}
		byKey := fmt.Sprintf("key %s of profile \"prod\" (%s:%d)", row.key, profilesPath, line)
		c, err := with(false, false, false)
		check("from the environment", c, err, row.byEnv, row.variable)
		c, err = with(true, false, false)
		check("from the profile", c, err, row.byProfile, byKey)
		if got := notes(c, row.variable); !strings.Contains(got, `profile "prod"`) {
			t.Errorf("%s: the ignored %s is noted as %q", name, row.variable, got)
		}
		c, err = with(true, true, false)
		check("from the option over the profile", c, err, row.byOption, "--"+name)
		c, err = with(false, true, false)
		check("from the option over the environment", c, err, row.byOption, "--"+name)
		if c, err = with(false, false, true); row.def == "" && (name == "host" || name == "endpoint" || name == "instance") {
			refused(t, err, strings.Replace("--"+name, "instance", "endpoint", 1), row.variable, "--profile") // one of the two is needed
		} else if err == nil {
			check("by default", c, err, strings.Replace(row.def, "CLIENT", "e", 1), "the default")
		} else {
			t.Error(err)
		}
	}
}

func TestProfile_OverridesEnvironment(t *testing.T) {
	variables := env("PGHOST", "env.example", "PGPORT", "6000", "PGDATABASE", "envdb", "PGUSER", "envuser", "PGSSLROOTCERT", "/env.pem")
	c := given{env: variables, options: map[string]string{"profile": "prod"}, profiles: prodProfile}.must(t)
	want := map[string]string{"pghost": " from the default", "pgport": "5432 from the default", "database": "databricks_postgres from the default",
		"user": "prod-client from the default", "sslrootcert": " from the default"}
	for name, w := range want {
		if got := shown(c)[name]; got != w {
			t.Errorf("%s: %s, want %s", name, got, w)
		}
	}
	for _, name := range []string{"DATABRICKS_HOST", "DATABRICKS_CLIENT_ID", "LAKEBASE_ENDPOINT", "PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGSSLROOTCERT"} {
		if notes(c, name) == "" {
			t.Errorf("%s is ignored and not noted", name)
		}
	}
	if c := (given{env: variables}).must(t); len(c.Notes) != 0 || c.User.Value != "envuser" {
		t.Errorf("without a profile: notes %v, user %s", c.Notes, c.User.Value)
	}
}

func TestEmptyVariable(t *testing.T) {
	c := given{env: env("PGHOST", "", "PGPORT", "", "LAKEBASE_PROFILE", "", "LAKEBASE_LOG", "", "LAKEBASE_TTL", "", "DATABRICKS_CLIENT_SECRET", "")}.must(t)
	if c.PGHost.Given() || c.PGPort.Value != 5432 || c.Profile.Given() || c.Log.Value != LogNormal || c.Secret.Kind != SecretInKeychain {
		t.Errorf("an empty variable counts: %+v", c)
	}
	c = given{env: env("LAKEBASE_ENDPOINT", "", "ENDPOINT_NAME", "projects/x/branches/b/endpoints/e")}.must(t)
	if c.Endpoint.Source.Name != "ENDPOINT_NAME" {
		t.Errorf("the endpoint is from %s", c.Endpoint.Source)
	}
	c = given{env: env("ENDPOINT_NAME", "projects/x/branches/b/endpoints/e")}.must(t)
	if c.Endpoint.Source.Name != "LAKEBASE_ENDPOINT" {
		t.Errorf("of two variables the second one counts: %s", c.Endpoint.Source)
	}
}

func TestEmptyOption(t *testing.T) {
	for _, s := range Settings() {
		if s.Bool {
			continue
		}
		_, err := given{env: env(), options: map[string]string{s.Option: ""}, profiles: prodProfile}.resolve()
		refused(t, err, "--"+s.Option, "is empty")
	}
}

func TestEndpointOption_DropsLowerHost(t *testing.T) {
	const other = "projects/o/branches/b/endpoints/e"
	for _, g := range []given{
		{env: env("PGHOST", "env.example", "PGPORT", "6000")},
		{env: env("PGHOST", "/var/run/postgresql", "PGPORT", "x")}, // not even looked at
		{options: map[string]string{"profile": "prod"}, profiles: prodProfile + "pghost = prof.example\npgport = 7000\n"},
	} {
		with := map[string]string{"endpoint": other}
		for k, v := range g.options {
			with[k] = v
		}
		g.options = with
		c := g.must(t)
		if c.PGHost.Value != "" || c.PGPort.Value != 5432 || c.PGHost.Given() || c.PGPort.Given() {
			t.Errorf("host %v and port %v of another endpoint stay", c.PGHost, c.PGPort)
		}
		dropped := 0
		for _, n := range c.Notes {
			if strings.Contains(n.Why, "--endpoint names another target") {
				dropped++
			}
		}
		if dropped != 2 {
			t.Errorf("host and port are not both noted: %v", c.Notes)
		}
		g.options["pghost"], g.options["pgport"] = "opt.example", "9000"
		if c := g.must(t); c.PGHost.Value != "opt.example" || c.PGPort.Value != 9000 {
			t.Errorf("the options are dropped too: %v %v", c.PGHost, c.PGPort)
		}
	}
	c := given{env: env("PGHOST", "env.example", "PGPORT", "6000")}.must(t)
	if c.PGHost.Value != "env.example" || c.PGPort.Value != 6000 {
		t.Errorf("without the option: %v %v", c.PGHost, c.PGPort)
	}
}

func TestProfile_NotFound(t *testing.T) {
	_, err := given{env: env(), options: map[string]string{"profile": "nope"}, profiles: prodProfile + "[other]\n"}.resolve()
	refused(t, err, "--profile", `"nope"`, profilesPath, "prod, other")
	_, err = given{env: env("LAKEBASE_PROFILE", "nope")}.resolve()
	refused(t, err, "LAKEBASE_PROFILE", `"nope"`, "login --profile nope")
	c := given{env: env("LAKEBASE_PROFILE", "new"), change: func(in *Input) { in.NewProfile = true }}.must(t)
	if c.Profile.Value != "new" || c.Workspace.Source.Name != "DATABRICKS_HOST" {
		t.Errorf("a profile to be made: %v, host from %s", c.Profile, c.Workspace.Source)
	}
}

func TestProfile_UnknownKey(t *testing.T) {
	_, err := given{options: map[string]string{"profile": "prod"}, profiles: prodProfile + "hots = x\nzzz = y\n"}.resolve()
	refused(t, err, `key hots of profile "prod" (`+profilesPath+`:5)`, "unknown key", "client_id, database")
	_, err = given{options: map[string]string{"profile": "prod"}, profiles: prodProfile + "client_secret = hunter2\n"}.resolve()
	refused(t, err, `key client_secret of profile "prod" (`+profilesPath+`:5)`, "must not contain secrets", "login --profile prod")
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the secret is shown: %v", err)
	}
}

func TestResolve_Incomplete(t *testing.T) {
	_, err := given{options: map[string]string{"host": "h.example", "auth": "oauth-m2m"}}.resolve()
	refused(t, err, "--client-id", "DATABRICKS_CLIENT_ID", "--profile")
	_, err = given{options: map[string]string{"host": "h.example"}}.resolve() // a person may sign in
	refused(t, err, "--endpoint", "LAKEBASE_ENDPOINT and ENDPOINT_NAME")
	_, err = given{options: map[string]string{"host": "h.example", "client-id": "c"}}.resolve()
	refused(t, err, "--endpoint", "LAKEBASE_ENDPOINT and ENDPOINT_NAME")
	_, err = given{}.resolve()
	refused(t, err, "--host", "DATABRICKS_HOST")
	_, err = given{env: env(), options: map[string]string{"profile": "prod"}, profiles: "[prod]\nhost = h.example\nauth = oauth-m2m\nendpoint = projects/p/branches/b/endpoints/e\n"}.resolve()
	refused(t, err, `profile "prod"`, "has no key client_id", "--client-id", profilesPath)
	c := given{options: map[string]string{"host": "h.example", "client-id": "c"}, change: func(in *Input) { in.NoEndpoint = true }}.must(t)
	if c.Endpoint.Value != "" || c.User.Value != "c" {
		t.Errorf("without an endpoint: %+v", c)
	}
	given{change: func(in *Input) { in.NoTarget = true }}.must(t)
}

func TestErrors_NameTheSource(t *testing.T) {
	_, err := given{env: env("PGPORT", "x")}.resolve()
	refused(t, err, "PGPORT", `"x"`)
	_, err = given{env: env(), options: map[string]string{"pgport": "x"}}.resolve()
	refused(t, err, "--pgport", `"x"`)
	_, err = given{options: map[string]string{"profile": "prod"}, profiles: prodProfile + "pgport = x\n"}.resolve()
	refused(t, err, `key pgport of profile "prod" (`+profilesPath+`:5)`, `"x"`)
	_, err = given{env: env("LAKEBASE_LOG", "loud")}.resolve()
	refused(t, err, "LAKEBASE_LOG", "quiet, normal, verbose")
}

func TestSettings(t *testing.T) {
	c := given{env: env()}.must(t)
	if c.MinTTL.Value != 15*time.Minute || c.TTL.Value != 0 || c.Wait.Value != WaitAuto || c.WaitTimeout.Value != time.Minute || c.Timeout.Value != time.Minute ||
		c.KeychainTimeout.Value != 0 || c.Cache.Value != CacheAuto || c.Log.Value != LogNormal || c.LogFormat.Value != "text" || c.Keep.Value != nil {
		t.Errorf("the defaults are %+v", c)
	}
	c = given{env: env("LAKEBASE_WAIT", "never", "LAKEBASE_WAIT_TIMEOUT", "10s"), options: map[string]string{"wait": "always", "profile": "prod"},
		profiles: prodProfile + "wait_timeout = 20s\nkeep = A, B C\n"}.must(t)
	if c.Wait.Value != WaitAlways || c.WaitTimeout.Value != 10*time.Second || strings.Join(c.Keep.Value, "|") != "A|B|C" {
		t.Errorf("wait %v, time %v, keep %q", c.Wait, c.WaitTimeout, c.Keep.Value)
	}
	c = given{env: env(), many: map[string][]string{"keep": {"A,B", "C"}}}.must(t)
	if strings.Join(c.Keep.Value, "|") != "A,B|C" {
		t.Errorf("keep as an option is %q", c.Keep.Value)
	}
	c = given{env: env("LAKEBASE_LOG", "quiet"), many: map[string][]string{"verbose": {"true"}}}.must(t)
	if c.Log.Value != LogVerbose || c.Log.Source.Name != "--verbose" {
		t.Errorf("log is %v", c.Log)
	}
	_, err := given{env: env(), many: map[string][]string{"verbose": {"true"}, "quiet": {"true"}}}.resolve()
	refused(t, err, "--verbose", "--quiet")
}

func TestSSLMode(t *testing.T) {
	for _, m := range []string{Require, verifyCA} {
		c := given{env: env("PGSSLMODE", m)}.must(t)
		if c.SSLMode.Value != VerifyFull || !strings.Contains(notes(c, "PGSSLMODE"), m+" is raised to verify-full") {
			t.Errorf("PGSSLMODE=%s: %v, notes %v", m, c.SSLMode, c.Notes)
		}
		c = given{options: map[string]string{"profile": "prod"}, profiles: prodProfile + "sslmode = " + m + "\n"}.must(t)
		if c.SSLMode.Value != VerifyFull || len(c.Notes) != 1 || !strings.Contains(c.Notes[0].String(), `profile "prod"`) {
			t.Errorf("sslmode = %s: %v, notes %v", m, c.SSLMode, c.Notes)
		}
	}
	for _, m := range []string{"disable", "allow", "prefer"} {
		_, err := given{env: env("PGSSLMODE", m)}.resolve()
		refused(t, err, "PGSSLMODE", m, "not verified")
		_, err = given{env: env(), options: map[string]string{"sslmode": m}}.resolve()
		refused(t, err, "--sslmode", m, "not verified")
		_, err = given{options: map[string]string{"profile": "prod"}, profiles: prodProfile + "sslmode = " + m + "\n"}.resolve()
		refused(t, err, `key sslmode of profile "prod" (`+profilesPath+`:5)`, m, "not verified")
	}
	if c := (given{env: env(), options: map[string]string{"sslmode": "require"}}).must(t); c.SSLMode.Value != Require || c.ChildSSLMode.Value != Require || len(c.Notes) != 0 {
		t.Errorf("--sslmode require: %v, the child's %v", c.SSLMode, c.ChildSSLMode)
	}
	_, err := given{env: env(), options: map[string]string{"sslmode": "verify-ca"}}.resolve()
	refused(t, err, "--sslmode", "verify-ca")
	_, err = given{env: env("PGSSLMODE", "Verify-Full")}.resolve()
	refused(t, err, "PGSSLMODE", "Verify-Full")
	if c := (given{env: env(), options: map[string]string{"child-sslmode": "require"}}).must(t); c.SSLMode.Value != VerifyFull || c.ChildSSLMode.Value != Require {
		t.Errorf("--child-sslmode changes our login: %v, the child's %v", c.SSLMode, c.ChildSSLMode)
	}
}
