package config

import (
	"fmt"
	"strings"
	"testing"
)

// What is no token is refused by its variable's name, and not shown.
func TestToken_Invalid(t *testing.T) {
	for _, name := range []string{"DATABRICKS_TOKEN", "DATABRICKS_OIDC_TOKEN"} {
		for _, v := range []string{" \n", "hunter2\x01", "hunter2\nx", "hunter2 x", "hunter2\u202e", "\x7fhunter2"} {
			_, err := given{env: env(name, v)}.resolve()
			refused(t, err, name, "is not a token")
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the value is shown: %v", err)
			}
		}
		c := given{env: env(name, "\teyJhbGciOi.J9-_~+/=.x \r\n")}.must(t)
		if c.Secret.Text.Reveal() != "eyJhbGciOi.J9-_~+/=.x" {
			t.Errorf("%s is taken as another token", name)
		}
		if c := (given{env: env(name, "")}).must(t); c.Auth.Value != "" {
			t.Errorf("an empty %s counts: %+v", name, c.Auth)
		}
	}
	_, err := given{env: env("DATABRICKS_OIDC_TOKEN_FILEPATH", "a\x00b")}.resolve()
	refused(t, err, "DATABRICKS_OIDC_TOKEN_FILEPATH", "NUL")
}

func TestToken_NamedVariable(t *testing.T) {
	c := given{env: env("DATABRICKS_OIDC_TOKEN_ENV", " CI_JWT ", "CI_JWT", "eyJ.x.y")}.must(t)
	if c.Auth.Value != "env-oidc" || c.Secret.Text.Reveal() != "eyJ.x.y" || c.Secret.Source.Name != "DATABRICKS_OIDC_TOKEN_ENV" {
		t.Errorf("%+v", c.Secret)
	}
	for _, unset := range []map[string]string{env("DATABRICKS_OIDC_TOKEN_ENV", "CI_JWT"), env("DATABRICKS_OIDC_TOKEN_ENV", "CI_JWT", "CI_JWT", ""),
		env("DATABRICKS_OIDC_TOKEN_ENV", "CI_JWT", "DATABRICKS_OIDC_TOKEN", "another")} {
		_, err := given{env: unset}.resolve()
		refused(t, err, "DATABRICKS_OIDC_TOKEN_ENV", "names CI_JWT, which is not set", "set CI_JWT")
	}
	_, err := given{env: env("DATABRICKS_OIDC_TOKEN_ENV", "CI_JWT", "CI_JWT", "hunter2\x01")}.resolve()
	refused(t, err, "CI_JWT", "is not a token")
	// Who puts the token itself there is told so, and it is not shown.
	for _, v := range []string{"eyJhunter2.x.y", "9x", "a-b", "a=b", strings.Repeat("A", 65), "\x01", " "} {
		_, err := given{env: env("DATABRICKS_OIDC_TOKEN_ENV", v)}.resolve()
		refused(t, err, "DATABRICKS_OIDC_TOKEN_ENV", "does not hold the name of a variable", "DATABRICKS_OIDC_TOKEN")
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the value is shown: %v", err)
		}
	}
}

const (
	actionsURL   = "https://pipelines.actions.example/x?api-version=2.0"
	actionsToken = "eyJ.r.q"
)

// The two variables that GitHub sets in every such job are no way named: the job
// may be about another cloud.
func TestGitHub_NoConflict(t *testing.T) {
	both := []string{"ACTIONS_ID_TOKEN_REQUEST_URL", actionsURL, "ACTIONS_ID_TOKEN_REQUEST_TOKEN", actionsToken}
	for i, w := range named {
		g := withCandidates(i)
		g.env[both[0]], g.env[both[2]] = both[1], both[3]
		c := g.must(t)
		checkCandidate(t, w.name, c, i)
		if c.GitHub == nil || c.GitHub.URL != actionsURL || c.GitHub.Token.Reveal() != actionsToken || len(notes(c, both[0])+notes(c, both[2])) != 0 {
			t.Errorf("%s: %+v, notes %v", w.name, c.GitHub, c.Notes)
		}
	}
	c := given{env: env(both...)}.must(t)
	if c.Auth.Value != "" || c.Secret.Kind != SecretInKeychain || c.GitHub == nil {
		t.Errorf("nothing else is there: %+v", c)
	}
	if strings.Contains(fmt.Sprintf("%+v %+v", c, *c.GitHub), actionsToken) {
		t.Error("the token is printed")
	}
	c = given{env: env(append(both, "DATABRICKS_AUTH_TYPE", "github-oidc")...)}.must(t)
	if c.Secret.Kind != SecretFromGitHub || c.GitHub == nil || !c.Secret.Text.IsZero() {
		t.Errorf("chosen: %+v", c.Secret)
	}
}

