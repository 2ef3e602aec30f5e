package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shown returns the settings of the target by option name, with their sources.
func shown(c Config) map[string]string {
	s := func(v any, from Source) string { return fmt.Sprintf("%v from %s", v, from) }
	out := map[string]string{
		"host": s(c.Workspace.Value, c.Workspace.Source), "client-id": s(c.ClientID.Value, c.ClientID.Source), "endpoint": s(c.Endpoint.Value, c.Endpoint.Source), "instance": s(c.Instance.Value, c.Instance.Source),
		"pghost": s(c.PGHost.Value, c.PGHost.Source), "pgport": s(c.PGPort.Value, c.PGPort.Source), "database": s(c.Database.Value, c.Database.Source),
		"user": s(c.User.Value, c.User.Source), "sslmode": s(c.SSLMode.Value, c.SSLMode.Source), "sslrootcert": s(c.SSLRootCert.Value, c.SSLRootCert.Source),
		"scope": s(c.Scope.Value, c.Scope.Source), "cacert": s(c.CACert.Value, c.CACert.Source), "auth": s(c.Auth.Value, c.Auth.Source),
		"databricks-profile": s(c.DatabricksProfile.Value, c.DatabricksProfile.Source),
	}
	for name, v := range c.authOptions {
		out[name] = s(v.Value, v.Source)
	}
	return out
}

// TestPrecedence resolves each setting of the target from all three places.
func TestPrecedence(t *testing.T) {
	type target struct {
		Setting
		byProfile, byEnv, byOption, def string
	}
	targets := map[string]target{
		"host":        {byProfile: "https://p.example", byEnv: "https://e.example", byOption: "https://o.example"},
		"auth":        {byProfile: "databricks-cli", byEnv: "external-browser", byOption: "oauth-m2m"},
		"endpoint":    {byProfile: "projects/p", byEnv: "projects/e", byOption: "projects/o"},
		"pghost":      {byProfile: "p.example", byEnv: "e.example", byOption: "o.example"},
		"pgport":      {byProfile: "1", byEnv: "2", byOption: "3", def: "5432"},
		"database":    {byProfile: "p", byEnv: "e", byOption: "o", def: "databricks_postgres"},
		"user":        {byProfile: "pu", byEnv: "eu", byOption: "ou", def: "e"},
		"sslmode":     {byProfile: "verify-full", byEnv: "verify-full", byOption: "require", def: "verify-full"},
		"sslrootcert": {byProfile: "/p.pem", byEnv: "/e.pem", byOption: "/o.pem"},
		"scope":       {byProfile: "p", byEnv: "e", byOption: "o", def: AllAPIs},
		"cacert":      {byProfile: "/p.pem", byEnv: "/e.pem", byOption: "/o.pem"},
	}
	for _, s := range Settings() {
		if row, ok := targets[s.Option]; ok && !s.Target {
			t.Errorf("--%s is not of the target", s.Option)
		} else if s.Target {
			if !ok {
				row = target{byProfile: "p", byEnv: "e", byOption: "o"}
			}
			row.Setting = s
			targets[s.Option] = row
		}
	}
	for name, row := range targets {
		variables, options := map[string]string{}, map[string]string{}
		profile := "[prod]\n"
		for other, r := range targets {
			if other != name && (other == "endpoint" && name != "instance" || other == "host" || other == "client-id") {
				variables[r.Env[0]], options[other] = r.byEnv, r.byOption
				profile += r.Key + " = " + r.byProfile + "\n"
			}
		}
		profile += row.Key + " = " + row.byProfile + "\n"
		byKey := fmt.Sprintf("key %s of profile \"prod\" (%s:%d)", row.Key, profilesPath, strings.Count(profile, "\n"))
		options[name] = row.byOption
		for _, c := range []struct {
			useProfile, useOptions, useVariable bool
			value, from                         string
		}{
			{false, false, true, row.byEnv, row.Env[0]},
			{true, false, true, row.byProfile, byKey},
			{true, true, true, row.byOption, "--" + name},
			{false, true, true, row.byOption, "--" + name},
			{false, false, false, row.def, "the default"},
		} {
			g := given{env: maps.Clone(variables), profiles: profile, sections: "[p]\n[e]\n[o]\n"}
			if c.useVariable {
				g.env[row.Env[0]] = row.byEnv
			}
			if c.useOptions {
				g.options = options
			}
			if c.useProfile {
				g.env["LAKEBASE_PROFILE"] = "prod"
			}
			if !c.useVariable && (name == "host" || name == "endpoint" || name == "instance") {
				_, err := g.resolve()
				refused(t, err, strings.Replace("--"+name, "instance", "endpoint", 1), row.Env[0], "--profile") // one of the two is needed
				continue
			}
			conf := g.must(t)
			want := c.value + " from " + c.from
			if got := filepath.ToSlash(shown(conf)[name]); got != want {
				t.Errorf("%s, %+v: got %s, want %s", name, c, got, want)
			}
			if n := notes(conf, row.Env[0]); c.useProfile && !c.useOptions && !strings.Contains(n, `profile "prod"`) {
				t.Errorf("%s: got note %q on %s", name, n, row.Env[0])
			}
		}
	}
}

