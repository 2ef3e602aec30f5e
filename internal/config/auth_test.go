package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// named lists the settings that imply an authentication type, with the type and the
// place of its secret.
var named = []struct {
	name, value, word string
	kind              SecretKind
	text, path        string
}{
	{"--client-secret-file", "s.txt", "oauth-m2m", SecretInFile, "", "/home/me/dir/s.txt"},
	{"DATABRICKS_CLIENT_SECRET", " dose1\n", "oauth-m2m", SecretInEnvironment, "dose1", ""},
	{"DATABRICKS_CLIENT_SECRET_FILE", "s.txt", "oauth-m2m", SecretInFile, "", "/home/me/dir/s.txt"},
	{"DATABRICKS_OIDC_TOKEN", "eyJ.a.b\n", "env-oidc", SecretInEnvironment, "eyJ.a.b", ""},
	{"DATABRICKS_OIDC_TOKEN_ENV", " CI_JWT ", "env-oidc", SecretInEnvironment, "eyJ.ci.b", ""},
	{"DATABRICKS_OIDC_TOKEN_FILEPATH", "/run/token", "file-oidc", SecretInFile, "", "/run/token"},
	{"DATABRICKS_TOKEN", " dapi1\n", "pat", SecretInEnvironment, "dapi1", ""},
}

// withCandidates returns a complete target in the environment, with the named
// candidates.
func withCandidates(names ...int) given {
	g := given{env: env("CI_JWT", "eyJ.ci.b"), options: map[string]string{}}
	for _, i := range names {
		if o, ok := strings.CutPrefix(named[i].name, "--"); ok {
			g.options[o] = named[i].value
		} else {
			g.env[named[i].name] = named[i].value
		}
	}
	return g
}

func checkCandidate(t *testing.T, what string, c Config, i int) {
	t.Helper()
	w, s := named[i], c.Secret
	if c.Auth.Value != w.word || s.Kind != w.kind || filepath.ToSlash(s.Path) != w.path || s.Text.Reveal() != w.text || s.Source.Name != w.name {
		t.Errorf("%s: got %s by %+v (text right: %v), want %+v", what, c.Auth.Value, s, s.Text.Reveal() == w.text, w)
	}
	if strings.Contains(fmt.Sprintf("%+v", c), "dapi1") {
		t.Errorf("%s: the token is printed", what)
	}
}

const (
	actionsURL   = "https://pipelines.actions.example/x?api-version=2.0"
	actionsToken = "eyJ.r.q"
)

var actions = []string{"ACTIONS_ID_TOKEN_REQUEST_URL", actionsURL, "ACTIONS_ID_TOKEN_REQUEST_TOKEN", actionsToken}

// GitHub's two variables, which every such job has, do not select a type beside it.
func TestAuth_OneCredential(t *testing.T) {
	for i, w := range named {
		for _, github := range []bool{false, true} {
			g := withCandidates(i)
			if github {
				g.env[actions[0]], g.env[actions[2]] = actions[1], actions[3]
			}
			c := g.must(t)
			checkCandidate(t, w.name, c, i)
			if c.Auth.Source.Name != w.name || len(c.Warnings) != 0 || (c.GitHub != nil) != github || len(c.Notes) != 0 && c.ClientID.Value != "" {
				t.Errorf("%s: got auth from %s, warnings %v, notes %v, GitHub %+v", w.name, c.Auth.Source, c.Warnings, c.Notes, c.GitHub)
			}
			if _, written := c.ProfileKeys()["auth"]; written {
				t.Errorf("%s: a type that follows from a variable is written to a profile", w.name)
			}
			if user := w.word == "pat"; user != (c.ClientID.Value == "") || user != (c.User.Value == "") {
				t.Errorf("%s: got client ID %q, user %q", w.name, c.ClientID.Value, c.User.Value)
			}
		}
	}
	c := given{env: env(actions...)}.must(t)
	if c.Auth.Given() || c.Secret.Kind != SecretInKeychain || len(c.Notes) != 0 || c.GitHub.URL != actionsURL || c.GitHub.Token.Reveal() != actionsToken {
		t.Errorf("without a credential: got auth %+v by %+v, GitHub %+v", c.Auth, c.Secret, c.GitHub)
	}
	c = given{env: map[string]string{"DATABRICKS_HOST": "h.example", "LAKEBASE_ENDPOINT": "shop"}}.must(t)
	if c.Auth.Value != "" || c.ClientID.Value != "" || c.User.Value != "" || c.AuthType().Name != "external-browser" {
		t.Errorf("a user in the keychain: got %+v", c)
	}
}

