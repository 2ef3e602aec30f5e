package cli

import (
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

// databaseHint returns what to do about a login that failed. It adds the
// configured identity, and the sources of values, to e's own hint.
func databaseHint(e *pglogin.Error, conf *config.Config) string {
	if conf == nil {
		return e.Hint()
	}
	if conf.Credential.Value == config.CredentialWorkspace && conf.Instance.Value == "" && (e.Kind == pglogin.Refused || e.Kind == pglogin.TokenInvalid) {
		return "remove --credential workspace: an endpoint accepts database credentials, not workspace tokens"
	}
	owner := "as the project's owner, in " + conf.Database.Value + ": "
	switch {
	case e.Kind == pglogin.ConnectDenied:
		return owner + connectSQL(*conf)
	case e.Kind == pglogin.RoleMissing || e.Kind == pglogin.Refused && !e.PooledHost():
		hint := owner + roleSQL(*conf) + " " + connectSQL(*conf)
		if conf.ClientID.Value != "" && conf.User.Value != conf.ClientID.Value { // a group's role, or one that does not exist
			hint = "check " + conf.User.Source.String() + ": a service principal's own role is its client ID; or " + hint
		}
		return hint
	}
	return e.Hint()
}

// roleSQL creates the role of a login (Databricks documentation, "Create OAuth
// roles").
func roleSQL(conf config.Config) string {
	return "CREATE EXTENSION IF NOT EXISTS databricks_auth; SELECT databricks_create_role(" + literal(conf.User.Value) + ", '" + identityType(conf) + "');"
}

// connectSQL lets the role of a login connect.
func connectSQL(conf config.Config) string {
	return "GRANT CONNECT ON DATABASE " + identifier(conf.Database.Value) + " TO " + identifier(conf.User.Value) + ";"
}

// identityType returns the type of the user for databricks_create_role. A service
// principal's user name is its client ID, a UUID.
func identityType(conf config.Config) string {
	if !conf.AuthType().ClientID && !credential.IsUUID(conf.User.Value) || strings.Contains(conf.User.Value, "@") {
		return "USER"
	}
	return "SERVICE_PRINCIPAL"
}

// identifier quotes a name for SQL (PostgreSQL manual, "Lexical Structure").
func identifier(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// literal quotes a text for SQL, for any standard_conforming_strings, as
// libpq's PQescapeLiteral does.
func literal(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