// An empty variable counts as unset, an empty option is an error.
func TestEmpty(t *testing.T) {
	c := given{env: env("PGHOST", "", "PGPORT", "", "LAKEBASE_PROFILE", "", "LAKEBASE_LOG", "", "LAKEBASE_TTL", "", "DATABRICKS_CLIENT_SECRET", "")}.must(t)
	if c.PGHost.Given() || c.PGPort.Value != 5432 || c.Profile.Given() || c.Log.Value != LogNormal || c.Secret.Kind != SecretInKeychain {
		t.Errorf("got %+v", c)
	}
	for first, want := range map[string]string{"": "ENDPOINT_NAME", "projects/x/branches/b/endpoints/e": "LAKEBASE_ENDPOINT"} {
		c := given{env: env("LAKEBASE_ENDPOINT", first, "ENDPOINT_NAME", "projects/x/branches/b/endpoints/e")}.must(t)
		if c.Endpoint.Source.Name != want {
			t.Errorf("got the endpoint from %s, want %s", c.Endpoint.Source, want)
		}
	}
	for _, s := range Settings() {
		if !s.Bool {
			_, err := given{env: env(), options: map[string]string{s.Option: ""}, profiles: prodProfile}.resolve()
			refused(t, err, "--"+s.Option, "is empty")
		}
	}
}