// Two different types are refused; --auth selects either.
func TestAuth_TwoTypes(t *testing.T) {
	for i, a := range named {
		for j, b := range named {
			if i >= j || a.word == b.word {
				continue
			}
			_, err := withCandidates(i, j).resolve()
			refused(t, err, a.name, a.word, b.name, b.word, "--auth "+a.word+" or --auth "+b.word)
			for _, k := range []int{i, j} {
				g, other := withCandidates(i, j), named[i+j-k]
				g.options["auth"] = named[k].word
				if strings.HasPrefix(other.name, "--") { // an option is never ignored
					_, err := g.resolve()
					refused(t, err, "--auth", other.name, "selects")
					continue
				}
				c := g.must(t)
				checkCandidate(t, a.name+" and "+b.name, c, k)
				if n := notes(c, other.name); n != "not used: --auth says "+named[k].word {
					t.Errorf("%s: got note %q", other.name, n)
				}
			}
		}
	}
	// Within one type the option takes precedence, then the first variable.
	checkCandidate(t, "an option", withCandidates(0, 1).must(t), 0)
	c := withCandidates(3, 4).must(t)
	checkCandidate(t, "a named variable", c, 4)
	if n := notes(c, "DATABRICKS_OIDC_TOKEN"); !strings.Contains(n, "DATABRICKS_OIDC_TOKEN_ENV takes precedence") {
		t.Errorf("got note %q", n)
	}
}

func TestAuth_Explicit(t *testing.T) {
	all := "is not one of " + strings.Join(AuthTypeNames(), ", ")
	for _, kind := range authTypes {
		word := kind.Name
		if word == AuthNative { // see TestNative
			continue
		}
		for _, g := range []given{
			{env: env("DATABRICKS_AUTH_TYPE", word)},
			{env: env(), options: map[string]string{"auth": " " + word}},
			{env: map[string]string{}, options: map[string]string{"profile": "prod"}, profiles: prodProfile + "auth = " + word + "\n"},
		} {
			for i, more := 0, append(actions, "DATABRICKS_TOKEN", "t", "DATABRICKS_OIDC_TOKEN", "j", "DATABRICKS_OIDC_TOKEN_FILEPATH", "/f"); i < len(more); i += 2 {
				g.env[more[i]] = more[i+1]
			}
			c := g.must(t)
			if c.Auth.Value != word || c.Secret.Kind != kind.Kind || c.ProfileKeys()["auth"] != word || word == "github-oidc" && !c.Secret.Text.IsZero() {
				t.Errorf("%s: got %+v by %+v, profile keys %v", word, c.Auth, c.Secret, c.ProfileKeys())
			}
			if id, user := c.ClientID.Value != "", c.User.Value != ""; id != hasClientID(word) || id != user {
				t.Errorf("%s: got client ID %q, user %q", word, c.ClientID.Value, c.User.Value)
			}
		}
	}
	for _, word := range []string{"azure-cli", "github-oidc-azure", "PAT", "  "} {
		_, err := given{env: env("DATABRICKS_AUTH_TYPE", word)}.resolve()
		refused(t, err, "DATABRICKS_AUTH_TYPE", all)
		_, err = given{env: env(), options: map[string]string{"auth": word}}.resolve()
		refused(t, err, "--auth", all)
	}
	// Part of the public interface and of cache keys.
	for _, word := range []string{"oauth-m2m", "external-browser", "env-oidc", "file-oidc", "github-oidc", "pat", "databricks-cli", "native"} {
		if _, ok := LookupAuthType(word); !ok {
			t.Errorf("%s is no longer an authentication type", word)
		}
	}
}

