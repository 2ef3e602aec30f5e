package config

import (
	"slices"
	"strings"
)

// Setting is a row of the table from which the options, the environment variables,
// the profile keys, the help, the manual and the shell completion are made.
type Setting struct {
	Option   string   // long option without its dashes; the setting's name
	Alias    string   // one-letter option
	Env      []string // environment variables; the first that is set counts
	Key      string   // profile key
	Category Category
	AuthType string   // the only authentication type that uses it: Config.AuthOption returns it, and it is in the key of cached tokens
	Target   bool     // part of the target, which comes as a whole from the options and either a profile or the environment
	Decisive bool     // decides about workspace, identity or target: doctor cannot continue where it is wrong
	Many     bool     // the option can be repeated
	Bool     bool     // the option takes no value
	Value    string   // placeholder of the value in help
	Usage    string   // help line
	Words    []string // all values, for completion; nil: others are valid too
	Default  string   // as help shows it; where it is one of Words, it is the value itself
}

// Category groups settings in help, and by the commands for which they mean something.
type Category string

// The categories, in the order of help.
const (
	CategoryTarget     Category = "Target"         // workspace, endpoint, database and role
	CategoryAuth       Category = "Authentication" // who signs in to the workspace, and how
	CategoryToken      Category = "Database token" // kind and lifetime
	CategoryConnection Category = "Connection"     // TLS
	CategoryLogin      Category = "Login check"    // the login before the command starts
	CategoryCommand    Category = "Command"        // environment of the command, token refresh while it runs
	CategoryService    Category = "Supervisor"     // of a process that stays: lakebase-exec --refresh, or the helper's proxy
	CategoryGeneral    Category = "General"        // storage and output
)

// Settings lists every setting in the order of help.
func Settings() []Setting { return settings }

// LookupSetting returns the setting called "--host", "DATABRICKS_HOST" or "host".
func LookupSetting(name string) (Setting, bool) {
	option := strings.TrimPrefix(name, "--")
	for i := range settings {
		s := &settings[i]
		if option == s.Option || slices.Contains(s.Env, name) || name != "" && name == s.Key {
			return *s, true
		}
	}
	return Setting{}, false
}