// What is missing or wrong is named by its source.
func TestResolve_Errors(t *testing.T) {
	profile := func(text string) given { return given{options: map[string]string{"profile": "prod"}, profiles: text} }
	options := func(nameValue ...string) given { return with(env(), nameValue...) }
	alone := func(nameValue ...string) given { return with(nil, nameValue...) }
	variables := func(nameValue ...string) given { return given{env: env(nameValue...)} }
	key := func(name string) string { return "key " + name + ` of profile "prod" (` + profilesPath + ":5)" }
	for _, c := range []struct {
		given
		name, texts string
	}{
		{alone("host", "h.example", "auth", "oauth-m2m"), "--client-id", "DATABRICKS_CLIENT_ID|--profile"},
		{alone("host", "h.example"), "--endpoint", "LAKEBASE_ENDPOINT and ENDPOINT_NAME"}, // a user may sign in
		{alone("host", "h.example", "client-id", "c"), "--endpoint", "LAKEBASE_ENDPOINT and ENDPOINT_NAME|--instance (LAKEBASE_INSTANCE)"},
		{alone(), "--host", "DATABRICKS_HOST"},
		{profile("[prod]\nhost = h.example\nauth = oauth-m2m\nendpoint = shop\n"), `profile "prod"`, "has no key client_id|--client-id|" + profilesPath},
		{profile("[prod]\nhost = h.example\nclient_id = c\n"), `profile "prod"`, "has no key endpoint|or --instance (LAKEBASE_INSTANCE)"},
		{profile(prodProfile + "hots = x\nzzz = y\n"), key("hots"), "unknown key|client_id, database"},
		{profile(prodProfile + "client_secret = hunter2\n"), key("client_secret"), "must not contain secrets|login --profile prod"},
		{profile("[other]\n[more]\n"), "--profile", `"prod"|` + profilesPath + "|other, more"},
		{given{env: env("LAKEBASE_PROFILE", "nope")}, "LAKEBASE_PROFILE", `"nope"|login --profile nope `},
		{given{env: env("LAKEBASE_PROFILE", "x;$(id)")}, "LAKEBASE_PROFILE", `login --profile 'x;$(id)' --host`},
		{given{options: map[string]string{"profile": "a b"}, profiles: "[a b]\ntoken = hunter2\n"}, `key token of profile "a b" (` + profilesPath + ":2)", "login --profile 'a b'"},
		{given{env: env("PGPORT", "x")}, "PGPORT", `"x"`}, {options("pgport", "x"), "--pgport", `"x"`}, {profile(prodProfile + "pgport = x\n"), key("pgport"), `"x"`},
		{given{env: env("LAKEBASE_LOG", "loud")}, "LAKEBASE_LOG", "quiet, normal, verbose"}, {options("verbose", "true", "quiet", "true"), "--verbose", "--quiet"},
		{options("wait", "Always"), "--wait", "is not one of |Always"}, {options("cache", "disk"), "--cache", "is not one of |disk"},
		{options("log-format", "xml"), "--log-format", "is not one of |xml"}, {options("child-sslmode", "disable"), "--child-sslmode", "is not one of |disable"},
		{options("credential", "pat"), "--credential", "database, workspace"},
		{given{env: onlyInstance("LAKEBASE_TTL", "10m")}, "LAKEBASE_TTL", "for the database credentials of an endpoint alone|leave it out"},
		{options("credential", "workspace", "ttl", "10m"), "--ttl", "for the database credentials of an endpoint alone"},
		{options("ttl", "299s"), "--ttl", "from 5m to 1h"}, {options("ttl", "1h1s"), "--ttl", "from 5m to 1h"}, {options("ttl", "300"), "--ttl", "not a duration"},
		{options("min-ttl", "61m"), "--min-ttl", "from 0s to 1h"}, {options("min-ttl", "-1s"), "--min-ttl", "not a duration"},
		{options("wait-timeout", "0s"), "--wait-timeout", "from 1ms to 1h"}, {options("timeout", " 1s "), "--timeout", "not a duration"}, {options("keychain-timeout", "0s"), "--keychain-timeout", "not a duration"},
		{options("endpoint", anEndpoint, "instance", "shop"), "--instance", "conflicts with --endpoint|give one of them"},
		{variables("LAKEBASE_INSTANCE", "shop"), "LAKEBASE_INSTANCE", "conflicts with LAKEBASE_ENDPOINT"},
		{profile(prodProfile + "instance = shop\n"), key("instance"), `conflicts with key endpoint of profile "prod"`},
		{variables("DATABRICKS_AUTH_TYPE", "pat"), "DATABRICKS_AUTH_TYPE", "pat needs DATABRICKS_TOKEN|choose another authentication type"},
		{variables("DATABRICKS_AUTH_TYPE", "env-oidc"), "DATABRICKS_AUTH_TYPE", "env-oidc needs DATABRICKS_OIDC_TOKEN_ENV or DATABRICKS_OIDC_TOKEN"},
		{options("auth", "file-oidc"), "--auth", "file-oidc needs DATABRICKS_OIDC_TOKEN_FILEPATH"},
		{options("auth", "github-oidc"), "--auth", "github-oidc needs a job|ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN"},
		{with(env("DATABRICKS_TOKEN", "t"), "auth", "pat", "host", "b.cloud.databricks.com"), "--auth", // a credential of another target is named
			"DATABRICKS_TOKEN: not used: it belongs to DATABRICKS_HOST, and the target is b.cloud.databricks.com"},
		{with(env("DATABRICKS_CLIENT_ID", ""), "auth", "oauth-m2m"), "--client-id", "DATABRICKS_CLIENT_ID not set"},
		{with(env("DATABRICKS_CLIENT_ID", "", "DATABRICKS_OIDC_TOKEN", "t"), "auth", "env-oidc"), "--client-id", "DATABRICKS_CLIENT_ID not set"},
		{variables("DATABRICKS_OIDC_TOKEN_ENV", "CI_JWT", "DATABRICKS_OIDC_TOKEN", "another"), "DATABRICKS_OIDC_TOKEN_ENV", "does not name a variable that is set|put the token into DATABRICKS_OIDC_TOKEN"},
		{variables("DATABRICKS_OIDC_TOKEN_ENV", "CI_JWT", "CI_JWT", "hunter2\x01"), "CI_JWT", "is not a token"},
		{variables("DATABRICKS_OIDC_TOKEN_ENV", "eyJhunter2.x.y"), "DATABRICKS_OIDC_TOKEN_ENV", "does not name a variable"},
		{variables("DATABRICKS_OIDC_TOKEN_ENV", " "), "DATABRICKS_OIDC_TOKEN_ENV", "does not name a variable"},
		{variables("DATABRICKS_TOKEN_AUDIENCE", " "), "DATABRICKS_TOKEN_AUDIENCE", "is blank"},
		{variables("DATABRICKS_TOKEN_AUDIENCE", strings.Repeat("a", 513)), "DATABRICKS_TOKEN_AUDIENCE", "is blank"},
		{options("sslmode", "verify-ca"), "--sslmode", "verify-ca|use verify-full"}, {options("sslmode", "prefer"), "--sslmode", "not verified|use verify-full"},
		{profile(prodProfile + "sslmode = allow\n"), key("sslmode"), "not verified|use verify-full"}, {variables("PGSSLMODE", "Verify-Full"), "PGSSLMODE", "use verify-full"},
		{options("set", "X"), "--set", "is not NAME=TEMPLATE"},
		{options("set", "=x"), "--set", "is not NAME=TEMPLATE"},
	} {
		_, err := c.resolve()
		refused(t, err, c.name, strings.Split(c.texts, "|")...)
	}
	c := given{options: map[string]string{"host": "h.example", "client-id": "c"}, change: func(in *Input) { in.NoEndpoint = true }}.must(t)
	if c.Endpoint.Value != "" || c.User.Value != "c" {
		t.Errorf("without an endpoint: got %+v", c)
	}
	given{change: func(in *Input) { in.NoTarget = true }}.must(t)
	c = given{env: env("LAKEBASE_PROFILE", "new"), change: func(in *Input) { in.NewProfile = true }}.must(t)
	if c.Profile.Value != "new" || c.Workspace.Source.Name != "DATABRICKS_HOST" {
		t.Errorf("a new profile: got %v, host from %s", c.Profile, c.Workspace.Source)
	}
}