// A native password needs a database host and a role, and no workspace. Its account is
// that of host, port and role.
func TestNative(t *testing.T) {
	const file = "LAKEBASE_NATIVE_PASSWORD_FILE"
	native := func(more ...string) map[string]string {
		e := env(append([]string{"DATABRICKS_AUTH_TYPE", "native", "PGHOST", "ep-1.example", "PGUSER", "app", file, "/f"}, more...)...)
		return e
	}
	for _, c := range []struct {
		g                   given
		account, path, same string
	}{
		{given{env: map[string]string{"DATABRICKS_AUTH_TYPE": "native", "PGHOST": "ep-1.example", "PGUSER": "app"}}, "native:ep-1.example:5432:app", "", " --auth native"},
		{given{env: native("PGPORT", "5433")}, "native:ep-1.example:5433:app", "/f", " --auth native"},
		{given{env: native(), options: map[string]string{"pghost": "ep-2.example", "pooled": "false"}}, "native:ep-2.example:5432:app", "", " --auth native --pghost ep-2.example"},
		{given{env: native(), options: map[string]string{"pghost": "fd00::1", "user": "7:a b", "native-password-file": "/g"}}, "native:[fd00::1]:5432:7:a b", "/g",
			" --auth native --pghost fd00::1 --user '7:a b'"},
		{given{env: native(), options: map[string]string{"profile": "bi"}, profiles: "[bi]\nauth = native\npghost = ep-3.example\nuser = bi\nclient_id = x\n"},
			"native:ep-3.example:5432:bi", "", " --profile bi"},
	} {
		conf := c.g.must(t)
		if !conf.Native() || conf.SecretAccount() != c.account || conf.Secret.Path != filepath.FromSlash(c.path) ||
			conf.SameTarget() != c.same || !conf.PGHostTrusted() {
			t.Errorf("got %s, file %q, options %q; want %+v", conf.SecretAccount(), conf.Secret.Path, conf.SameTarget(), c)
		}
		if a, ok := ParseAccount(c.account); !ok || a.Role == "" || a.String() != c.account || a.Host != conf.PGHostPort() {
			t.Errorf("%s: got %+v, %v", c.account, a, ok)
		}
	}
	if c := (given{env: env(file, "/f")}).must(t); c.Auth.Given() || !strings.Contains(notes(c, file), "--auth native would choose it") {
		t.Errorf("a stray file: got auth %+v, notes %v", c.Auth, c.Notes)
	}
	for option, value := range map[string]string{"endpoint": "shop", "instance": "i", "ttl": "5m", "credential": "workspace", "sslmode": "require", "client-id": "x", "auth": "pat"} {
		e := native("DATABRICKS_TOKEN", "t")
		g := given{env: e, options: map[string]string{option: value, "native-password-file": "/f"}}
		if _, err := g.resolve(); err == nil {
			t.Errorf("--%s with a native password: no error", option)
		}
	}
	for _, name := range []string{"PGHOST", "PGUSER"} {
		_, err := given{env: native(name, "")}.resolve()
		refused(t, err, map[string]string{"PGHOST": "--pghost", "PGUSER": "--user"}[name], "not given")
	}
}