var settings = []Setting{
	{Option: "profile", Alias: "p", Env: []string{"LAKEBASE_PROFILE"}, Category: CategoryTarget, Decisive: true,
		Value: "NAME", Usage: "read the target from this profile"},
	{Option: "host", Env: []string{envHost}, Key: "host", Category: CategoryTarget, Target: true, Decisive: true,
		Value: "HOST", Usage: "workspace host"},
	{Option: "endpoint", Env: []string{"LAKEBASE_ENDPOINT", "ENDPOINT_NAME"}, Key: "endpoint", Category: CategoryTarget,
		Target: true, Decisive: true, Value: "NAME", Usage: "projects/P/branches/B/endpoints/E, or a part that is unambiguous"},
	{Option: "instance", Env: []string{"LAKEBASE_INSTANCE"}, Key: "instance", Category: CategoryTarget, Target: true, Decisive: true,
		Value: "NAME", Usage: "Lakebase Provisioned instance, instead of --endpoint"},
	{Option: "read-only", Category: CategoryTarget, Bool: true,
		Usage: "connect to the target's read-only host"},
	{Option: "pooled", Key: "pooled", Category: CategoryTarget, Bool: true,
		Usage: "connect to the endpoint's pooled host (PgBouncer in transaction mode)"},
	{Option: "pghost", Env: []string{envPGHost}, Key: "pghost", Category: CategoryTarget, Target: true,
		Value: "HOST", Usage: "database host; given as an option, it is not verified with the workspace", Default: "looked up"},
	{Option: "pgport", Env: []string{"PGPORT"}, Key: "pgport", Category: CategoryTarget, Target: true,
		Value: "PORT", Usage: "database port", Default: "5432"},
	{Option: "database", Alias: "d", Env: []string{"PGDATABASE"}, Key: "database", Category: CategoryTarget, Target: true,
		Value: "NAME", Usage: "database name", Default: "databricks_postgres"},
	{Option: "user", Alias: "U", Env: []string{"PGUSER"}, Key: "user", Category: CategoryTarget, Target: true, Decisive: true,
		Value: "ROLE", Usage: "Postgres role", Default: "the client ID, or the user who signs in"},
	{Option: "client-id", Env: []string{envClientID}, Key: "client_id", Category: CategoryAuth, Target: true, Decisive: true,
		Value: "ID", Usage: "application ID of the service principal"},
	{Option: "client-secret-file", Env: []string{envSecretFile}, Category: CategoryAuth, Decisive: true,
		Value: "PATH", Usage: "read the client secret from PATH instead of the keychain"},
	{Option: "native-password-file", Env: []string{"LAKEBASE_NATIVE_PASSWORD_FILE"}, Category: CategoryAuth, Decisive: true,
		Value: "PATH", Usage: "with --auth native: read the password from PATH instead of the keychain"},
	{Option: "auth", Env: []string{"DATABRICKS_AUTH_TYPE"}, Key: "auth", Category: CategoryAuth, Target: true, Decisive: true,
		Value: "TYPE", Usage: "authentication type", Words: AuthTypeNames(), Default: "by the credentials found"},
	{Option: "audience", Env: []string{"DATABRICKS_TOKEN_AUDIENCE"}, Key: "audience", Category: CategoryAuth, AuthType: "github-oidc",
		Target: true, Decisive: true, Value: "NAME", Usage: "audience of the token requested from GitHub", Default: "the workspace's"},
	{Option: "scope", Env: []string{"LAKEBASE_SCOPE"}, Key: "scope", Category: CategoryAuth, Target: true, Decisive: true,
		Value: "SCOPE", Usage: "OAuth scope of the workspace token, such as postgres", Default: AllAPIs},
	{Option: "databricks-profile", Env: []string{"DATABRICKS_CONFIG_PROFILE"}, Key: "databricks_profile", Category: CategoryAuth,
		Target: true, Decisive: true, Value: "NAME", Usage: "read host and identity from this section of ~/.databrickscfg"},
	{Option: "timeout", Env: []string{"LAKEBASE_TIMEOUT"}, Category: CategoryAuth,
		Value: "TIME", Usage: "time limit for signing in, retries included", Default: "60s"},
	{Option: "credential", Category: CategoryToken, Decisive: true,
		Value: "KIND", Usage: "password for the database: database token or workspace token",
		Words: []string{CredentialDatabase, CredentialWorkspace}, Default: CredentialDatabase},
	{Option: "ttl", Env: []string{"LAKEBASE_TTL"}, Category: CategoryToken,
		Value: "TIME", Usage: "lifetime of the database token, 5m to 1h", Default: "the server's"},
	{Option: "min-ttl", Env: []string{"LAKEBASE_MIN_TTL"}, Category: CategoryToken,
		Value: "TIME", Usage: "minimum remaining lifetime of a cached token", Default: "15m"},
	{Option: "sslmode", Env: []string{"PGSSLMODE"}, Key: "sslmode", Category: CategoryConnection, Target: true,
		Value: "MODE", Usage: "verify-full, or require (the server is not verified)", Words: []string{VerifyFull, Require}, Default: VerifyFull},
	{Option: "sslrootcert", Env: []string{"PGSSLROOTCERT"}, Key: "sslrootcert", Category: CategoryConnection, Target: true,
		Value: "PATH", Usage: "root certificates for the database", Default: "the system's"},
	{Option: "cacert", Env: []string{"LAKEBASE_CACERT"}, Key: "cacert", Category: CategoryConnection, Target: true,
		Value: "PATH", Usage: "additional root certificates for the workspace"},
	{Option: "pghostaddr", Category: CategoryLogin,
		Value: "IP", Usage: "connect to this address; the certificate is still verified for PGHOST"},
	{Option: "wait", Env: []string{"LAKEBASE_WAIT"}, Category: CategoryLogin,
		Value: "WHEN", Usage: "log in to the database before the start: auto, always, never",
		Words: []string{WaitAuto, WaitAlways, WaitNever}, Default: WaitAuto},
	{Option: "wait-timeout", Env: []string{"LAKEBASE_WAIT_TIMEOUT"}, Key: "wait_timeout", Category: CategoryLogin,
		Value: "TIME", Usage: "time limit for a suspended compute to resume", Default: "60s"},
	{Option: "child-sslmode", Category: CategoryCommand,
		Value: "MODE", Usage: "PGSSLMODE of the command", Words: []string{VerifyFull, verifyCA, Require}, Default: "as --sslmode"},
	{Option: "keep", Key: "keep", Category: CategoryCommand, Many: true,
		Value: "VAR", Usage: "leave this variable in the command's environment"},
	{Option: "url-var", Key: "url_var", Category: CategoryCommand, Many: true,
		Value: "NAME", Usage: "set this variable to a connection URL"},
	{Option: "set", Category: CategoryCommand, Many: true,
		Value: "NAME=TEMPLATE", Usage: "set a variable, from {host} {port} {database} {user} {password} {url} {url_nopassword} {jdbc_url} {node_url} {expires_at}"},
	{Option: "refresh", Env: []string{"LAKEBASE_REFRESH"}, Key: "refresh", Category: CategoryCommand,
		Value: "MODE", Usage: "keep the token fresh while the command runs: off, passfile, proxy",
		Words: []string{RefreshOff, RefreshPassfile, RefreshProxy}, Default: RefreshOff},
	{Option: "on-refresh", Category: CategoryCommand,
		Value: "ACTION", Usage: "on each new token: none, signal:NAME, restart",
		Words: []string{onRefreshNone, OnRefreshRestart, OnRefreshSignal + "HUP"}, Default: onRefreshNone},
	{Option: "listen", Category: CategoryService,
		Value: "ADDR", Usage: "proxy address: HOST:PORT, or a directory for a Unix socket"},
	{Option: "max-connections", Category: CategoryService,
		Value: "N", Usage: "connections that the proxy serves at once", Default: "1000"},
	{Option: "max-waiting", Category: CategoryService,
		Value: "N", Usage: "connections that may wait for the database at once", Default: "as --max-connections"},
	{Option: "status-file", Category: CategoryService,
		Value: "PATH", Usage: "write supervisor status as JSON to PATH"},
	{Option: "health-listen", Category: CategoryService,
		Value: "ADDR", Usage: "serve /startup, /readiness, /liveness and /metrics on HOST:PORT"},
	{Option: "keychain-timeout", Env: []string{"LAKEBASE_KEYCHAIN_TIMEOUT"}, Category: CategoryGeneral,
		Value: "TIME", Usage: "time limit for the keychain", Default: "60s on a terminal, else 5s"},
	{Option: "cache", Env: []string{"LAKEBASE_CACHE"}, Key: "cache", Category: CategoryGeneral,
		Value: "STORE", Usage: "token cache: auto, kernel, keychain, file, off",
		Words: []string{CacheAuto, CacheKernel, CacheKeychain, CacheFile, CacheOff}, Default: CacheAuto},
	{Option: "runtime-dir", Category: CategoryGeneral,
		Value: "PATH", Usage: "directory for locks and login records"},
	{Option: "verbose", Category: CategoryGeneral, Bool: true,
		Usage: "report each step"},
	{Option: "quiet", Alias: "q", Category: CategoryGeneral, Bool: true,
		Usage: "report errors only"},
	{Option: "log-format", Category: CategoryGeneral,
		Value: "FORMAT", Usage: "text or json", Words: []string{"text", "json"}, Default: "text"},
}