func TestSettings(t *testing.T) {
	c := given{env: env()}.must(t)
	if c.MinTTL.Value != 15*time.Minute || c.TTL.Value != 0 || c.Wait.Value != WaitAuto || c.WaitTimeout.Value != time.Minute || c.Timeout.Value != time.Minute || c.Credential.Value != CredentialDatabase ||
		c.KeychainTimeout.Value != 0 || c.Cache.Value != CacheAuto || c.Log.Value != LogNormal || c.LogFormat.Value != "text" || c.Keep.Value != nil || c.Refresh.Value != RefreshOff || c.Listen.Value != "" {
		t.Errorf("defaults: got %+v", c)
	}
	c = given{env: env("LAKEBASE_WAIT", "never", "LAKEBASE_WAIT_TIMEOUT", "10s", "LAKEBASE_TTL", "5m"), profiles: prodProfile + "wait_timeout = 20s\nkeep = A, B C\nset.B = {url}\nset.A = {host}\n",
		options: map[string]string{"wait": "always", "profile": "prod", "set": "B={port}", "min-ttl": "0", "timeout": "1ms", "sslrootcert": "sub/../ca.pem", "cacert": "/abs/./ca.pem", "runtime-dir": "run"}}.must(t)
	if c.Wait.Value != WaitAlways || c.WaitTimeout.Value != 10*time.Second || strings.Join(c.Keep.Value, "|") != "A|B|C" || c.TTL.Value != 5*time.Minute || c.MinTTL.Value != 0 || c.Timeout.Value != time.Millisecond {
		t.Errorf("got wait %v, time %v, keep %q, %v, %v", c.Wait, c.WaitTimeout, c.Keep.Value, c.TTL, c.MinTTL)
	}
	if len(c.Set) != 2 || c.Set[0].Name != "B" || c.Set[0].Template != "{port}" || c.Set[1].Name != "A" || !strings.Contains(c.Set[1].Source.Name, "key set.A") {
		t.Errorf("got %+v", c.Set)
	}
	if got := filepath.ToSlash(c.SSLRootCert.Value + " " + c.CACert.Value + " " + c.RuntimeDir.Value); got != "/home/me/dir/ca.pem /abs/ca.pem /home/me/dir/run" {
		t.Errorf("got paths %s", got)
	}
	c = given{env: env("LAKEBASE_LOG", "quiet", "PGSSLROOTCERT", "system"), options: map[string]string{"verbose": "true"}, change: func(in *Input) { in.Options["keep"] = []string{"A,B", "C"} }}.must(t)
	if strings.Join(c.Keep.Value, "|") != "A,B|C" || c.Log.Value != LogVerbose || c.Log.Source.Name != "--verbose" || c.SSLRootCert.Value != "" {
		t.Errorf("got keep %q, log %v, roots %q", c.Keep.Value, c.Log, c.SSLRootCert.Value)
	}
}

