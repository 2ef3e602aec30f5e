package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/rotate"
)

// checkForm checks the form of a message and its hint.
func checkForm(t *testing.T, name, message, hint string) {
	t.Helper()
	for what, text := range map[string]string{"message": message, "hint": hint} {
		if text == "" || strings.ContainsAny(text, "\n\r") || strings.HasSuffix(text, ".") || strings.TrimSpace(text) != text ||
			strings.Contains(text, "%!") || strings.Contains(text, "  ") {
			t.Errorf("%s: the %s is %q", name, what, text)
		}
	}
}

// testConf returns a configuration of options, as change alters it.
func testConf(change func(*config.Config)) config.Config {
	c, err := config.Resolve(config.Input{Options: map[string][]string{"host": {"w.example"}, "client-id": {"client-1"}, "endpoint": {"projects/p/branches/b/endpoints/e"}, "database": {"db"}}})
	if err != nil {
		panic(err)
	}
	if change != nil {
		change(&c)
	}
	return c
}

func ofProd(c *config.Config) {
	c.Profile.Value, c.Workspace.Source.Origin, c.ClientID.Source.Origin = "prod", config.FromProfile, config.FromProfile
}

func TestDescribe(t *testing.T) {
	pghost := config.Source{Origin: config.FromEnvironment, Name: "PGHOST"}
	endpoint := config.Source{Origin: config.FromOption, Name: "--endpoint"}
	missing := &auth.NoSecretError{Host: "w.example", ClientID: "c", Err: &keychain.Error{Err: keychain.ErrNotFound},
		Notes: []config.Note{{Name: "DATABRICKS_CLIENT_SECRET", Why: "not used: x"}, {Name: "PGHOST", Why: "not used: y"}}}
	refused := &exchange.Error{Call: exchange.CallRefresh, Host: "w.example", Kind: exchange.KindRefreshRefused, Status: 401, Code: "invalid_request", Message: "Refresh token is invalid"}
	unavailable := &exchange.Error{Host: "h", Kind: exchange.KindUnavailable, Status: 503}
	const loginByName = "store it with: lakebase-credential-helper login --host w.example --client-id c"
	byEndpoint := func(c *config.Config) { c.Credential.Value = config.CredentialWorkspace }
	for _, c := range []struct {
		err           error
		change        func(*config.Config)
		message, hint string
	}{
		{errors.New("anything"), nil, "anything", ""},
		{&lakebase.HostError{Target: "E"}, nil, "E names no host", "--pghost"},
		{&lakebase.HostError{Target: "instances/i", ReadOnly: true}, nil, "instances/i names no read-only host", "enable readable secondaries"},
		{&lakebase.HostError{Configured: config.Value[string]{Value: "a", Source: pghost}, Target: "E", Named: "b"}, nil, "PGHOST: a is not the host of E, which is b", "correct PGHOST"},
		{&lakebase.TargetError{Name: "shop", From: endpoint, Problem: "may mean any of 2 endpoints", Choices: []string{"a", "b"}}, nil, `--endpoint: "shop" may mean any of 2 endpoints`, "use one of a, b"},
		{&rotate.TooManyError{Host: "h", ClientID: "c", Secrets: make([]exchange.ClientSecret, 5)}, nil, "no secret created: client c has 5 secrets at h", "delete a secret"},
		{&exchange.Error{Kind: exchange.KindCertificate, Host: "h", Err: &rootcerts.Error{Path: "/x", Err: errors.New("r")}}, nil, "certificates in /x: r", "--cacert"},
		{&exchange.Error{Call: exchange.CallDiscovery, Host: "w.example", Kind: exchange.KindForeignHost}, nil, "names an endpoint or audience on another host", "its discovery document points elsewhere"},
		{&retry.Error{Last: unavailable, Attempts: 4, Elapsed: 1500 * time.Millisecond}, nil, "HTTP 503 (4 attempts in 1.5s)", "--timeout"},

		{missing, nil, "(DATABRICKS_CLIENT_SECRET is not used: x)", loginByName},
		{missing, ofProd, "", "login --profile prod"},
		// Another host or client is not the profile's, and login there would store for the profile's.
		{missing, func(c *config.Config) { ofProd(c); c.Workspace.Source.Origin = config.FromOption }, "", loginByName},
		{missing, func(c *config.Config) { ofProd(c); c.ClientID.Source.Origin = config.FromOption }, "", loginByName},

		{&auth.NoLoginError{Host: "w.example"}, ofProd, "no client ID given, and no user has signed in at w.example", "login --user-login --profile prod"},
		{&auth.NoLoginError{Host: "w.example", User: "ada"}, nil, "ada has not signed in at w.example", "login --user-login --host w.example"},
		{&auth.NoLoginError{Host: "w.example", User: "ada"}, func(c *config.Config) { c.User.Source.Origin, c.Auth.Value = config.FromEnvironment, "" }, "", "; or give --client-id (DATABRICKS_CLIENT_ID) for a service principal"},
		{&auth.NoLoginError{Host: "w.example", Others: []string{"ada", "bob"}}, nil, "several users have signed in at w.example: ada, bob", "choose one with --user"},
		{&auth.NoLoginError{Host: "w.example", User: "ada", Err: &keychain.Error{Err: keychain.ErrLocked}}, nil, "no login of ada at w.example: ", "unlock the keychain"},
		{&auth.NoLoginError{Host: "w.example", Err: &keychain.Error{Err: keychain.ErrAbsent}}, nil, "stored logins for w.example could not be read: ", "login --user-login --store file"},
		{&auth.LoginExpiredError{Host: "w.example", User: "ada", Err: refused}, ofProd, "the login of ada at w.example has expired: HTTP 401 invalid_request: Refresh token is invalid", "sign in again with: lakebase-credential-helper login --user-login --profile prod"},
		{&auth.FederationError{Claims: auth.Claims{Issuer: "i", Subject: "s\x07", Audience: "a"}, Err: refused}, nil, `(iss "i", sub "s\a", aud "a"): HTTP 401`, "federation policy"},

		// The troubleshooting table of the Databricks guide "Connect an external app to Lakebase by API".
		{&pglogin.Error{Kind: pglogin.RoleMissing, Message: "Role does not exist"}, nil, "", "CREATE EXTENSION IF NOT EXISTS databricks_auth; SELECT databricks_create_role('client-1', 'SERVICE_PRINCIPAL')"},
		{&pglogin.Error{Kind: pglogin.Refused, Message: "authentication failed", Code: "28000"}, nil, "", "databricks_create_role('client-1'"},
		{&pglogin.Error{Kind: pglogin.WakeTimeout, Last: &pglogin.Error{Kind: pglogin.Unreachable, Message: "connection refused"}}, nil, "", "--wait-timeout"},
		{&pglogin.Error{Kind: pglogin.WakeTimeout, Last: &pglogin.Error{Kind: pglogin.NoAnswer}}, nil, "", "--wait-timeout"},
		{&pglogin.Error{Kind: pglogin.TokenInvalid, Message: "JWT token has expired"}, nil, "", "clock"},
		// An endpoint does not accept a workspace token as a password; an instance does.
		{&pglogin.Error{Kind: pglogin.Refused, Code: "28P01"}, byEndpoint, "", "remove --credential workspace"},
		{&pglogin.Error{Kind: pglogin.Refused, Code: "28P01"}, func(c *config.Config) { byEndpoint(c); c.Endpoint.Value, c.Instance.Value = "", "shop" }, "", "databricks_create_role"},
	} {
		message, hint := Describe(fmt.Errorf("%w", c.err), testConf(c.change))
		if !strings.Contains(message, c.message) || !strings.Contains(hint, c.hint) || c.hint == "" && hint != "" || strings.Contains(message, "PGHOST is") {
			t.Errorf("%T: got %q, hint %q, want %q, hint %q", c.err, message, hint, c.message, c.hint)
		}
	}
}

