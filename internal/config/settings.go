package config

import "time"

// Setting is one thing that can be set: its option, the variables that give it,
// and its key in a profile. It is the one list from which the command line, the
// profile's grammar and the help are made.
type Setting struct {
	Option  string   // long option without its dashes; the setting's name
	Alias   string   // one-letter option
	Env     []string // the first one that is set counts
	Key     string   // profile key
	Target  bool     // part of the target, which comes whole from one place
	Many    bool     // the option may be repeated
	Bool    bool     // the option takes no value
	Default string   // shown in the help
}

// Settings lists every setting in the order of the help.
func Settings() []Setting { return settings }

var settings = []Setting{
	{Option: "profile", Alias: "p", Env: []string{"LAKEBASE_PROFILE"}},
	{Option: "host", Env: []string{envHost}, Key: "host", Target: true},
	{Option: "client-id", Env: []string{envClientID}, Key: "client_id", Target: true},
	{Option: "client-secret-file", Env: []string{envSecretFile}},
	{Option: "auth", Env: []string{envAuth}, Key: "auth", Target: true, Default: "what is at hand"},
	{Option: "audience", Env: []string{"DATABRICKS_TOKEN_AUDIENCE"}, Key: "audience", Target: true, Default: "the workspace's"},
	{Option: "databricks-profile", Env: []string{"DATABRICKS_CONFIG_PROFILE"}, Key: "databricks_profile", Target: true},
	{Option: "endpoint", Env: []string{"LAKEBASE_ENDPOINT", "ENDPOINT_NAME"}, Key: "endpoint", Target: true},
	{Option: "instance", Env: []string{"LAKEBASE_INSTANCE"}, Key: "instance", Target: true},
	{Option: "credential", Default: CredentialDatabase},
	{Option: "read-only", Bool: true},
	{Option: "pghost", Env: []string{"PGHOST"}, Key: "pghost", Target: true, Default: "asked from the workspace"},
	{Option: "pgport", Env: []string{"PGPORT"}, Key: "pgport", Target: true, Default: "5432"},
	{Option: "pghostaddr"},
	{Option: "database", Alias: "d", Env: []string{"PGDATABASE"}, Key: "database", Target: true, Default: "databricks_postgres"},
	{Option: "user", Alias: "U", Env: []string{"PGUSER"}, Key: "user", Target: true, Default: "the client id, or the person who signs in"},
	{Option: "sslmode", Env: []string{"PGSSLMODE"}, Key: "sslmode", Target: true, Default: VerifyFull},
	{Option: "child-sslmode", Default: "as --sslmode"},
	{Option: "sslrootcert", Env: []string{"PGSSLROOTCERT"}, Key: "sslrootcert", Target: true, Default: "the system's"},
	{Option: "cacert", Env: []string{"LAKEBASE_CACERT"}, Key: "cacert", Target: true},
	{Option: "ttl", Env: []string{"LAKEBASE_TTL"}, Default: "the server's"},
	{Option: "min-ttl", Env: []string{"LAKEBASE_MIN_TTL"}, Default: "15m"},
	{Option: "wait", Env: []string{"LAKEBASE_WAIT"}, Default: WaitAuto},
	{Option: "wait-timeout", Env: []string{"LAKEBASE_WAIT_TIMEOUT"}, Key: "wait_timeout", Default: "60s"},
	{Option: "timeout", Env: []string{"LAKEBASE_TIMEOUT"}, Default: "60s"},
	{Option: "keychain-timeout", Env: []string{"LAKEBASE_KEYCHAIN_TIMEOUT"}, Default: "60s on a terminal, else 5s"},
	{Option: "keep", Key: "keep", Many: true},
	{Option: "url-var", Key: "url_var", Many: true},
	{Option: "set", Many: true},
	{Option: "refresh", Env: []string{"LAKEBASE_REFRESH"}, Key: "refresh", Default: RefreshOff},
	{Option: "on-refresh", Default: OnRefreshNone},
	{Option: "listen"},
	{Option: "status-file"},
	{Option: "health-listen"},
	{Option: "cache", Env: []string{"LAKEBASE_CACHE"}, Key: "cache", Default: CacheAuto},
	{Option: "runtime-dir"},
	{Option: "verbose", Bool: true},
	{Option: "quiet", Alias: "q", Bool: true},
	{Option: "log-format", Default: "text"},
}

// Variables that are read in ways of their own; those of the Databricks tools by
// their names there (databricks-sdk-go, config/config.go).
const (
	envHost       = "DATABRICKS_HOST"
	envClientID   = "DATABRICKS_CLIENT_ID"
	envSecret     = "DATABRICKS_CLIENT_SECRET"
	envSecretFile = "DATABRICKS_CLIENT_SECRET_FILE"
	envAuth       = "DATABRICKS_AUTH_TYPE"
	envToken      = "DATABRICKS_TOKEN"
	envOIDC       = "DATABRICKS_OIDC_TOKEN"
	envOIDCName   = "DATABRICKS_OIDC_TOKEN_ENV"
	envOIDCFile   = "DATABRICKS_OIDC_TOKEN_FILEPATH"
	envGitHubURL  = "ACTIONS_ID_TOKEN_REQUEST_URL"
	envGitHub     = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
	envLog        = "LAKEBASE_LOG"
)

// Bounds of the settings that are durations.
const (
	minTTL     = 5 * time.Minute // databricks-sdk-go, service/postgres: ttl is 300 s to 3600 s
	maxTTL     = time.Hour
	maxWait    = time.Hour
	minTimeout = time.Millisecond
)
