package cli

import (
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

// databaseHint returns what to do about a login that failed. It adds to e's own
// hint what the configuration knows: the identity, and where its values come from.
func databaseHint(e *pglogin.Error, conf *config.Config) string {
	if conf == nil {
		return e.Hint()
	}
	if conf.Credential.Value == config.CredentialWorkspace && conf.Instance.Value == "" && (e.Kind == pglogin.Refused || e.Kind == pglogin.TokenInvalid) {
		return "remove --credential workspace: an endpoint accepts database credentials, not workspace tokens"
	}
	switch {
	case e.Kind == pglogin.ConnectDenied:
		return "as the project's owner: " + ConnectSQL(*conf)
	case e.Kind == pglogin.RoleMissing || e.Kind == pglogin.Refused && !e.PooledHost():
		hint := "as the project's owner: " + RoleSQL(*conf)
		if conf.ClientID.Value != "" && conf.User.Value != conf.ClientID.Value { // a group's role, or one that does not exist
			hint = "check " + conf.User.Source.String() + ": a service principal's own role is its client ID; or " + hint
		}
		return hint
	}
	return e.Hint()
}

// GrantSQL returns what a project's owner runs for a login that is refused because
// a role or a grant is missing; empty for other reasons.
func GrantSQL(kind pglogin.Kind, conf config.Config) string {
	switch {
	case conf.Credential.Value == config.CredentialWorkspace && conf.Instance.Value == "":
		return "" // the password is the wrong kind of token
	case kind == pglogin.RoleMissing || kind == pglogin.Refused:
		return RoleSQL(conf) + " " + ConnectSQL(conf)
	case kind == pglogin.ConnectDenied:
		return ConnectSQL(conf)
	}
	return ""
}

// RoleSQL is what a project's owner runs for a login that has no role (Databricks
// documentation, "Create OAuth roles").
func RoleSQL(conf config.Config) string {
	return "CREATE EXTENSION IF NOT EXISTS databricks_auth; SELECT databricks_create_role(" + literal(conf.User.Value) + ", '" + identityType(conf) + "');"
}

// ConnectSQL is what a project's owner runs for a role that may not connect.
func ConnectSQL(conf config.Config) string {
	return "GRANT CONNECT ON DATABASE " + identifier(conf.Database.Value) + " TO " + identifier(conf.User.Value) + ";"
}

// identityType is what databricks_create_role calls the one who logs in. A
// service principal's user name is its client id, a UUID.
func identityType(conf config.Config) string {
	if credential.IsUser(conf.Auth.Value) && !credential.IsUUID(conf.User.Value) || strings.Contains(conf.User.Value, "@") {
		return "USER"
	}
	return "SERVICE_PRINCIPAL"
}

// identifier quotes a name for SQL (PostgreSQL manual, "Lexical Structure").
func identifier(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// literal quotes a text for SQL, whatever standard_conforming_strings says, as
// libpq's PQescapeLiteral does.
func literal(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