func TestDescribe_Keychain(t *testing.T) {
	for _, kind := range []error{keychain.ErrNotFound, keychain.ErrLocked, keychain.ErrDismissed, keychain.ErrAbsent, keychain.ErrTimeout, keychain.ErrTooBig, keychain.ErrFailed} {
		err := &keychain.Error{Err: kind, Detail: "words"}
		message, hint := Describe(err, testConf(nil))
		checkForm(t, kind.Error(), message, hint)
		message, hint = Describe(&auth.NoSecretError{Host: "w.example", ClientID: "client-1", Err: err}, testConf(nil))
		checkForm(t, "no secret: "+kind.Error(), message, hint)
		if !strings.Contains(message, "w.example") || !strings.Contains(message, "client-1") || !strings.Contains(message, "words") {
			t.Errorf("%v: got %q, want host, client and details", kind, message)
		}
	}
}

// A hint's command means the target of the run that failed.
func TestDescribe_SameTarget(t *testing.T) {
	profile, variable := config.Source{Origin: config.FromProfile}, config.Source{Origin: config.FromEnvironment}
	option := config.Source{Origin: config.FromOption}
	host, err := config.ParseWorkspace("a.cloud.databricks.com", option)
	if err != nil {
		t.Fatal(err)
	}
	make := func(profileName string, hostFrom config.Source, id string, idFrom config.Source) (c config.Config) {
		c.Profile.Value, c.Workspace.Value, c.Workspace.Source, c.ClientID.Value, c.ClientID.Source = profileName, host, hostFrom, id, idFrom
		return c
	}
	dev := make("", variable, "", variable)
	dev.DatabricksProfile = config.Value[string]{Value: "DEV", Source: option}
	for want, conf := range map[string]config.Config{
		"":                {},
		" --profile prod": make("prod", profile, "id", profile),
		" --host a.cloud.databricks.com --client-id other": make("prod", profile, "other", option),
		" --host a.cloud.databricks.com --client-id id":    make("", option, "id", option),
		" --client-id id":           make("", variable, "id", option),
		" --databricks-profile DEV": dev,
	} {
		for _, c := range []struct {
			err  *exchange.Error
			hint string
		}{
			{&exchange.Error{Kind: exchange.KindInvalidClient}, "; store a new one with: lakebase-credential-helper login"},
			{&exchange.Error{Kind: exchange.KindEndpointNotFound}, "; list the endpoints with: lakebase-credential-helper endpoints"},
			{&exchange.Error{Kind: exchange.KindPermissionDenied, Call: exchange.CallCreateSecret}, ", and store it with: lakebase-credential-helper login"},
		} {
			if _, hint := Describe(c.err, conf); !strings.HasSuffix(hint, c.hint+want) {
				t.Errorf("got %s, want %s%s at the end", hint, c.hint, want)
			}
		}
	}
}

