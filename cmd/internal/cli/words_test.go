package cli

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/rotate"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// exchangeKinds reads the constants of type Kind from the package's source, so
// that none can be forgotten here.
func exchangeKinds(t *testing.T) (kinds []exchange.Kind) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../../internal/exchange/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			if id, ok := v.Type.(*ast.Ident); ok && id.Name == "Kind" {
				text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				kinds = append(kinds, exchange.Kind(text))
			}
		}
		return true
	})
	if len(kinds) < 20 {
		t.Fatalf("only %d kinds were found", len(kinds))
	}
	return kinds
}

// wellSaid holds message and hint to the form of all words for people.
func wellSaid(t *testing.T, name, message, hint string) {
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

func TestEveryKindHasWords(t *testing.T) {
	for _, c := range []*config.Config{nil, conf()} {
		said := map[string]exchange.Kind{}
		for _, k := range exchangeKinds(t) {
			message, hint := Describe(&exchange.Error{Call: exchange.CallEndpoint, Host: "w.example", Kind: k, Status: 400, Code: "CODE", Message: "words", RequestID: "r-1"}, c)
			wellSaid(t, string(k), message, hint)
			for _, part := range []string{"w.example", "HTTP 400", "CODE", "words", "request r-1"} {
				if !strings.Contains(message, part) {
					t.Errorf("%s: %q does not say %q", k, message, part)
				}
			}
			said[message] = k
		}
		if len(said) < 14 {
			t.Errorf("only %d different messages", len(said))
		}
		for _, kind := range []error{keychain.ErrNotFound, keychain.ErrLocked, keychain.ErrDismissed, keychain.ErrAbsent, keychain.ErrTimeout, keychain.ErrTooBig, keychain.ErrFailed} {
			chain := &keychain.Error{Op: "get", Account: "a", Err: kind, Detail: "words"}
			message, hint := Describe(chain, c)
			wellSaid(t, kind.Error(), message, hint)
			message, hint = Describe(&broker.NoSecretError{Host: "w.example", ClientID: "client-1", Err: chain}, c)
			wellSaid(t, "no secret: "+kind.Error(), message, hint)
			if !strings.Contains(message, "w.example") || !strings.Contains(message, "client-1") || !strings.Contains(message, "words") {
				t.Error(message)
			}
		}
	}
}

func TestWordsOfOtherErrors(t *testing.T) {
	for _, c := range []struct {
		err                 error
		message, hintsAmong string
	}{
		{&UsageError{Problem: "p", Fix: "f"}, "p", "f"},
		{&config.Error{Name: "PGPORT", Problem: "p", Fix: "f"}, "PGPORT: p", "f"},
		{&securefile.Error{Path: "/x", Reason: "open to others", Fix: "chmod 600 /x"}, `"/x": open to others`, "run: chmod 600 /x"},
		{&broker.SecretFileError{From: config.Source{Origin: config.FromOption, Name: "--client-secret-file"}, Err: &securefile.Error{Path: "/x", Reason: "r", Fix: "chmod 600 /x"}}, `--client-secret-file: "/x": r`, "run: chmod 600 /x"},
		{&broker.HostError{Target: "E"}, "E names no host", "--pghost"},
		{&broker.HostError{Target: "instances/i", ReadOnly: true}, "instances/i names no read-only host", "enable readable secondaries"},
		{&broker.HostError{Configured: config.Value[string]{Value: "a", Source: config.Source{Origin: config.FromEnvironment, Name: "PGHOST"}}, Target: "E", Named: "b"}, "PGHOST: a is not the host of E, which is b", "correct PGHOST"},
		{&rotate.TooManyError{Host: "h", ClientID: "c", Secrets: make([]exchange.ClientSecret, 5)}, "no secret created: client c has 5 secrets at h", "delete a secret"},
		{&exchange.Error{Kind: exchange.KindPermissionDenied, Call: exchange.CallCreateSecret, Host: "h"}, "h denies permission", "a manager of itself"},
		{&exchange.Error{Kind: exchange.KindPermissionDenied, Call: exchange.CallEndpoint, Host: "h"}, "h denies permission", "CAN USE on the project"},
		{&exchange.Error{Kind: exchange.KindEndpointNotFound, Call: exchange.CallInstance, Host: "h"}, "h has no such instance", "--endpoint"},
		{&exchange.Error{Kind: exchange.KindEndpointMalformed, Call: exchange.CallInstanceCredential, Host: "h"}, "does not take the instance's name", "as it stands in the console"},
		{&exchange.Error{Kind: exchange.KindPermissionDenied, Call: exchange.CallInstanceCredential, Host: "h"}, "h denies permission", "CAN USE on the instance"},
		{&exchange.Error{Kind: exchange.KindRefused, Call: exchange.CallInstanceCredential, Host: "h", Status: 404}, "h refused: HTTP 404", "--credential workspace"},
		{&exchange.Error{Kind: exchange.KindRefused, Call: exchange.CallInstanceCredential, Host: "h", Status: 409}, "h refused: HTTP 409", "try again"},
		{&exchange.Error{Kind: exchange.KindInstanceStopped, Call: exchange.CallInstance, Host: "h"}, "the instance is stopped", "start the instance"},
		{&exchange.Error{Kind: exchange.KindInstanceFailingOver, Call: exchange.CallInstance, Host: "h"}, "the instance is failing over", "in a minute"},
		{&exchange.Error{Kind: exchange.KindInstanceDeleting, Call: exchange.CallInstance, Host: "h"}, "the instance is being deleted", "--endpoint"},
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
	_, hint := Describe(&broker.NoSecretError{Host: "w.example", ClientID: "c", Err: &keychain.Error{Err: keychain.ErrNotFound}}, nil)
	if hint != "store it with: lakebase-credential-helper login --host w.example --client-id c" {
		t.Error(hint)
	}
	c := conf()
	c.Profile.Value, c.Workspace.Source.Origin, c.ClientID.Source.Origin = "prod", config.FromProfile, config.FromProfile
	message, hint := Describe(&broker.NoSecretError{Host: "w.example", ClientID: "c", Err: &keychain.Error{Err: keychain.ErrNotFound},
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
		_, hint := Describe(&broker.NoSecretError{Host: "w.example", ClientID: "c", Err: &keychain.Error{Err: keychain.ErrNotFound}}, &c)
		if hint != "store it with: lakebase-credential-helper login --host w.example --client-id c" {
			t.Error(hint)
		}
	}
}

// The troubleshooting table of the Databricks guide "Connect an external app to
// Lakebase by API", row by row.
func TestTroubleshootingHints(t *testing.T) {
	api := func(k exchange.Kind, code, text string) error {
		return &exchange.Error{Host: "w.example", Kind: k, Status: 400, Code: code, Message: text}
	}
	for _, c := range []struct {
		row   string
		err   error
		cures []string
	}{
		{"invalid_client", api(exchange.KindInvalidClient, "invalid_client", "Client authentication failed"), []string{"client id", "secret", "lakebase-credential-helper login"}},
		{"entitlement", api(exchange.KindEntitlement, "PERMISSION_DENIED", "API is disabled for users without workspace-access entitlement"), []string{`enables "Workspace access" for the service principal`}},
		{"endpoint", api(exchange.KindEndpointMalformed, "INVALID_PARAMETER_VALUE", "Field 'endpoint' is required"), []string{"--endpoint", "projects/PROJECT/branches/BRANCH/endpoints/ENDPOINT"}},
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

// A workspace token is no password for an endpoint; where it is one, the hint is
// another.
func TestHintForAWorkspaceTokenAsPassword(t *testing.T) {
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

func TestHintsQuoteForSQL(t *testing.T) {
	c := conf()
	c.User.Value, c.Database.Value = `o'x"y`, `d"b`
	if _, hint := Describe(&pglogin.Error{Kind: pglogin.RoleMissing}, c); !strings.Contains(hint, `databricks_create_role('o''x"y', `) {
		t.Error(hint)
	}
	if _, hint := Describe(&pglogin.Error{Kind: pglogin.ConnectDenied}, c); !strings.Contains(hint, `GRANT CONNECT ON DATABASE "d""b" TO "o'x""y";`) {
		t.Error(hint)
	}
}
