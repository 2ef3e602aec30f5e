package pgenv

import "strings"

// The variables that the wrapper sets. PGAPPNAME is missing: it is the caller's
// where the caller has one.
const (
	pgHost        = "PGHOST"
	pgHostAddr    = "PGHOSTADDR"
	pgPort        = "PGPORT"
	pgDatabase    = "PGDATABASE"
	pgUser        = "PGUSER"
	pgPassword    = "PGPASSWORD"
	pgPassFile    = "PGPASSFILE"
	pgSSLMode     = "PGSSLMODE"
	pgSSLRootCert = "PGSSLROOTCERT"
	pgAppName     = "PGAPPNAME"
	expiresAt     = "LAKEBASE_TOKEN_EXPIRES_AT"
	profile       = "LAKEBASE_PROFILE"
	oidcTokenEnv  = "DATABRICKS_OIDC_TOKEN_ENV"
)

// ours are set by the wrapper, or absent: an inherited one never stays, and
// --keep cannot ask for it.
var ours = set(pgHost, pgPort, pgDatabase, pgUser, pgPassword, pgSSLMode, pgSSLRootCert, expiresAt, profile)

// passes are the variables of libpq that change neither where nor as whom nor
// how safely a client connects.
var passes = set("PGOPTIONS", "PGCONNECT_TIMEOUT", "PGCLIENTENCODING", "PGDATESTYLE", "PGTZ", "PGGEQO", pgAppName, "PGLOCALEDIR")

// steers are the other variables that libpq 18 reads (PostgreSQL manual,
// libpq-envars, and the strings of the library itself). They can send a token to
// another server, weaken TLS, or stop a driver from starting at all.
var steers = set(
	"PGCHANNELBINDING", "PGGSSDELEGATION", "PGGSSENCMODE", "PGGSSLIB", pgHostAddr, "PGKRBSRVNAME",
	"PGLOADBALANCEHOSTS", "PGMAXPROTOCOLVERSION", "PGMINPROTOCOLVERSION", "PGOAUTHDEBUG", pgPassFile,
	"PGREQUIREAUTH", "PGREQUIREPEER", "PGREQUIRESSL", "PGSERVICE", "PGSERVICEFILE", "PGSSLCERT",
	"PGSSLCERTMODE", "PGSSLCOMPRESSION", "PGSSLCRL", "PGSSLCRLDIR", "PGSSLKEY", "PGSSLMAXPROTOCOLVERSION",
	"PGSSLMINPROTOCOLVERSION", "PGSSLNEGOTIATION", "PGSSLSNI", "PGSYSCONFDIR", "PGTARGETSESSIONATTRS",
)

// relatives steer a connection as those do, in other versions of libpq or in
// other drivers: PGREALM and PGTTY before version 14, PGOAUTHCAFILE after 18,
// PGSSLPASSWORD in pgx and PGSSL in postgres.js.
var relatives = set("PGREALM", "PGTTY", "PGOAUTHCAFILE", "PGSSLPASSWORD", "PGSSL")

// secrets are ways into the workspace, which the child has no need of. The
// names are those of the Databricks SDKs' configuration attributes and of
// GitHub Actions.
var secrets = set(
	"DATABRICKS_CLIENT_SECRET", "DATABRICKS_CLIENT_SECRET_FILE", "DATABRICKS_TOKEN", "DATABRICKS_PASSWORD",
	"DATABRICKS_OIDC_TOKEN", "DATABRICKS_OIDC_TOKEN_FILEPATH", "DATABRICKS_AZURE_CLIENT_SECRET",
	"ARM_CLIENT_SECRET", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
)

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// isLibpq says whether an empty value of name must not be exported: some
// drivers fail on PGPORT= or PGCONNECT_TIMEOUT= where libpq ignores them.
func isLibpq(name string) bool {
	return passes[name] || steers[name] || relatives[name] || ours[name]
}

// neverKept gives the reason why --keep may not name this variable, or "".
func neverKept(name string) string {
	switch {
	case ours[name]:
		return "the wrapper sets it"
	case name == pgHostAddr, strings.HasPrefix(name, "PGSERVICE"), name == "PGSYSCONFDIR":
		return "it could send the token to another server"
	case name == pgPassFile:
		return "it could put another password in the token's place"
	}
	return ""
}

// wellFormed says whether name is a portable variable name (POSIX, "Environment
// Variable Definition"): letters, digits and underscore, no digit first.
func wellFormed(name string) bool {
	for i, r := range name {
		switch {
		case r == '_', 'A' <= r && r <= 'Z', 'a' <= r && r <= 'z':
		case '0' <= r && r <= '9' && i > 0:
		default:
			return false
		}
	}
	return name != ""
}
