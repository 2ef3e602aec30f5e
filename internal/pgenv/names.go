package pgenv

import (
	"fmt"
	"strconv"
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
var managed = set(pgHost, pgPort, pgDatabase, pgUser, pgPassword, pgSSLMode, pgSSLRootCert, expiresAt, profile)

// allowed are the variables of libpq that change neither where a client connects, nor
// as which user, nor how securely.
var allowed = set("PGOPTIONS", "PGCONNECT_TIMEOUT", "PGCLIENTENCODING", "PGDATESTYLE", "PGTZ", "PGGEQO", pgAppName, "PGLOCALEDIR")

// unsafe are the other variables that libpq 18 reads (PostgreSQL manual,
// libpq-envars, and the strings of the library itself). They can send a token to
// another server, weaken TLS, or keep a driver from connecting at all.
var unsafe = set(
	"PGCHANNELBINDING", "PGGSSDELEGATION", "PGGSSENCMODE", "PGGSSLIB", pgHostAddr, "PGKRBSRVNAME",
	"PGLOADBALANCEHOSTS", "PGMAXPROTOCOLVERSION", "PGMINPROTOCOLVERSION", "PGOAUTHDEBUG", pgPassFile,
	"PGREQUIREAUTH", "PGREQUIREPEER", "PGREQUIRESSL", "PGSERVICE", "PGSERVICEFILE", "PGSSLCERT",
	"PGSSLCERTMODE", "PGSSLCOMPRESSION", "PGSSLCRL", "PGSSLCRLDIR", "PGSSLKEY", "PGSSLMAXPROTOCOLVERSION",
	"PGSSLMINPROTOCOLVERSION", "PGSSLNEGOTIATION", "PGSSLSNI", "PGSYSCONFDIR", "PGTARGETSESSIONATTRS",
)

// unsafeOther have such effects in other versions of libpq or in other drivers:
// PGREALM and PGTTY before version 14, PGOAUTHCAFILE after 18, PGSSLPASSWORD in pgx
// and PGSSL in postgres.js.
var unsafeOther = set("PGREALM", "PGTTY", "PGOAUTHCAFILE", "PGSSLPASSWORD", "PGSSL")

// secrets sign in to the workspace; the child needs none. The names are those of the
// Databricks SDKs' configuration attributes and of GitHub Actions.
var secrets = set(
	"DATABRICKS_CLIENT_SECRET", "DATABRICKS_CLIENT_SECRET_FILE", "DATABRICKS_TOKEN", "DATABRICKS_PASSWORD",
	"DATABRICKS_OIDC_TOKEN", "DATABRICKS_OIDC_TOKEN_FILEPATH", "DATABRICKS_AZURE_CLIENT_SECRET",
	"ARM_CLIENT_SECRET", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
)

// isLibpq reports whether an empty value of name is removed: some drivers fail on
// PGPORT= or PGCONNECT_TIMEOUT=, which libpq ignores.
func isLibpq(name string) bool {
	return allowed[name] || unsafe[name] || unsafeOther[name] || managed[name]
}

// KeepError is a variable that --keep cannot name.
type KeepError struct{ Name, Reason string }

func (e *KeepError) Error() string { return fmt.Sprintf("%q cannot be kept: %s", e.Name, e.Reason) }

// Hint returns what to do about it.
func (e *KeepError) Hint() string { return "leave " + strconv.Quote(e.Name) + " out" }

// CheckKeep returns a *KeepError for a name that is malformed, that Build sets
// itself, or that selects another server or password. A name that Build would not
// remove is no error.
func CheckKeep(names []string) error { return checkKeep(names, foldNames) }

func checkKeep(names []string, fold bool) error {
	for _, n := range names {
		k := key(n, fold)
		switch {
		case !isName(n):
			return &KeepError{n, "not a variable name"}
		case managed[k]:
			return &KeepError{n, "lakebase-exec sets it"}
		case k == pgHostAddr, strings.HasPrefix(k, "PGSERVICE"), k == "PGSYSCONFDIR":
			return &KeepError{n, "it could send the token to another server"}
		case k == pgPassFile:
			return &KeepError{n, "it could replace the token with another password"}
		}
	}
	return nil
}

// ExtraError is a variable that cannot be set for the child.
type ExtraError struct{ Name, Reason string }

func (e *ExtraError) Error() string { return fmt.Sprintf("%q cannot be set: %s", e.Name, e.Reason) }

// Hint returns what to do about it.
func (e *ExtraError) Hint() string {
	return "choose another name: letters, digits and _, no digit first, and not one that lakebase-exec sets or removes"
}

// CheckExtra returns an *ExtraError for a name that is malformed, given twice, or
// that Build sets or removes itself.
func CheckExtra(names []string) error { return checkExtra(names, foldNames) }

func checkExtra(names []string, fold bool) error {
	seen := map[string]bool{}
	for _, n := range names {
		k := key(n, fold)
		switch {
		case !isName(n):
			return &ExtraError{n, "not a variable name"}
		case managed[k], k == pgAppName:
			return &ExtraError{n, "lakebase-exec sets it"}
		case unsafe[k], unsafeOther[k], secrets[k]:
			return &ExtraError{n, "lakebase-exec removes it"}
		case seen[k]:
			return &ExtraError{n, "given twice"}
		}
		seen[k] = true
	}
	return nil
}

// isName reports whether name is a portable variable name (POSIX, "Environment
// Variable Definition"): letters, digits and underscores, and no digit first.
func isName(name string) bool {
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

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}
