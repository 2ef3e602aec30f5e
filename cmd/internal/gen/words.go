package gen

import "github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"

// Site is where the documents stand.
const Site = "https://github.com/lakebase-exec/lakebase-exec"

// Environment are the variables of both programs that belong to no option.
var Environment = []cli.Option{
	{Name: "DATABRICKS_CLIENT_SECRET", Text: "the secret itself, instead of the keychain's; used only for the host and client id that it belongs to"},
	{Name: "LAKEBASE_CONFIG_FILE", Text: "the file of profiles"},
	{Name: "LAKEBASE_LOG", Text: "quiet, normal or verbose"},
	{Name: "HTTPS_PROXY, NO_PROXY", Text: "the way to the workspace; not to the database"},
	{Name: "SSL_CERT_FILE", Text: "root certificates, instead of the system's"},
}

// HelperEnvironment are those of the credential helper alone.
var HelperEnvironment = []cli.Option{
	{Name: "DATABRICKS_CONFIG_FILE, DATABRICKS_CONFIG_PROFILE", Text: "the file and the section that login --import reads"},
	{Name: "KUBERNETES_EXEC_INFO", Text: "set by the caller of get --format exec-credential, which gets its apiVersion back"},
	{Name: "GITHUB_ENV", Text: "the file that get --format github-env appends to"},
}

// Files are those of both programs.
var Files = []cli.Option{
	{Name: "~/.config/lakebase/profiles.ini", Text: "the profiles, which hold no secret; under $XDG_CONFIG_HOME where that is set"},
	{Name: "$XDG_RUNTIME_DIR/lakebase", Text: "locks and stamps, with --cache file the tokens, and with --refresh a folder for each run; $RUNTIME_DIRECTORY, /run/user/UID/lakebase and ~/.local/state/lakebase/run are others that may be used"},
}

// HelperFiles are those of the credential helper alone.
var HelperFiles = []cli.Option{
	{Name: "~/.config/lakebase/secrets", Text: "the secrets that login --store file keeps, in plain text and mode 0600"},
	{Name: "~/.databrickscfg", Text: "what login --import reads"},
}
