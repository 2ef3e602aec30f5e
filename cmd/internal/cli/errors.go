package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/credformat"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
	"github.com/lakebase-exec/lakebase-exec/internal/setup"
)

// The exit codes of both programs when a command was not started.
const (
	ExitUsage         = 120
	ExitNoSecret      = 121
	ExitWorkspace     = 122
	ExitDatabase      = 123
	ExitOther         = 125
	ExitNotExecutable = 126
	ExitNotFound      = 127
)

// ExitRow is one row of the table of exit codes.
type ExitRow struct {
	Code    int
	Meaning string

	matches []func(error) bool
}

// exitTable maps errors to exit codes. The first row that matches an error or its cause counts.
var exitTable = []ExitRow{
	{ExitUsage, "usage, configuration or a bad value", []func(error) bool{
		is[*UsageError], is[*config.Error], is[*pgenv.Error], is[*rootcerts.Error],
		is[*securefile.Error], is[*credformat.Error], badValue}},
	{ExitNotFound, "the command was not found", []func(error) bool{notStarted(process.NotFound)}},
	{ExitNotExecutable, "the command cannot be executed", []func(error) bool{notStarted(process.NotExecutable)}},
	{ExitNoSecret, "no secret or login, or the keychain is locked, missing or not responding", []func(error) bool{
		is[*auth.NoSecretError], is[*auth.NoLoginError], is[*keychain.Error]}},
	{ExitWorkspace, "the workspace refused, the endpoint is disabled, or the workspace could not be reached", []func(error) bool{
		is[*exchange.Error], is[*auth.DeniedError], untried}},
	{ExitDatabase, "the database refused the login or did not wake in time", []func(error) bool{
		is[*pglogin.Error], is[*pglogin.QueryError], is[*setup.GrantError]}},
	{ExitOther, "any other failure of the wrapper", nil},
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

func notStarted(kind process.Kind) func(error) bool {
	return func(err error) bool {
		e, ok := errors.AsType[*process.Error](err)
		return ok && e.Kind == kind
	}
}

// badValue reports whether a login failed before it started, because of a value.
func badValue(err error) bool {
	e, ok := errors.AsType[*pglogin.Error](err)
	return ok && e.Kind == pglogin.BadTarget
}

// untried reports whether the time limit ended before the workspace was asked.
func untried(err error) bool {
	e, ok := errors.AsType[*retry.Error](err)
	return ok && e.Last == nil
}

// ExitMeanings returns the table by code, for a program that starts a command or does not.
func ExitMeanings(starts bool) []ExitRow {
	rows := slices.DeleteFunc(slices.Clone(exitTable), func(r ExitRow) bool {
		return !starts && (r.Code == ExitNotFound || r.Code == ExitNotExecutable)
	})
	slices.SortFunc(rows, func(a, b ExitRow) int { return cmp.Compare(a.Code, b.Code) })
	return rows
}

// ExitCode returns the exit code for err; 0 for nil.
func ExitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case securefile.IsEnvironmentFault(err), is[*rootcerts.WriteError](err),
		errors.Is(err, errNoRuntimeDir) && !is[*config.Error](err): // whatever it made fail
		return ExitOther
	case is[*auth.SourceError](err): // not the code of the file that it names
		return ExitNoSecret
	}
	for _, row := range exitTable {
		if slices.ContainsFunc(row.matches, func(matches func(error) bool) bool { return matches(err) }) {
			return row.Code
		}
	}
	return ExitOther
}

// UsageError is a command line that cannot be understood.
type UsageError struct{ Problem, Fix string }

func (e *UsageError) Error() string { return e.Problem }

// Hint returns what to do about the error.
func (e *UsageError) Hint() string { return e.Fix }

// HintedError is an error with another hint than its own.
type HintedError struct {
	Err error
	Fix string
}

func (e *HintedError) Error() string { return e.Err.Error() }
func (e *HintedError) Unwrap() error { return e.Err }

// Hint returns what to do about the error.
func (e *HintedError) Hint() string { return e.Fix }

// ownHint returns the hint of the outermost error of err that has one.
func ownHint(err error) string {
	type hinter interface {
		error
		Hint() string
	}
	if h, ok := errors.AsType[hinter](err); ok {
		return h.Hint()
	}
	return ""
}

// Describe returns an error's message, one line, and hint, as conf completes them.
func Describe(err error, conf config.Config) (message, hint string) {
	message, hint = sanitize.Line(err.Error()), ownHint(err)
	var (
		login  *pglogin.Error
		secret *auth.NoSecretError
		user   *auth.NoLoginError
		call   *exchange.Error
	)
	switch { // an error before those that it may wrap
	case is[*HintedError](err), is[*OutputError](err):
	case securefile.IsEnvironmentFault(err):
		if hint == "" || !is[*securefile.Error](err) && !is[*rootcerts.WriteError](err) { // another layer's hint would not help
			hint = securefile.FaultHint(err, "")
		}
	case errors.As(err, &login):
		hint = databaseHint(login, conf)
	case errors.As(err, &secret):
		message, hint = noSecret(secret, conf)
	case errors.As(err, &user):
		hint = noLoginHint(user, conf)
	case is[*auth.FederationError](err):
	case errors.As(err, &call):
		described := *call
		described.Origins = auth.Origins(conf, call)
		message, hint = described.Error(), described.Hint()
		if tried, ok := errors.AsType[*retry.Error](err); ok {
			message += tried.Tried()
		}
	case hint == "" && untried(err):
		message = "the workspace was not asked in time: " + message
		hint = "another process may hold the lock of this token: try again, or allow more time with --timeout"
	}
	return message, hint
}