func TestGitHub_Unusable(t *testing.T) {
	for _, tc := range []struct{ address, token, name, why string }{
		{actionsURL, "", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "is not set"},
		{"", actionsToken, "ACTIONS_ID_TOKEN_REQUEST_URL", "is not set"},
		{"http://gh.example/", actionsToken, "ACTIONS_ID_TOKEN_REQUEST_URL", "is not an https address"},
		{"https://u:p@gh.example/", actionsToken, "ACTIONS_ID_TOKEN_REQUEST_URL", "is not an https address"},
		{"https://gh.example/#x", actionsToken, "ACTIONS_ID_TOKEN_REQUEST_URL", "is not an https address"},
		{"https:gh.example", actionsToken, "ACTIONS_ID_TOKEN_REQUEST_URL", "is not an https address"},
		{"https://gh.example/\x01", actionsToken, "ACTIONS_ID_TOKEN_REQUEST_URL", "is not an https address"},
		{" ", actionsToken, "ACTIONS_ID_TOKEN_REQUEST_URL", "is not an https address"},
		{actionsURL, "hunter2\x01", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "is not a token"},
	} {
		g := given{env: env("ACTIONS_ID_TOKEN_REQUEST_URL", tc.address, "ACTIONS_ID_TOKEN_REQUEST_TOKEN", tc.token), options: map[string]string{}}
		c := g.must(t)
		if n := notes(c, tc.name); c.GitHub != nil || (n == "not used: it "+tc.why) != (tc.why != "is not set") {
			t.Errorf("%+v: %+v, noted as %q", tc, c.GitHub, n)
		}
		g.options["auth"] = "github-oidc"
		_, err := g.resolve()
		refused(t, err, "--auth", tc.name+" "+tc.why, "id-token: write")
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the value is shown: %v", err)
		}
	}
}

func TestWorkloadHost(t *testing.T) {
	ours := []string{"x.cloud.databricks.com", "adb-1.2.azuredatabricks.net", "1.2.gcp.databricks.com", "x.cloud.databricks.us", "adb-1.2.databricks.azure.us", "adb-1.2.databricks.azure.cn",
		"x.dev.databricks.com", "x.staging.cloud.databricks.com", "localhost", "127.0.0.1:8443", "[::1]:1"}
	for _, word := range []string{"env-oidc", "file-oidc", "github-oidc"} {
		at := func(host string) given {
			return given{env: env("DATABRICKS_HOST", host, "DATABRICKS_AUTH_TYPE", word, "DATABRICKS_OIDC_TOKEN", "j", "DATABRICKS_OIDC_TOKEN_FILEPATH", "/f",
				"ACTIONS_ID_TOKEN_REQUEST_URL", actionsURL, "ACTIONS_ID_TOKEN_REQUEST_TOKEN", actionsToken)}
		}
		for _, host := range ours {
			if c := at(host).must(t); !c.WorkloadHost() {
				t.Errorf("%s: it is not sent", host)
			}
		}
		for _, host := range []string{"h.example", "cloud.databricks.com", "xcloud.databricks.com", "x.cloud.databricks.com.evil.example", "x.databricks.com", "x.databricksapps.com", "10.0.0.1", "x.azuredatabricks.net.example"} {
			_, err := at(host).resolve()
			refused(t, err, "DATABRICKS_HOST", host+" is not in a Databricks domain", "pass it with --host "+host)
			g := at(host)
			g.env["DATABRICKS_HOST"], g.options = "", map[string]string{"host": host}
			if c := g.must(t); !c.WorkloadHost() {
				t.Errorf("--host %s: it is not sent", host)
			}
		}
	}
	// Where no workload's token is chosen, that is auth's question.
	c := given{env: env("DATABRICKS_HOST", "h.example", "ACTIONS_ID_TOKEN_REQUEST_URL", actionsURL, "ACTIONS_ID_TOKEN_REQUEST_TOKEN", actionsToken)}.must(t)
	if c.WorkloadHost() || (&Config{}).WorkloadHost() {
		t.Error("h.example is a host for tokens of workloads")
	}
}

func TestAudience(t *testing.T) {
	for _, v := range []string{" ", "a\x01b", strings.Repeat("a", 513)} {
		_, err := given{env: env("DATABRICKS_TOKEN_AUDIENCE", v)}.resolve()
		refused(t, err, "DATABRICKS_TOKEN_AUDIENCE", "is not an audience")
	}
	if c := (given{env: env("DATABRICKS_TOKEN_AUDIENCE", " api://x\n")}).must(t); c.Audience.Value != "api://x" || c.ProfileKeys()["audience"] != "api://x" {
		t.Errorf("%q", c.Audience.Value)
	}
}

func FuzzToken(f *testing.F) {
	for _, s := range []string{"t", " t\n", "a b", "a\x00", "\u202e", "eyJ.x.y", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := token(s, option)
		text := v.Reveal()
		if (err == nil) == (text == "") || !strings.Contains(s, text) || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Fatalf("%q is taken as %q, %v", s, text, err)
		}
	})
}
