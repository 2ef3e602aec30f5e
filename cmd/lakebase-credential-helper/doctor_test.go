package main

import (
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

func loginAs(user, database, auth string) config.Config {
	c := config.Config{}
	c.User.Value, c.Database.Value, c.Auth.Value, c.Credential.Value = user, database, auth, config.CredentialDatabase
	return c
}

func TestGrantSQL(t *testing.T) {
	const id = "5f2b1c3d-0000-4000-8000-0123456789ab"
	for _, c := range []struct {
		kind pglogin.Kind
		conf config.Config
		want string
	}{
		{pglogin.RoleMissing, loginAs(id, "db", credential.AuthM2M), `CREATE EXTENSION IF NOT EXISTS databricks_auth; SELECT databricks_create_role('` + id + `', 'SERVICE_PRINCIPAL'); GRANT CONNECT ON DATABASE "db" TO "` + id + `";`},
		{pglogin.Refused, loginAs("ada@example.com", "db", credential.AuthBrowser), `CREATE EXTENSION IF NOT EXISTS databricks_auth; SELECT databricks_create_role('ada@example.com', 'USER'); GRANT CONNECT ON DATABASE "db" TO "ada@example.com";`},
		{pglogin.RoleMissing, loginAs(id, "db", credential.AuthPAT), `CREATE EXTENSION IF NOT EXISTS databricks_auth; SELECT databricks_create_role('` + id + `', 'SERVICE_PRINCIPAL'); GRANT CONNECT ON DATABASE "db" TO "` + id + `";`},
		{pglogin.ConnectDenied, loginAs(`a"b`, `d"; DROP TABLE t`, credential.AuthM2M), `GRANT CONNECT ON DATABASE "d""; DROP TABLE t" TO "a""b";`},
		{pglogin.DatabaseMissing, loginAs(id, "db", credential.AuthM2M), ""},
		{pglogin.TokenInvalid, loginAs(id, "db", credential.AuthM2M), ""},
	} {
		if got := grantSQL(c.kind, c.conf); got != c.want {
			t.Errorf("%s: %s\nwant %s", c.kind, got, c.want)
		}
	}
	c := loginAs(id, "db", credential.AuthM2M)
	c.Credential.Value = config.CredentialWorkspace
	if got := grantSQL(pglogin.Refused, c); got != "" {
		t.Errorf("a role would not help: %s", got)
	}
}

func TestRegions(t *testing.T) {
	for host, want := range map[string]string{
		"ep-x.database.us-east-1.cloud.databricks.com":      "us-east-1",
		"ep-x.database.westeurope.azuredatabricks.net":      "westeurope",
		"instance-1.database.cloud.databricks.com":          "",
		"instance-1.database.azuredatabricks.net":           "",
		"ep-x.database.us-east-1.cloud.databricks.com.evil": "",
		"localhost": "",
	} {
		if got := regionOf(host); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}

func TestProxyWithoutItsPassword(t *testing.T) {
	for in, want := range map[string]string{
		"http://proxy:3128":            "http://proxy:3128",
		"proxy:3128":                   "proxy:3128",
		"http://me:pass@proxy:3128/":   "http://proxy:3128",
		"me:pass@proxy:3128":           "proxy:3128",
		"http://me:p%zz@proxy":         "(not a URL)",
		"localhost,.example.com":       "localhost,.example.com",
		"socks5://me:p@ss@proxy:1080/": "socks5://proxy:1080",
	} {
		if got := withoutUser(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}

// One line a step, a second one for a cure; what steers a terminal is shown.
func TestDoctorLines(t *testing.T) {
	got := lines([]step{
		{Name: "a", Status: broker.StatusOK, Text: "fine\x1b[31m\nfailed"},
		{Name: "longer", Status: broker.StatusFailed, Text: "bad", Cure: "do\u202ethis"},
		{Name: "b", Status: broker.StatusNotTried, Needs: "longer"},
	})
	want := "ok         a       fine\\x1B[31m\\x0Afailed\nfailed     longer  bad\n           cure    do\\xE2\\x80\\xAEthis\nnot tried  b       needs: longer\n"
	if got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// Whatever brought a secret into a step, it does not come out.
func TestDoctorHidesSecrets(t *testing.T) {
	x := &examination{call: &call{}}
	x.conf.Secret.Text = credential.NewSecret("dose0123456789abcdef")
	x.conf.GitHub = &config.GitHubSource{Token: credential.NewSecret("ghs-token-of-the-job")}
	s := step{Text: "the server said dose0123456789abcdef", Cure: "try ghs-token-of-the-job", Facts: map[string]string{"a": "dose0123456789abcdef", "b": "harmless"}}
	x.clean(&s)
	all := s.Text + s.Cure + s.Facts["a"]
	if strings.Contains(all, "0123456789") || strings.Contains(all, "ghs-token") || s.Facts["b"] != "harmless" || !strings.HasPrefix(s.Text, "the server said ") {
		t.Errorf("%+v", s)
	}
}