func TestAuth_ForeignVariables(t *testing.T) {
	variables := []string{"DATABRICKS_TOKEN", "t", "DATABRICKS_AUTH_TYPE", "pat", "DATABRICKS_OIDC_TOKEN", "j", "DATABRICKS_OIDC_TOKEN_ENV", "X", "DATABRICKS_OIDC_TOKEN_FILEPATH", "/f",
		"DATABRICKS_TOKEN_AUDIENCE", "a", "DATABRICKS_CLIENT_SECRET", "s"}
	for option, owner := range map[string]string{"host": "it belongs to DATABRICKS_HOST", "client-id": "it belongs to DATABRICKS_CLIENT_ID"} {
		c := given{env: env(variables...), options: map[string]string{option: "other"}}.must(t)
		if c.Auth.Value != "" || c.AuthOption("audience").Value != "" || c.Secret.Kind != SecretInKeychain {
			t.Errorf("--%s: got %+v", option, c)
		}
		for i := 0; i < len(variables); i += 2 {
			why := owner
			if variables[i] == "DATABRICKS_TOKEN" && option == "client-id" {
				why = "--client-id names a service principal" // a token is for a host, and for another identity
			}
			if n := notes(c, variables[i]); !strings.HasPrefix(n, "not used: "+why) {
				t.Errorf("--%s: %s: got note %q", option, variables[i], n)
			}
		}
	}
	c := given{env: env(append(variables, "X", "j2", "DATABRICKS_TOKEN_AUDIENCE", " a\n")...)}.must(t)
	if c.Auth.Value != "pat" || c.AuthOption("audience").Value != "a" || c.Secret.Text.Reveal() != "t" {
		t.Errorf("the environment's own target: got %+v", c)
	}
}

// A token in the environment does not replace a named service principal.
func TestAuth_StrayToken(t *testing.T) {
	token := map[string]string{"DATABRICKS_TOKEN": "t"}
	inProfile := func(text string, nameValue ...string) given {
		g := with(token, append(nameValue, "profile", "prod")...)
		g.profiles = text
		return g
	}
	const note = " names a service principal; --auth pat would choose it"
	for _, c := range []struct {
		given
		want, note string
	}{
		{with(env("DATABRICKS_TOKEN", "t"), "client-id", "other"), ours + " other  keychain:", "not used: --client-id" + note},
		{inProfile(prodProfile), "prod.cloud.databricks.com prod-client  keychain:", `not used: key client_id of profile "prod" (` + profilesPath + `:3)` + note},
		{inProfile(prodProfile, "auth", "pat"), "prod.cloud.databricks.com  pat variable:t", ""},
		{inProfile("[prod]\nhost = h.example\nendpoint = shop\n"), "h.example  pat variable:t", ""},
	} {
		conf := c.must(t)
		if got := summary(conf); got != c.want || notes(conf, "DATABRICKS_TOKEN") != c.note || conf.User.Value != conf.ClientID.Value {
			t.Errorf("got %s, notes %v; want %s, %q", got, conf.Notes, c.want, c.note)
		}
	}
}

func TestAuth_UserHasNoClientID(t *testing.T) {
	for _, word := range []string{"external-browser", "pat", "databricks-cli"} {
		g := given{env: env("DATABRICKS_TOKEN", "t", "PGUSER", "env-client"), options: map[string]string{"auth": word}}
		c := g.must(t)
		if c.ClientID.Value != "" || c.User.Value != "" || notes(c, "DATABRICKS_CLIENT_ID") != "not used: "+word+" has no client ID" || !strings.Contains(notes(c, "PGUSER"), "it is the client ID") {
			t.Errorf("%s: got %q %q, notes %v", word, c.ClientID.Value, c.User.Value, c.Notes)
		}
		if v, removed := c.ProfileKeys()["client_id"]; !removed || v != "" {
			t.Errorf("%s: a profile would keep its client ID", word)
		}
		g.env["PGUSER"] = "analysts"
		if c := g.must(t); c.User.Value != "analysts" || c.ProfileKeys()["user"] != "analysts" {
			t.Errorf("%s: got user %q", word, c.User.Value)
		}
		g.options["client-id"] = "x"
		_, err := g.resolve()
		refused(t, err, "--client-id", "names a service principal, and --auth chooses "+word, "--auth oauth-m2m")
	}
	// A user's profile becomes a service principal's.
	c := given{options: map[string]string{"profile": "me", "client-id": "sp", "auth": "oauth-m2m"},
		profiles: "[me]\nhost = h.example\nauth = external-browser\nuser = ada@example.com\nendpoint = shop\n"}.must(t)
	keys := c.ProfileKeys()
	if v, removed := keys["user"]; c.User.Value != "sp" || !removed || v != "" || keys["auth"] != "oauth-m2m" || keys["client_id"] != "sp" {
		t.Errorf("got user %q and profile keys %v", c.User.Value, keys)
	}
	// A login returns the user's name.
	c = given{options: map[string]string{"host": "h.example", "auth": "external-browser"}, change: func(in *Input) { in.NoEndpoint = true }}.must(t)
	c.User.Value = "ada@example.com"
	if keys := c.ProfileKeys(); keys["user"] != "ada@example.com" || keys["auth"] != "external-browser" {
		t.Errorf("got profile keys %v", keys)
	}
}

