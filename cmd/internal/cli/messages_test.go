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
	"github.com/lakebase-exec/lakebase-exec/internal/process"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/rotate"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// checkForm checks the form of a message and its hint.
func checkForm(t *testing.T, name, message, hint string) {
	t.Helper()
	for what, text := range map[string]string{"message": message, "hint": hint} {
		if text == "" || strings.ContainsAny(text, "\n\r") || strings.HasSuffix(text, ".") || strings.HasSuffix(text, " ") || strings.HasPrefix(text, " ") ||
			strings.Contains(text, "%!") || strings.Contains(text, "  ") {
			t.Errorf("%s: the %s is %q", name, what, text)
		}
	}
}

func conf() *config.Config {
	c, err := config.Resolve(config.Input{Options: map[string][]string{"host": {"w.example"}, "client-id": {"client-1"}, "endpoint": {"projects/p/branches/b/endpoints/e"}, "database": {"db"}}})
	if err != nil {
		panic(err)
	}
	return &c
}

func TestDescribe_Keychain(t *testing.T) {
	for _, c := range []*config.Config{nil, conf()} {
		for _, kind := range []error{keychain.ErrNotFound, keychain.ErrLocked, keychain.ErrDismissed, keychain.ErrAbsent, keychain.ErrTimeout, keychain.ErrTooBig, keychain.ErrFailed} {
			err := &keychain.Error{Op: "get", Account: "a", Err: kind, Detail: "words"}
			message, hint := Describe(err, c)
			checkForm(t, kind.Error(), message, hint)
			message, hint = Describe(&auth.NoSecretError{Host: "w.example", ClientID: "client-1", Err: err}, c)
			checkForm(t, "no secret: "+kind.Error(), message, hint)
			if !strings.Contains(message, "w.example") || !strings.Contains(message, "client-1") || !strings.Contains(message, "words") {
				t.Error(message)
			}
		}
	}
}

func TestDescribe(t *testing.T) {
	for _, c := range []struct {
		err                 error
		message, hintsAmong string
	}{
		{&UsageError{Problem: "p", Fix: "f"}, "p", "f"},
		{&config.Error{Name: "PGPORT", Problem: "p", Fix: "f"}, "PGPORT: p", "f"},
		{&securefile.Error{Path: "/x", Reason: "open to others", Advice: "run: chmod 600 /x"}, `"/x": open to others`, "run: chmod 600 /x"},
		{&auth.SecretFileError{From: config.Source{Origin: config.FromOption, Name: "--client-secret-file"}, Err: &securefile.Error{Path: "/x", Reason: "r", Advice: "run: chmod 600 /x"}}, `--client-secret-file: "/x": r`, "run: chmod 600 /x"},
		{&lakebase.HostError{Target: "E"}, "E names no host", "--pghost"},
		{&lakebase.HostError{Target: "instances/i", ReadOnly: true}, "instances/i names no read-only host", "enable readable secondaries"},
		{&lakebase.HostError{Configured: config.Value[string]{Value: "a", Source: config.Source{Origin: config.FromEnvironment, Name: "PGHOST"}}, Target: "E", Named: "b"}, "PGHOST: a is not the host of E, which is b", "correct PGHOST"},
		{&rotate.TooManyError{Host: "h", ClientID: "c", Secrets: make([]exchange.ClientSecret, 5)}, "no secret created: client c has 5 secrets at h", "delete a secret"},
		{&rootcerts.Error{Path: "/x", Err: errors.New("r")}, "certificates in /x: r", "--sslrootcert"},
		{&exchange.Error{Kind: exchange.KindCertificate, Host: "h", Err: &rootcerts.Error{Path: "/x", Err: errors.New("r")}}, "certificates in /x: r", "--cacert"},
		{&process.NotFoundError{Name: "x", InPath: true}, `command "x" not found in PATH`, "check the command's name and PATH"},
		{&retry.Error{Last: &exchange.Error{Host: "h", Kind: exchange.KindUnavailable, Status: 503}, Attempts: 4, Elapsed: 1500 * time.Millisecond}, "HTTP 503 (4 attempts in 1.5s)", "--timeout"},
		{errors.New("anything"), "anything", ""},
	} {
		message, hint := Describe(fmt.Errorf("%w", c.err), conf())
		if !strings.Contains(message, c.message) || !strings.Contains(hint, c.hintsAmong) || c.hintsAmong == "" && hint != "" {
			t.Errorf("%T: %q, hint %q", c.err, message, hint)
		}
	}
	_, hint := Describe(&auth.NoSecretError{Host: "w.example", ClientID: "c", Err: &keychain.Error{Err: keychain.ErrNotFound}}, nil)
	if hint != "store it with: lakebase-credential-helper login --host w.example --client-id c" {
		t.Error(hint)
	}
	c := conf()
	c.Profile.Value, c.Workspace.Source.Origin, c.ClientID.Source.Origin = "prod", config.FromProfile, config.FromProfile
	message, hint := Describe(&auth.NoSecretError{Host: "w.example", ClientID: "c", Err: &keychain.Error{Err: keychain.ErrNotFound},
		Notes: []config.Note{{Name: "DATABRICKS_CLIENT_SECRET", Why: "not used: x"}, {Name: "PGHOST", Why: "not used: y"}}}, c)
	if !strings.HasSuffix(hint, "login --profile prod") || !strings.Contains(message, "(DATABRICKS_CLIENT_SECRET is not used: x)") || strings.Contains(message, "PGHOST") {
		t.Errorf("%q, %q", message, hint)
	}
	// Another host or client is not the profile's, and login there would store for the profile's.
	for _, change := range []func(*config.Config){
		func(c *config.Config) { c.Workspace.Source.Origin = config.FromOption },
		func(c *config.Config) { c.ClientID.Source.Origin = config.FromOption },
	} {
		c := *c
		change(&c)
		_, hint := Describe(&auth.NoSecretError{Host: "w.example", ClientID: "c", Err: &keychain.Error{Err: keychain.ErrNotFound}}, &c)
		if hint != "store it with: lakebase-credential-helper login --host w.example --client-id c" {
			t.Error(hint)
		}
	}
}