func TestDatabaseHint_SQL(t *testing.T) {
	const id = "5f2b1c3d-0000-4000-8000-0123456789ab"
	const role = `as the project's owner, in db: CREATE EXTENSION IF NOT EXISTS databricks_auth; SELECT databricks_create_role('`
	for _, c := range []struct {
		kind                 pglogin.Kind
		user, database, auth string
		want                 string
	}{
		{pglogin.RoleMissing, id, "db", auth.AuthM2M, role + id + `', 'SERVICE_PRINCIPAL'); GRANT CONNECT ON DATABASE "db" TO "` + id + `";`},
		{pglogin.RoleMissing, id, "db", auth.AuthPAT, role + id + `', 'SERVICE_PRINCIPAL'); GRANT CONNECT ON DATABASE "db" TO "` + id + `";`},
		{pglogin.Refused, "ada@example.com", "db", auth.AuthBrowser, role + `ada@example.com', 'USER'); GRANT CONNECT ON DATABASE "db" TO "ada@example.com";`},
		{pglogin.ConnectDenied, `a"b`, `d"; DROP TABLE t`, auth.AuthM2M, `as the project's owner, in d"; DROP TABLE t: GRANT CONNECT ON DATABASE "d""; DROP TABLE t" TO "a""b";`},
	} {
		var conf config.Config
		conf.User.Value, conf.Database.Value, conf.Auth.Value, conf.Credential.Value = c.user, c.database, c.auth, config.CredentialDatabase
		if got := databaseHint(&pglogin.Error{Kind: c.kind}, conf); got != c.want {
			t.Errorf("%s: got %s\nwant %s", c.kind, got, c.want)
		}
	}
}

// endOf returns where a quoted text ends, as Postgres' scanner does (PostgreSQL
// manual, "Lexical Structure"); negative if it does not end.
func endOf(sql string) int {
	escapes := strings.HasPrefix(sql, "E")
	start := 0
	if escapes {
		start = 1
	}
	for i := start + 1; i < len(sql); i++ {
		switch {
		case escapes && sql[i] == '\\', sql[i] == sql[start] && i+1 < len(sql) && sql[i+1] == sql[start]:
			i++
		case sql[i] == sql[start]:
			return i + 1
		}
	}
	return -1
}

// A name never ends its quotes, whatever standard_conforming_strings says.
func FuzzQuotes(f *testing.F) {
	for _, s := range []string{"", "a", `'`, `\`, `\'`, `''`, `"; --`, `x'); DROP TABLE t; --`, "E'", `\\'`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, quoted := range []string{literal(s), identifier(s)} {
			if got := endOf(quoted + " rest"); got != len(quoted) {
				t.Errorf("%q becomes %s, which ends at %d of %d", s, quoted, got, len(quoted))
			}
		}
		if lit := literal(s); strings.Contains(s, `\`) != strings.HasPrefix(lit, "E") {
			t.Errorf("%q becomes %s", s, lit)
		}
	})
}