// A user who is just the client ID is not written to a profile, whose client ID may change.
func TestUser_IsClientID(t *testing.T) {
	for _, g := range []given{
		with(env("PGUSER", "env-client")),
		with(env("PGUSER", "env-client"), "client-id", "env-client"), // the block of README.md
		{options: map[string]string{"profile": "prod"}, profiles: prodProfile + "user = prod-client\n"},
	} {
		c := g.must(t)
		if c.User.Value != c.ClientID.Value || c.User.Given() || c.ProfileKeys()["user"] != "" || notes(c, "PGUSER") != "" {
			t.Errorf("got user %+v, profile keys %v", c.User, c.ProfileKeys())
		}
	}
	for name, g := range map[string]given{"analysts": with(env("PGUSER", "analysts")), "env-client": with(env(), "user", "env-client")} {
		if c := g.must(t); c.ProfileKeys()["user"] != name {
			t.Errorf("%s: got user %+v", name, c.User)
		}
	}
}

func TestGitHub_Unusable(t *testing.T) {
	for _, c := range []struct{ address, token string }{{"", actionsToken}, {"http://gh.example/", actionsToken}, {actionsURL, ""}, {actionsURL, "hunter2\x01"}} {
		g := with(env("ACTIONS_ID_TOKEN_REQUEST_URL", c.address, "ACTIONS_ID_TOKEN_REQUEST_TOKEN", c.token))
		if conf := g.must(t); conf.GitHub != nil {
			t.Errorf("%+v: got %+v", c, conf.GitHub)
		}
		g.options["auth"] = "github-oidc"
		_, err := g.resolve()
		refused(t, err, "--auth", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "id-token: write")
	}
}

// A workload's token is sent to Databricks domains, to this machine, or on request.
func TestWorkloadHost(t *testing.T) {
	for host, want := range map[string]bool{
		"x.cloud.databricks.com":              true,
		"x.staging.cloud.databricks.com":      true,
		"x.dev.databricks.com":                true,
		"x.cloud.databricks.us":               true,
		"1.2.gcp.databricks.com":              true,
		"adb-1.2.azuredatabricks.net":         true,
		"adb-1.2.databricks.azure.us":         true,
		"adb-1.2.databricks.azure.cn":         true,
		"localhost":                           true,
		"[::1]:1":                             true,
		"h.example":                           false,
		"10.0.0.1":                            false,
		"cloud.databricks.com":                false,
		"xcloud.databricks.com":               false,
		"x.databricks.com":                    false,
		"x.cloud.databricks.com.evil.example": false,
	} {
		if c := with(env("DATABRICKS_HOST", host)).must(t); c.WorkloadHost() != want {
			t.Errorf("%s: got %t", host, !want)
		}
		if c := with(env(), "host", host).must(t); !c.WorkloadHost() {
			t.Errorf("--host %s: got false", host)
		}
	}
	if (&Config{}).WorkloadHost() {
		t.Error("no host: got true")
	}
}