// noSecret returns message and hint for a service principal's secret that cannot be read.
func noSecret(e *auth.NoSecretError, conf config.Config) (message, hint string) {
	message = sanitize.Line(e.Error())
	for _, n := range conf.Notes {
		if strings.HasPrefix(n.Name, "DATABRICKS_CLIENT_SECRET") {
			message += fmt.Sprintf(" (%s is %s)", n.Name, n.Why)
		}
	}
	file := "DATABRICKS_CLIENT_SECRET_FILE (--client-secret-file)"
	nested := nestedHint(conf, "turn on its cache or give it --keep DATABRICKS_CLIENT_SECRET")
	if e.Role != "" {
		file, nested = "LAKEBASE_NATIVE_PASSWORD_FILE (--native-password-file)", ""
	}
	switch hint := ownHint(e.Err); {
	case errors.Is(e.Err, keychain.ErrNotFound):
	case is[*keychain.Error](e.Err):
		return message, hint + ", or set " + file + nested
	case hint != "":
		return message, hint
	}
	return message, "store it with: lakebase-credential-helper login" + conf.SameTarget() + nested
}

func noLoginHint(e *auth.NoLoginError, conf config.Config) string {
	nested := nestedHint(conf, "give it --keep DATABRICKS_TOKEN")
	switch {
	case e.Expired():
		return "sign in again with: " + userLogin(e.Host, conf)
	case len(e.Others) > 1:
		return "choose one with --user"
	case errors.Is(e.Err, keychain.ErrAbsent):
		return `store the login in a file with "lakebase-credential-helper login --user-login --store file"` + nested
	case is[*securefile.Error](e.Err), is[*keychain.Error](e.Err) && !errors.Is(e.Err, keychain.ErrNotFound):
		return ownHint(e.Err)
	case e.User == "":
		return "give --client-id (DATABRICKS_CLIENT_ID) for a service principal, or sign in with: " + userLogin(e.Host, conf) + nested
	}
	hint := "sign in with: " + userLogin(e.Host, conf)
	if conf.Auth.Value == "" && conf.User.Source.Origin == config.FromEnvironment { // PGUSER may be a service principal's role
		hint += "; or give --client-id (DATABRICKS_CLIENT_ID) for a service principal"
	}
	return hint + nested
}

// nestedHint returns what else helps inside another lakebase-exec, which removes credentials.
func nestedHint(conf config.Config, fix string) string {
	if !conf.Nested {
		return ""
	}
	return "; or, as this runs inside another lakebase-exec, " + fix
}

// userLogin returns the command that signs a user in.
func userLogin(host string, conf config.Config) string {
	if conf.Profile.Value != "" {
		return "lakebase-credential-helper login --user-login --profile " + sanitize.ShellWord(conf.Profile.Value)
	}
	return "lakebase-credential-helper login --user-login --host " + sanitize.ShellWord(host)
}

// CreateRoleSQL returns the statements that create a role for an identity (Databricks
// documentation, "Create OAuth roles").
func CreateRoleSQL(role, identityType string) string {
	return "CREATE EXTENSION IF NOT EXISTS databricks_auth; " +
		"SELECT databricks_create_role(" + sanitize.SQLLiteral(role) + ", '" + identityType + "');"
}

// databaseHint returns what to do about a login that failed.
func databaseHint(e *pglogin.Error, conf config.Config) string {
	if conf.Credential.Value == config.CredentialWorkspace && conf.Instance.Value == "" &&
		(e.Kind == pglogin.Refused || e.Kind == pglogin.TokenInvalid) {
		return "remove --credential workspace: an endpoint accepts database credentials, not workspace tokens"
	}
	if conf.Native() && slices.Contains([]pglogin.Kind{pglogin.Refused, pglogin.TokenInvalid, pglogin.RoleMissing}, e.Kind) {
		return "check that the role " + conf.User.Value + " has this password, and that native Postgres login is enabled for the project; " +
			"store another password with: lakebase-credential-helper login" + conf.SameTarget()
	}
	user := cmp.Or(conf.User.Value, e.Target.User) // the latter if the workspace named the user
	owner := "as the project's owner, "
	if conf.Endpoint.Value != "" && credential.IsUUID(user) {
		owner += "run: lakebase-credential-helper setup --for " + user + " --host " + sanitize.ShellWord(conf.Workspace.Value.HostPort()) +
			" --endpoint " + sanitize.ShellWord(conf.Endpoint.Value)
		if e.Kind == pglogin.ConnectDenied {
			owner += " --grant read"
		}
		owner += "; or "
	}
	owner += "in " + conf.Database.Value + ": "
	connect := "GRANT CONNECT ON DATABASE " + sanitize.SQLIdentifier(conf.Database.Value) + " TO " + sanitize.SQLIdentifier(user) + ";"
	switch {
	case e.Kind == pglogin.ConnectDenied:
		return owner + connect
	case e.Kind != pglogin.RoleMissing && (e.Kind != pglogin.Refused || e.PooledHost()):
		return e.Hint()
	}
	kind := "USER"
	check := "check " + conf.User.Source.String() + ": a service principal's own role is its client ID"
	switch {
	case user == conf.ClientID.Value || credential.IsUUID(user):
		kind = "SERVICE_PRINCIPAL"
	case conf.AuthType().ClientID && !strings.Contains(user, "@"): // a group's role, or one that does not exist
		return check
	}
	hint := owner + CreateRoleSQL(user, kind) + " " + connect
	if conf.ClientID.Value != "" && user != conf.ClientID.Value {
		hint = check + "; or " + hint
	}
	return hint
}