// The troubleshooting table of the Databricks guide "Connect an external app to
// Lakebase by API", row by row.
func TestDescribe_Troubleshooting(t *testing.T) {
	for _, c := range []struct {
		row   string
		err   error
		cures []string
	}{
		{"role", &pglogin.Error{Kind: pglogin.RoleMissing, Message: "Role does not exist"}, []string{"databricks_create_role('client-1', 'SERVICE_PRINCIPAL')", "CREATE EXTENSION IF NOT EXISTS databricks_auth"}},
		{"authentication fails", &pglogin.Error{Kind: pglogin.Refused, Message: "authentication failed", Code: "28000"}, []string{"databricks_create_role('client-1'"}},
		{"connection refused", &pglogin.Error{Kind: pglogin.WakeTimeout, Last: &pglogin.Error{Kind: pglogin.Unreachable, Message: "connection refused"}}, []string{"--wait-timeout"}},
		{"time-out", &pglogin.Error{Kind: pglogin.WakeTimeout, Last: &pglogin.Error{Kind: pglogin.NoAnswer}}, []string{"--wait-timeout"}},
		{"token expired", &pglogin.Error{Kind: pglogin.TokenInvalid, Message: "JWT token has expired"}, []string{"clock"}},
		{"password authentication failed", &pglogin.Error{Kind: pglogin.Refused, Code: "28P01", Message: "password authentication failed"}, []string{"databricks_create_role"}},
	} {
		message, hint := Describe(c.err, conf())
		for _, cure := range c.cures {
			if !strings.Contains(hint, cure) {
				t.Errorf("%s: %q: the hint %q does not say %q", c.row, message, hint, cure)
			}
		}
	}
}

// An endpoint does not accept a workspace token as a password; an instance does, so its
// hint is another.
func TestDescribe_WorkspaceTokenAsPassword(t *testing.T) {
	c := conf()
	refused := &pglogin.Error{Kind: pglogin.Refused, Code: "28P01", Message: "password authentication failed"}
	c.Credential.Value = config.CredentialWorkspace
	if _, hint := Describe(refused, c); !strings.Contains(hint, "remove --credential workspace") {
		t.Error(hint)
	}
	c.Endpoint.Value, c.Instance.Value = "", "shop"
	if _, hint := Describe(refused, c); !strings.Contains(hint, "databricks_create_role") {
		t.Error(hint)
	}
}

func TestDescribe_QuotesSQL(t *testing.T) {
	c := conf()
	c.User.Value, c.Database.Value = `o'x"y`, `d"b`
	if _, hint := Describe(&pglogin.Error{Kind: pglogin.RoleMissing}, c); !strings.Contains(hint, `databricks_create_role('o''x"y', `) {
		t.Error(hint)
	}
	if _, hint := Describe(&pglogin.Error{Kind: pglogin.ConnectDenied}, c); !strings.Contains(hint, `GRANT CONNECT ON DATABASE "d""b" TO "o'x""y";`) {
		t.Error(hint)
	}
}