// authTypes has a strategy in package auth for each row.
var authTypes = []AuthType{
	{Name: AuthM2M, Credential: "the secret", Subject: "service principal", ClientID: true,
		variables: []authVariable{{"DATABRICKS_CLIENT_SECRET", aSecret, "client_secret"}, {envSecretFile, aPath, ""}}},
	{Name: "external-browser", Credential: "the login", Subject: "user"},
	{Name: "env-oidc", Credential: "a workload's token", Subject: "service principal", ClientID: true, Kind: SecretInEnvironment,
		variables: []authVariable{{"DATABRICKS_OIDC_TOKEN_ENV", aVariable, ""}, {envOIDC, aToken, ""}}},
	{Name: "file-oidc", Credential: "a workload's token", Subject: "service principal", ClientID: true, Kind: SecretInFile,
		variables: []authVariable{{"DATABRICKS_OIDC_TOKEN_FILEPATH", aPath, ""}}},
	{Name: "github-oidc", Credential: "a workload's token", Subject: "service principal", ClientID: true, Kind: SecretFromGitHub},
	{Name: AuthPAT, Credential: "a personal access token", Subject: "user", Kind: SecretInEnvironment, Unscoped: true,
		variables: []authVariable{{"DATABRICKS_TOKEN", aToken, "token"}}},
	{Name: AuthNative, Credential: "the password", Subject: "role", Unscoped: true,
		variables: []authVariable{{"LAKEBASE_NATIVE_PASSWORD_FILE", aPath, ""}}},
	{Name: "databricks-cli", Credential: "the Databricks CLI's token", Subject: "user", Kind: SecretElsewhere, Unscoped: true},
}

// Variables that the code needs by name (databricks-sdk-go, config/config.go).
const (
	envHost       = "DATABRICKS_HOST"
	envPGHost     = "PGHOST"
	envClientID   = "DATABRICKS_CLIENT_ID"
	envSecretFile = "DATABRICKS_CLIENT_SECRET_FILE"
	envOIDC       = "DATABRICKS_OIDC_TOKEN"
	envGitHubURL  = "ACTIONS_ID_TOKEN_REQUEST_URL"
	envGitHub     = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
)
