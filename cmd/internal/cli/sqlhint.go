package cli

import (
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

// databaseHint returns what to do about a login that failed. It adds the configured
// identity, and the sources of values, to e's own hint.
func databaseHint(e *pglogin.Error, conf config.Config) string {
	if conf.Credential.Value == config.CredentialWorkspace && conf.Instance.Value == "" && (e.Kind == pglogin.Refused || e.Kind == pglogin.TokenInvalid) {
		return "remove --credential workspace: an endpoint accepts database credentials, not workspace tokens"
	}
	user := conf.User.Value
	owner := "as the project's owner, in " + conf.Database.Value + ": "
	connect := "GRANT CONNECT ON DATABASE " + identifier(conf.Database.Value) + " TO " + identifier(user) + ";"
	switch {
	case e.Kind == pglogin.ConnectDenied:
		return owner + connect
	case e.Kind != pglogin.RoleMissing && (e.Kind != pglogin.Refused || e.PooledHost()):
		return e.Hint()
	}
	kind := "SERVICE_PRINCIPAL" // whose user name is its client ID, a UUID
	if !conf.AuthType().ClientID && !credential.IsUUID(user) || strings.Contains(user, "@") {
		kind = "USER"
	}
	// Databricks documentation, "Create OAuth roles".
	hint := owner + "CREATE EXTENSION IF NOT EXISTS databricks_auth; SELECT databricks_create_role(" + literal(user) + ", '" + kind + "'); " + connect
	if conf.ClientID.Value != "" && user != conf.ClientID.Value { // a group's role, or one that does not exist
		hint = "check " + conf.User.Source.String() + ": a service principal's own role is its client ID; or " + hint
	}
	return hint
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