// Each authentication type has its own messages and exit code.
func TestDescribe_Auth(t *testing.T) {
	conf := config.Config{}
	conf.Profile.Value = "prod"
	refused := &exchange.Error{Call: exchange.CallRefresh, Host: "w.example", Kind: exchange.KindRefreshRefused, Status: 401, Code: "invalid_request", Message: "Refresh token is invalid"}
	for name, c := range map[string]struct {
		err     error
		message string
		hint    string
		code    int
	}{
		"no user":      {&auth.NoLoginError{Host: "w.example"}, "no client ID given, and no user has signed in at w.example", "login --user-login --profile prod", ExitNoSecret},
		"not she":      {&auth.NoLoginError{Host: "w.example", User: "ada"}, "ada has not signed in at w.example", "login --user-login", ExitNoSecret},
		"a PGUSER":     {&auth.NoLoginError{Host: "w.example", User: "ada"}, "ada has not signed in at w.example", "; or give --client-id (DATABRICKS_CLIENT_ID) for a service principal", ExitNoSecret},
		"two":          {&auth.NoLoginError{Host: "w.example", Others: []string{"ada", "bob"}}, "several users have signed in at w.example: ada, bob", "choose one with --user", ExitNoSecret},
		"locked":       {&auth.NoLoginError{Host: "w.example", User: "ada", Err: &keychain.Error{Op: "read", Err: keychain.ErrLocked}}, "no login of ada at w.example: ", "unlock the keychain", ExitNoSecret},
		"no keychain":  {&auth.NoLoginError{Host: "w.example", Err: &keychain.Error{Op: "read", Err: keychain.ErrAbsent}}, "stored logins for w.example could not be read: ", "login --user-login --store file", ExitNoSecret},
		"over":         {&auth.LoginExpiredError{Host: "w.example", User: "ada", Err: refused}, "the login of ada at w.example has expired: HTTP 401 invalid_request: Refresh token is invalid", "sign in again with: lakebase-credential-helper login --user-login --profile prod", ExitNoSecret},
		"workload":     {&auth.FederationError{Claims: auth.Claims{Issuer: "i", Subject: "s\x07", Audience: "a"}, Err: refused}, `(iss "i", sub "s\a", aud "a"): HTTP 401`, "federation policy", ExitWorkspace},
		"target":       {&lakebase.TargetError{Name: "shop", From: config.Source{Origin: config.FromOption, Name: "--endpoint"}, Problem: "may mean any of 2 endpoints", Choices: []string{"a", "b"}}, `--endpoint: "shop" may mean any of 2 endpoints`, "use one of a, b", ExitUsage},
		"no target":    {&lakebase.TargetError{Name: "shop", From: config.Source{Origin: config.FromOption, Name: "--endpoint"}, Problem: "has no endpoint"}, `--endpoint: "shop" has no endpoint`, "lakebase-credential-helper endpoints", ExitUsage},
		"foreign host": {&exchange.Error{Call: exchange.CallDiscovery, Host: "w.example", Kind: exchange.KindForeignHost}, "names an endpoint or audience on another host", "its discovery document points elsewhere", ExitWorkspace},
	} {
		conf := conf
		if name == "a PGUSER" {
			conf.User.Source.Origin = config.FromEnvironment
		}
		message, hint := Describe(c.err, &conf)
		if !strings.Contains(message, c.message) || !strings.Contains(hint, c.hint) || ExitCode(c.err) != c.code {
			t.Errorf("%s: %d\n%s\n%s", name, ExitCode(c.err), message, hint)
		}
	}
}

// A hint's command means the target of the run that failed.
func TestDescribe_SameTarget(t *testing.T) {
	option := config.Source{Origin: config.FromOption, Name: "--host"}
	variable := config.Source{Origin: config.FromEnvironment, Name: "DATABRICKS_HOST"}
	profile := config.Source{Origin: config.FromProfile, Name: "key host of profile"}
	host, err := config.ParseWorkspace("a.cloud.databricks.com", option)
	if err != nil {
		t.Fatal(err)
	}
	for want, conf := range map[string]*config.Config{
		"":                {},
		" --profile prod": {Profile: config.Value[string]{Value: "prod"}, Workspace: config.Value[config.Workspace]{Value: host, Source: profile}, ClientID: config.Value[string]{Value: "id", Source: profile}},
		" --host a.cloud.databricks.com --client-id other": {Profile: config.Value[string]{Value: "prod"}, Workspace: config.Value[config.Workspace]{Value: host, Source: profile}, ClientID: config.Value[string]{Value: "other", Source: option}},
		" --host a.cloud.databricks.com --client-id id":    {Workspace: config.Value[config.Workspace]{Value: host, Source: option}, ClientID: config.Value[string]{Value: "id", Source: option}},
		" --client-id id":           {Workspace: config.Value[config.Workspace]{Value: host, Source: variable}, ClientID: config.Value[string]{Value: "id", Source: option}},
		" --databricks-profile DEV": {Workspace: config.Value[config.Workspace]{Value: host}, DatabricksProfile: config.Value[string]{Value: "DEV", Source: option}},
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
				t.Errorf("%s, and not %s%s", hint, c.hint, want)
			}
		}
	}
}