// Only an option weakens the verification of the server.
func TestSSLMode(t *testing.T) {
	for _, mode := range []string{Require, verifyCA} {
		c := given{options: map[string]string{"profile": "prod"}, profiles: prodProfile + "sslmode = " + mode + "\n"}.must(t)
		if c.SSLMode.Value != VerifyFull || len(c.Notes) != 1 || c.Notes[0].Why != mode+" is raised to verify-full" {
			t.Errorf("%s in a profile: got %v, notes %v", mode, c.SSLMode, c.Notes)
		}
	}
	c := with(env(), "sslmode", "require").must(t)
	if c.SSLMode.Value != Require || c.ChildSSLMode.Value != Require || len(c.Notes) != 0 {
		t.Errorf("--sslmode require: got %v, the command's %v", c.SSLMode, c.ChildSSLMode)
	}
	if c := with(env(), "child-sslmode", "verify-ca").must(t); c.SSLMode.Value != VerifyFull || c.ChildSSLMode.Value != verifyCA {
		t.Errorf("--child-sslmode: got %v, the command's %v", c.SSLMode, c.ChildSSLMode)
	}
}

func TestRefresh(t *testing.T) {
	resolve := func(mode, options string) (Config, error) {
		g := given{env: env("LAKEBASE_REFRESH", mode), options: map[string]string{}}
		for o := range strings.FieldsSeq(options) {
			name, value, _ := strings.Cut(o, "=")
			g.options[name] = value
		}
		return g.resolve()
	}
	c, err := resolve(RefreshProxy, "on-refresh=signal:sighup listen=localhost:0 status-file=s.json health-listen=[::1]:8080")
	if err != nil || c.Refresh.Value != RefreshProxy || c.OnRefresh.Value != "signal:HUP" || c.Listen.Value != "127.0.0.1:0" || filepath.ToSlash(c.StatusFile.Value) != "/home/me/dir/s.json" || c.HealthListen.Value != "[::1]:8080" {
		t.Errorf("got %+v, %v", c, err)
	}
	drive := filepath.VolumeName(os.TempDir()) // empty except on Windows
	if c, err = resolve("", "refresh=proxy listen="+drive+"/run/x/"); err != nil || filepath.ToSlash(c.Listen.Value) != drive+"/run/x" {
		t.Errorf("got %q, %v", c.Listen.Value, err)
	}
	for options, want := range map[string][2]int{"": {1000, 1000}, "max-connections=20": {20, 20}, "max-waiting=7": {1000, 7}, "max-connections=100000 max-waiting=1": {100_000, 1}} {
		c, err := resolve(RefreshProxy, options)
		if got := [2]int{c.MaxConnections.Value, c.MaxWaiting.Value}; err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", options, got, err, want)
		}
	}
	for _, c := range []struct{ mode, options, name, want string }{
		{"proxy", "listen=" + drive + "/run/a,b", "--listen", `/run/a,b" contains a comma`},
		{"proxy", "listen=" + drive + "/run/a\x01b", "--listen", "which no PGHOST can contain"},
		{"passfile", "max-connections=5", "--max-connections", "requires --refresh proxy"},
		{"", "max-waiting=5", "--max-waiting", "requires --refresh proxy"},
		{"proxy", "max-connections=0", "--max-connections", `"0" is not a number from 1 to 100000`},
		{"proxy", "max-waiting=-1", "--max-waiting", `"-1" is not a number`},
		{"proxy", "max-connections=1e3", "--max-connections", `"1e3" is not a number`},
		{"proxy", "max-connections=100001", "--max-connections", "is not a number from 1 to 100000"},
		{"passfil", "", "LAKEBASE_REFRESH", `"passfil" is not one of off, passfile, proxy`},
		{"", "on-refresh=restart", "--on-refresh", "requires --refresh passfile or --refresh proxy"},
		{"", "status-file=x", "--status-file", "requires --refresh"},
		{"", "health-listen=127.0.0.1:1", "--health-listen", "requires --refresh"},
		{"", "health-listen=127.0.0.1:1 listen=127.0.0.1:1 max-waiting=5 status-file=x on-refresh=restart", "--on-refresh", "requires --refresh"},
		{"passfile", "listen=127.0.0.1:1", "--listen", "requires --refresh proxy"},
		{"proxy", "listen=5433", "--listen", `"5433" is not HOST:PORT|127.0.0.1:5432`},
		{"proxy", "listen=127.0.0.1:70000", "--listen", "is not HOST:PORT"},
		{"proxy", "listen=db.example:5432", "--listen", `"db.example" is not an IP address`},
		{"proxy", "on-refresh=signal:", "--on-refresh", "is not one of none, restart, signal:NAME"},
		{"proxy", "on-refresh=signal:a/b", "--on-refresh", "is not one of none, restart, signal:NAME"},
		{"proxy", "on-refresh=HUP", "--on-refresh", "is not one of none, restart, signal:NAME"},
	} {
		_, err := resolve(c.mode, c.options)
		refused(t, err, c.name, strings.Split(c.want, "|")...)
	}
}

func TestSettingsTable(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Settings() {
		names := append([]string{"--" + s.Option, "-" + s.Alias, "key " + s.Key}, s.Env...)
		for _, name := range names {
			if name != "-" && name != "key " && seen[name] {
				t.Errorf("%s is listed twice", name)
			}
			seen[name] = true
		}
		if s.Target && (s.Key == "" || len(s.Env) == 0) {
			t.Errorf("--%s is of the target, and cannot be given by profile or environment", s.Option)
		}
		if _, ok := LookupAuthType(s.AuthType); s.AuthType != "" && (!ok || s.Category != CategoryAuth || !s.Target) {
			t.Errorf("--%s: got AuthType %q, category %q, want an existing type, CategoryAuth and Target", s.Option, s.AuthType, s.Category)
		}
		if s.Option == "pghostaddr" && (s.Key != "" || len(s.Env) != 0) {
			t.Error("--pghostaddr can be inherited")
		}
	}
	for _, a := range authTypes {
		if a.Credential == "" || a.Subject == "" {
			t.Errorf("%s: got %+v", a.Name, a)
		}
	}
}
