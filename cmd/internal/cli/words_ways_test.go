package cli

import (
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
)

// Each way in has its own words, and its exit code.
func TestWordsOfTheWays(t *testing.T) {
	conf := config.Config{}
	conf.Profile.Value = "prod"
	refused := &exchange.Error{Call: exchange.CallRefresh, Host: "w.example", Kind: exchange.KindRefreshRefused, Status: 401, Code: "invalid_request", Message: "Refresh token is invalid"}
	for name, c := range map[string]struct {
		err     error
		message string
		hint    string
		code    int
	}{
		"nobody":      {&auth.NoLoginError{Host: "w.example"}, "no client id is given, and no person has signed in at w.example", "login --user-login --profile prod", ExitNoSecret},
		"not she":     {&auth.NoLoginError{Host: "w.example", User: "ada"}, "ada has not signed in at w.example", "login --user-login", ExitNoSecret},
		"a PGUSER":    {&auth.NoLoginError{Host: "w.example", User: "ada"}, "ada has not signed in at w.example", "; or give --client-id (DATABRICKS_CLIENT_ID) for a service principal", ExitNoSecret},
		"two":         {&auth.NoLoginError{Host: "w.example", Others: []string{"ada", "bob"}}, "several people have signed in", "choose with --user: ada, bob", ExitNoSecret},
		"locked":      {&auth.NoLoginError{Host: "w.example", User: "ada", Err: &keychain.Error{Op: "read", Err: keychain.ErrLocked}}, "no login at w.example: ", "unlock the keychain", ExitNoSecret},
		"no keychain": {&auth.NoLoginError{Host: "w.example", Err: &keychain.Error{Op: "read", Err: keychain.ErrAbsent}}, "no login at w.example: ", "login --user-login --store file", ExitNoSecret},
		"over":        {&auth.LoginExpiredError{Host: "w.example", User: "ada", Err: refused}, "the login of ada at w.example is over: HTTP 401 invalid_request: Refresh token is invalid", "sign in again with: lakebase-credential-helper login --user-login --profile prod", ExitNoSecret},
		"workload":    {&auth.FederationError{Claims: auth.Claims{Issuer: "i", Subject: "s\x07", Audience: "a"}, Err: refused}, `whose iss is "i", sub "s\a", aud "a"`, "federation policy", ExitWorkspace},
		"target":      {&lakebase.TargetError{Name: "shop", From: config.Source{Origin: config.FromOption, Name: "--endpoint"}, Problem: "may mean any of 2 endpoints", Choices: []string{"a", "b"}}, `--endpoint: "shop" may mean any of 2 endpoints`, "there are: a, b", ExitUsage},
		"no target":   {&lakebase.TargetError{Name: "shop", From: config.Source{Origin: config.FromOption, Name: "--endpoint"}, Problem: "has no endpoint"}, `--endpoint: "shop" has no endpoint`, "lakebase-credential-helper endpoints", ExitUsage},
		"stranger":    {&exchange.Error{Call: exchange.CallDiscovery, Host: "w.example", Kind: exchange.KindForeignHost}, "names an endpoint or audience on another host", "its discovery document points elsewhere", ExitWorkspace},
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
