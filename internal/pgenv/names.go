package pgenv

import (
	"fmt"
	"strings"
)

// Names of variables that Build sets or reads.
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

// managed variables are set by Build, or removed: an inherited one never stays, and
// --keep cannot name one. PGAPPNAME is not among them: the caller's wins.
var managed = []string{pgHost, pgPort, pgDatabase, pgUser, pgPassword, pgSSLMode, pgSSLRootCert, expiresAt, profile}

// allowed are the variables of libpq that change neither server, nor user, nor security.
var allowed = []string{"PGOPTIONS", "PGCONNECT_TIMEOUT", "PGCLIENTENCODING", "PGDATESTYLE", "PGTZ", "PGGEQO", pgAppName, "PGLOCALEDIR"}

// unsafe are the other variables that libpq 18 reads (PostgreSQL manual, libpq-envars, and
// the strings of the library itself), and after them those of other versions or drivers:
// PGREALM and PGTTY before version 14, PGOAUTHCAFILE after 18, PGSSLPASSWORD in pgx and
// PGSSL in postgres.js. They can send a token to another server, weaken TLS, or keep a
// driver from connecting at all.
var unsafe = []string{
	"PGCHANNELBINDING", "PGGSSDELEGATION", "PGGSSENCMODE", "PGGSSLIB", pgHostAddr, "PGKRBSRVNAME",
	"PGLOADBALANCEHOSTS", "PGMAXPROTOCOLVERSION", "PGMINPROTOCOLVERSION", "PGOAUTHDEBUG", pgPassFile,
	"PGREQUIREAUTH", "PGREQUIREPEER", "PGREQUIRESSL", "PGSERVICE", "PGSERVICEFILE", "PGSSLCERT",
	"PGSSLCERTMODE", "PGSSLCOMPRESSION", "PGSSLCRL", "PGSSLCRLDIR", "PGSSLKEY", "PGSSLMAXPROTOCOLVERSION",
	"PGSSLMINPROTOCOLVERSION", "PGSSLNEGOTIATION", "PGSSLSNI", "PGSYSCONFDIR", "PGTARGETSESSIONATTRS",
	"PGREALM", "PGTTY", "PGOAUTHCAFILE", "PGSSLPASSWORD", "PGSSL",
}

// secrets sign in to the workspace; the child needs none. The names are those of the
// Databricks SDKs' configuration attributes, of GitHub Actions and of a native password.
var secrets = []string{
	"DATABRICKS_CLIENT_SECRET", "DATABRICKS_CLIENT_SECRET_FILE", "DATABRICKS_TOKEN", "DATABRICKS_PASSWORD",
	"DATABRICKS_OIDC_TOKEN", "DATABRICKS_OIDC_TOKEN_FILEPATH", "DATABRICKS_AZURE_CLIENT_SECRET",
	"ARM_CLIENT_SECRET", "LAKEBASE_NATIVE_PASSWORD_FILE", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
}

// Error is a variable that cannot be kept or set.
type Error struct{ Problem, Fix string }

func (e *Error) Error() string { return e.Problem }

// Hint returns what to do about it.
func (e *Error) Hint() string { return e.Fix }

// CheckKeep returns an *Error for a name that is malformed, that Build sets itself, or
// that selects another server or password.
func CheckKeep(names []string) error {
	for _, n := range names {
		why := ""
		switch k := key(n); {
		case !isName(n):
			why = "not a variable name"
		case contains(managed, k):
			why = "lakebase-exec sets it"
		case k == pgHostAddr, strings.HasPrefix(k, "PGSERVICE"), k == "PGSYSCONFDIR":
			why = "it could send the token to another server"
		case k == pgPassFile:
			why = "it could replace the token with another password"
		default:
			continue
		}
		return &Error{fmt.Sprintf("%q cannot be kept: %s", n, why), fmt.Sprintf("leave %q out", n)}
	}
	return nil
}

// CheckExtra returns an *Error for a name that is malformed, given twice, or
// that Build sets or removes itself.
func CheckExtra(names []string) error {
	for i, n := range names {
		k, why := key(n), ""
		switch {
		case !isName(n):
			why = "not a variable name"
		case contains(managed, k), k == pgAppName:
			why = "lakebase-exec sets it"
		case contains(unsafe, k), contains(secrets, k):
			why = "lakebase-exec removes it"
		case contains(names[:i], k):
			why = "given twice"
		default:
			continue
		}
		return &Error{fmt.Sprintf("%q cannot be set: %s", n, why),
			"choose another name: letters, digits and _, no digit first, and not one that lakebase-exec sets or removes"}
	}
	return nil
}

// isName reports whether name is a portable variable name (POSIX, "Environment
// Variable Definition"): letters, digits and underscores, and no digit first.
func isName(name string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
	return name != "" && strings.Trim(name, letters+"0123456789") == "" && strings.ContainsAny(name[:1], letters)
}
